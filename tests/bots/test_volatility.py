"""The value at risk of a status line."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isclose, log, sqrt

import pytest
from msgspec.structs import replace

from bots.volatility import HALF_LIFE_S, HORIZON_S, NORMAL_99, Rate, Volatility
from market.events import Gap
from tests.bots.builders import BTC, TCS, ticks


def a_volatility(*prices: str | int) -> Volatility:
    volatility = Volatility()
    for tick in ticks(*prices):
        volatility.seen(tick)
    return volatility


UP_AND_DOWN = [100, 101] * 50


def test_moves_of_one_size_each_second_have_that_volatility() -> None:
    found = a_volatility(*UP_AND_DOWN).value_at_risk_99([(TCS, 1000.0)])
    assert found is not None
    assert isclose(found, 1000 * NORMAL_99 * log(1.01) * sqrt(HORIZON_S), rel_tol=1e-9)


def test_the_risk_of_two_positions_is_the_sum_of_theirs() -> None:
    volatility = a_volatility(*UP_AND_DOWN)
    for tick in ticks(*UP_AND_DOWN, of="BTC"):
        volatility.seen(tick)
    one, both = (
        volatility.value_at_risk_99(held) for held in ([(TCS, 1.0)], [(TCS, 1.0), (BTC, -1.0)])
    )
    assert one is not None
    assert both is not None
    assert isclose(both, 2 * one)


def test_nothing_is_at_risk_where_nothing_is_held() -> None:
    assert Volatility().value_at_risk_99([]) == 0


def test_too_few_ticks_say_nothing() -> None:
    assert a_volatility(100, 101, 100).value_at_risk_99([(TCS, 1.0)]) is None


def test_a_gap_begins_anew() -> None:
    volatility = a_volatility(*UP_AND_DOWN)
    volatility.seen(Gap(since="00000000-1", until="00000000-9", missed=8, reason="slow"))
    assert volatility.value_at_risk_99([(TCS, float(Decimal(1)))]) is None


def spaced(every_s: float, count: int = 100) -> Volatility:
    volatility = Volatility()
    for n, tick in enumerate(ticks(*(UP_AND_DOWN * 2)[:count])):
        volatility.seen(replace(tick, time=tick.time + timedelta(seconds=n * (every_s - 1))))
    return volatility


def test_a_price_a_minute_is_enough_after_a_while() -> None:
    held = [(TCS, 1000.0)]
    assert spaced(60, count=8).value_at_risk_99(held) is None
    found = spaced(60, count=20).value_at_risk_99(held)
    assert found is not None
    assert isclose(found, 1000 * NORMAL_99 * log(1.01) * sqrt(HORIZON_S / 60), rel_tol=1e-9)


@pytest.mark.parametrize(("every_s", "half_life_s"), [(0.5, 60.0), (1, 60.0), (60, 11.2 * 60)])
def test_a_half_life_is_a_minute_or_eleven_gaps(every_s: float, half_life_s: float) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rate = Rate(100.0, start)
    for n in range(1, 40):
        rate.add(100.0, start + timedelta(seconds=n * every_s))
    assert isclose(rate.half_life_s, half_life_s)


def test_an_outage_does_not_pass_for_seldom_prices() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rate = Rate(100.0, start)
    for n in [*range(1, 40), 90_000]:
        rate.add(100.0, start + timedelta(seconds=n))
    assert rate.half_life_s == HALF_LIFE_S
