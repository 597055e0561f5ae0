"""Limits, and the numbers that are kept from tick to tick to watch them."""

from pathlib import Path

import numpy as np
import pytest

from market.errors import InvalidValueError
from risk import measures
from risk.covariance import LiveCovariance
from risk.exposures import Exposures
from risk.limits import LimitChanged, Limits, LimitState, Standing, Watch
from risk.market_state import Estimators
from risk.monitor import Monitor
from risk.portfolio import Basis, Portfolio, assets, limits_of
from risk.repositories import from_document, to_document
from risk.standings import Guard, SqliteGuardRepository
from risk.terms import Terms
from tests.risk.builders import SYMBOLS, WEIGHTS, a_monitor, a_tick, fed, walks


def test_a_breach_is_confirmed_over_several_ticks() -> None:
    watch = Watch(10.0, confirm=3)
    assert [watch.see(v) for v in (11, 12, 9, 11, 11)] == [None] * 5
    assert watch.see(11) is LimitState.BREACHED


def test_a_breach_ends_well_below_the_bound() -> None:
    watch = Watch(10.0, confirm=2)
    watch.see(11)
    watch.see(11)
    assert [watch.see(v) for v in (9.5, 9.5, 9.5, 8.9, 9.5, 8.9)] == [None] * 6
    assert watch.see(8.9) is LimitState.KEPT


def jumped(monitor: Monitor, by: float, start: int) -> list[LimitChanged]:
    price = float(monitor.market.prices[0])
    for k in range(start, start + 10):
        monitor.take(a_tick("BTC", round(price * by, 2), t=k, seq=k + 1))
    return [fact for fact in monitor.news() if isinstance(fact, LimitChanged)]


def test_a_breached_limit_is_told_and_so_is_one_that_is_kept_again() -> None:
    limited = Portfolio.of("default", {"BTC": 1}, limits=Limits(max_gross=1.1e6))
    monitor = fed(a_monitor(limited), walks(1, 30))
    (breached,) = jumped(monitor, 1.5, 30)
    assert (breached.state, breached.standing) == (LimitState.BREACHED, Standing.REDUCING)
    assert breached.value > breached.bound == 1.1e6
    (kept,) = jumped(monitor, 0.5, 40)
    assert (kept.state, kept.standing) == (LimitState.KEPT, Standing.ACTIVE)
    assert monitor.report("default").limits["max_gross"].state == "kept"


def test_a_drawdown_halts_until_the_portfolio_is_armed_again() -> None:
    limited = Portfolio.of("default", {"BTC": 1}, limits=Limits(max_drawdown=0.05, max_gross=1e9))
    monitor = fed(a_monitor(limited), walks(1, 30))
    (halted,) = jumped(monitor, 0.8, 30)
    assert (halted.limit, halted.standing) == ("max_drawdown", Standing.HALTED)
    assert jumped(monitor, 1.5, 40) == []
    assert monitor.standings()[0].standing is Standing.HALTED
    monitor.arm("default")
    (armed,) = jumped(monitor, 0.99, 50)
    assert (armed.state, armed.standing) == (LimitState.KEPT, Standing.ACTIVE)
    assert monitor.standings()[0].limits["max_drawdown"].value == pytest.approx(0.01, rel=1e-4)


def test_what_was_halted_is_halted_after_a_restart_and_counts_from_the_same_peak() -> None:
    limits = Limits(max_drawdown=0.05)
    held = Portfolio(name="mine", assets=assets({"BTC": 1}), basis=Basis.QUANTITIES, limits=limits)
    monitor = fed(a_monitor(held), walks(1, 30))
    peak = monitor.guards()["mine"].peak
    jumped(monitor, 0.8, 30)
    again = Monitor(SYMBOLS, Estimators(), Terms(), guards=monitor.guards())
    again.put(held)
    assert again.standings()[0].standing is Standing.HALTED
    assert again.standings()[0].limits["max_drawdown"].value > 0.1
    again.take(a_tick("BTC", 50_000.0))
    assert again.guards()["mine"].peak == peak


def test_a_new_bound_does_not_arm_what_was_halted() -> None:
    limited = Portfolio.of("default", {"BTC": 1}, limits=Limits(max_drawdown=0.05))
    monitor = fed(a_monitor(limited), walks(1, 30))
    jumped(monitor, 0.8, 30)
    monitor.put(Portfolio.of("default", {"BTC": 1}, limits=Limits(max_drawdown=0.5)))
    assert monitor.standings()[0].standing is Standing.HALTED


def test_a_price_grows_stale_while_others_tick() -> None:
    limited = Portfolio.of("default", {"BTC": 1}, limits=Limits(max_stale_s=5.0))
    monitor = fed(a_monitor(limited), walks(1, 30))
    for k in range(30, 60):
        monitor.take(a_tick("META", 500.0, t=k, seq=k + 1))
    (stale,) = monitor.news()
    assert isinstance(stale, LimitChanged)
    assert (stale.limit, stale.standing) == ("max_stale_s", Standing.REDUCING)


def test_guards_outlive_their_process(tmp_path: Path) -> None:
    path = tmp_path / "risk.sqlite3"
    guards = {"a": Guard(peak=5.0, halted={"max_drawdown": 0.2}), "b": Guard()}
    SqliteGuardRepository(path).save(guards)
    again = SqliteGuardRepository(path)
    assert again.all() == guards
    again.remove("a")
    assert list(SqliteGuardRepository(path).all()) == ["b"]


def test_every_limit_is_watched() -> None:
    tight = dict.fromkeys(Limits.__struct_fields__, 1e-09)
    monitor = fed(
        a_monitor(Portfolio.of("default", WEIGHTS, limits=Limits(**tight)), clock_s=1.0),
        walks(2, 120),
    )
    told = monitor.report("default")
    assert {name for name, limit in told.limits.items() if limit.state == "breached"} == set(tight)
    assert told.limits["max_gross"].value == pytest.approx(told.value)
    assert told.limits["max_var"].value == pytest.approx(told.value_at_risk["0.99"], rel=1e-9)
    assert told.limits["max_stress"].value == pytest.approx(told.stress["crash"], rel=1e-9)


def test_numbers_kept_from_tick_to_tick_do_not_drift() -> None:
    limited = Portfolio.of("default", WEIGHTS, limits=Limits(max_var=1e9))
    monitor = fed(a_monitor(limited, clock_s=50.0), walks(3, 500))
    told = monitor.report("default")
    assert told.drift is not None
    assert told.drift < 1e-12


def test_the_incremental_state_equals_a_recomputation() -> None:
    rng = np.random.default_rng(1)
    size, live = 6, LiveCovariance(6, (60.0, 900.0), 1)
    for k in range(60):
        live.update(k % size, float(k), float(rng.normal(0, 0.01)))
    rows, shocks = rng.normal(0, 0.01, (80, size)), rng.normal(0, 0.1, (5, size))
    kept = Exposures(live.headline_rates, rng.normal(0, 1000, size), rows, shocks)
    for k in range(60, 400):
        i = int(rng.integers(size))
        change = live.update(i, float(k), float(rng.normal(0, 0.01)))
        assert change is not None
        kept.row_changed(i, change)
        kept.move(i, float(rng.normal(0, 1000)))
    x, s = kept.x, live.rates[1]
    assert kept.q == pytest.approx(float(x @ s @ x), rel=1e-9)
    np.testing.assert_allclose(kept.contributions(), x * (s @ x), rtol=1e-7, atol=1e-9)
    assert kept.worst_stress() == pytest.approx(max(-(shocks @ x)), rel=1e-9)
    for level, (var, es) in kept.historical().items():
        assert var == pytest.approx(measures.historical_value_at_risk(rows @ x, level), rel=1e-9)
        assert es == pytest.approx(measures.historical_expected_shortfall(rows @ x, level))
    assert kept.remake() < 1e-12


def test_limits_are_part_of_the_document() -> None:
    document = {"account": "me", "limits": {"max_var": 5.0}}
    assert to_document(from_document("x", document)) == document
    assert limits_of("max_var:5") == Limits(max_var=5.0)


@pytest.mark.parametrize("limits", [{"max_var": -1}, {"max_var": "x"}, {"max_fun": 1}])
def test_a_wrong_limit_is_named(limits: dict[str, object]) -> None:
    with pytest.raises(InvalidValueError, match="limits"):
        from_document("x", {"weights": {"BTC": 1}, "limits": limits})


@pytest.mark.parametrize("text", ["max_fun:1", "max_var:0", "max_var"])
def test_limits_in_words_are_checked(text: str) -> None:
    with pytest.raises(ValueError, match=r"max_"):
        limits_of(text)
