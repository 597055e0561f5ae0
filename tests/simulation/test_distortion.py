from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from simulation.distortion import Distortion, Lie, Shock, Spell
from tests.builders import a_tick, an_instrument

TCS = an_instrument("TCS")


def told(distortion: Distortion, price: str, time: float) -> Decimal | None:
    found = distortion.applied(a_tick("TCS", price=price), time)
    return None if found is None else found.price


def test_without_a_scenario_a_tick_is_untouched() -> None:
    tick = a_tick("TCS")

    assert Distortion(TCS).applied(tick, 5.0) is tick


def test_a_crash_goes_down_holds_and_recovers() -> None:
    distortion = Distortion(TCS)
    distortion.shock(Shock(start=10, move=-0.2, over_s=10, hold_s=5, recover_s=10))

    prices = [told(distortion, "100.00", at) for at in (9, 20, 24, 40)]
    assert prices == [Decimal(100), Decimal(80), Decimal(80), Decimal(100)]
    half = told(distortion, "100.00", 15)
    assert half == Decimal("89.44")


def test_news_is_for_good() -> None:
    distortion = Distortion(TCS)
    distortion.shock(Shock(start=0, move=0.05))

    assert told(distortion, "100.00", 1e9) == Decimal(105)


def test_volatility_multiplies_returns_and_leaves_the_level_behind() -> None:
    distortion = Distortion(TCS)
    distortion.stir(Spell(start=0, end=10, factor=2))
    found = [told(distortion, price, at) for at, price in enumerate(("100.00", "101.00"))]

    assert found == [Decimal(100), Decimal("102.01")]
    assert told(distortion, "101.00", 11) == Decimal("102.01")


def test_however_wild_a_price_stays_one_that_the_market_can_hold() -> None:
    distortion = Distortion(TCS)
    distortion.stir(Spell(start=0, factor=1e6))

    prices = [told(distortion, price, at) for at, price in enumerate(("100.00", "200.00", "50.00"))]
    assert prices[1] == Decimal("999999999999.99")
    assert prices[2] == Decimal("0.01")


def test_a_silent_source_says_nothing_and_then_speaks_again() -> None:
    distortion = Distortion(TCS)
    distortion.silence(Spell(start=5, end=10))

    assert [told(distortion, "1.00", at) is None for at in (4, 5, 9, 10)] == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("lie", list(Lie))
def test_a_liar_lies_only_while_it_lies(lie: Lie) -> None:
    distortion = Distortion(TCS)
    distortion.lie(Spell(start=5, end=10, factor=3, lie=lie))
    first, second = a_tick("TCS", price="10.00"), a_tick("TCS", price="11.00")

    distortion.applied(first, 5)
    assert distortion.applied(second, 6) != second
    assert distortion.applied(second, 10) == second


@given(
    st.floats(-0.99, 10), st.floats(0, 100), st.floats(0, 100), st.floats(0, 100), st.floats(0, 500)
)
def test_a_shock_never_overshoots(
    move: float, over_s: float, hold_s: float, recover_s: float, at: float
) -> None:
    shock = Shock(start=0, move=move, over_s=over_s, hold_s=hold_s, recover_s=recover_s)
    low, high = sorted((1.0, 1 + move))

    assert low - 1e-9 <= shock.factor(at) <= high + 1e-9


def test_a_crash_never_takes_the_price_below_a_tick() -> None:
    distortion = Distortion(TCS)
    distortion.shock(Shock(start=0, move=-0.999999))
    tick = replace(a_tick("TCS"), price=Decimal("0.01"))

    found = distortion.applied(tick, 1)
    assert found is not None
    assert found.price == Decimal("0.01")
