"""The half-life that is told, where prices come often and where they come seldom."""

import numpy as np
import pytest

from risk.limits import Limits
from risk.monitor import Monitor
from risk.portfolio import Portfolio
from risk.report import RiskReport
from tests.risk.builders import WEIGHTS, a_monitor, fed, walks

WORLD = {"half_lives_s": (60.0, 900.0, 86400.0)}


def report(monitor: Monitor) -> RiskReport:
    return monitor.report("default")


def test_prices_of_a_minute_are_told_by_the_shortest_half_life_that_is_worth_enough() -> None:
    told = report(fed(a_monitor(**WORLD), walks(1, 30, step_s=60.0)))
    assert told.state == "live"
    assert told.unavailable == {}
    assert told.estimate is not None
    assert told.estimate.half_life_s == told.conventions["half_life_s"] == 900.0
    assert "the configured 60 s are worth 3.0 returns" in told.estimate.half_life_reason
    assert told.estimate.n_eff > 10
    assert told.value_at_risk["0.99"] is not None
    weights = np.array(list(WEIGHTS.values()))
    wanted = 1e-3 * float(np.sqrt(weights @ weights))  # of independent walks, over a minute
    assert told.volatility == pytest.approx(wanted, rel=0.4)


def test_a_price_an_hour_is_told_by_the_half_life_of_a_day() -> None:
    told = report(fed(a_monitor(**WORLD), walks(1, 30, step_s=3600.0)))
    assert told.estimate is not None
    assert told.estimate.half_life_s == 86400.0


def test_dense_prices_are_told_by_the_configured_half_life() -> None:
    told = report(fed(a_monitor(**WORLD), walks(1, 120)))
    assert told.estimate is not None
    assert told.estimate.half_life_s == told.conventions["half_life_s"] == 60.0
    assert told.estimate.half_life_reason == ""


def test_a_half_life_shorter_than_the_configured_one_is_never_told() -> None:
    told = report(fed(a_monitor(**WORLD, headline=1), walks(1, 12)))
    assert told.estimate is not None
    assert told.estimate.half_life_s == 900.0


def test_no_half_life_is_told_of_a_few_rows() -> None:
    told = report(fed(a_monitor(**WORLD), walks(1, 8, step_s=60.0)))
    assert told.state == "warming"
    assert "warming: worth 7.0 returns" in told.unavailable["volatility"]


def test_limits_are_watched_at_the_half_life_that_is_told() -> None:
    limited = Portfolio.of("default", WEIGHTS, limits=Limits(max_var=1e9))
    told = report(fed(a_monitor(limited, **WORLD), walks(1, 40, step_s=60.0)))
    assert told.limits["max_var"].value == pytest.approx(told.value_at_risk["0.99"], rel=1e-9)
