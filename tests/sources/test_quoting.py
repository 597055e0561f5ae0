from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.errors import InvalidValueError
from market.values import Instrument, Symbol
from sources.processes import IntradayProfile
from sources.quoting import Volumes, quoted, rounded

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def an_instrument(tick_size: str = "0.01", lot_size: str = "1") -> Instrument:
    return Instrument(
        symbol=Symbol("X"), name="X", tick_size=Decimal(tick_size), lot_size=Decimal(lot_size)
    )


@pytest.mark.parametrize(
    ("price", "tick_size", "written"),
    [
        (33.949999999999996, "0.01", "33.95"),
        (0.125, "0.01", "0.12"),  # half to even
        (0.375, "0.01", "0.38"),
        (-5.0, "0.01", "0.01"),
        (0.0, "0.01", "0.01"),
        (7.3, "0.25", "7.25"),
        (104.0, "10", "100"),
        (1e300, "0.01", "999999999999.99"),
        (float("inf"), "7", "999999999999"),
        (float("-inf"), "1", "1"),
    ],
)
def test_a_price_is_written_on_its_grid(price: float, tick_size: str, written: str) -> None:
    assert str(quoted(price, an_instrument(tick_size))) == written


def test_what_is_not_a_number_has_no_price() -> None:
    with pytest.raises(InvalidValueError, match="not a number"):
        quoted(float("nan"), an_instrument())


@settings(max_examples=100)
@given(
    st.floats(allow_nan=False),
    st.sampled_from([Decimal(step) for step in ("1", "0.01", "0.00001", "0.25", "3", "0.000007")]),
)
def test_whatever_a_process_says_the_price_is_one_that_the_market_holds(
    price: float, tick_size: Decimal
) -> None:
    written = quoted(price, an_instrument(str(tick_size)))

    assert 0 < written < 10**12
    assert written % tick_size == 0
    if tick_size <= price < 10**12 - tick_size:
        assert abs(written - Decimal(price)) <= tick_size / 2


def test_a_decimal_is_rounded_as_exactly_as_it_was_given() -> None:
    assert rounded(Decimal("123456789.123456789012345"), Decimal("1E-12")) == Decimal(
        "123456789.123456789012"
    )


@pytest.mark.parametrize(
    ("start", "lot_size", "least", "most"),
    [
        ("70400", "0.00001", "0.00100", "0.1"),
        ("33.95", "1", "1", "100"),
        ("505.47", "1", "1", "100"),
    ],
)
def test_volumes_are_lots_of_a_sensible_size(
    start: str, lot_size: str, least: str, most: str
) -> None:
    volumes = Volumes(an_instrument(lot_size=lot_size), Decimal(start), Random(1))

    drawn = [volumes.draw(NOON) for _ in range(2000)]

    assert (min(drawn), max(drawn)) == (Decimal(least), Decimal(most))
    assert all(volume % Decimal(lot_size) == 0 for volume in drawn)


def test_volumes_follow_the_profile_of_the_day_and_are_never_none() -> None:
    def mean_at(time: datetime) -> float:
        volumes = Volumes(an_instrument(), Decimal(100), Random(1), IntradayProfile(depth=1.0))
        drawn = [volumes.draw(time) for _ in range(2000)]
        assert min(drawn) >= 1
        return float(sum(drawn)) / len(drawn)

    assert mean_at(NOON) == pytest.approx(1.0)
    assert mean_at(NOON + timedelta(hours=12)) == pytest.approx(3 * 50.5, rel=0.05)


def test_equal_generators_draw_equal_volumes() -> None:
    one, other = (Volumes(an_instrument(), Decimal(100), Random(7)) for _ in range(2))

    assert list(islice(iter(lambda: one.draw(NOON), None), 50)) == [
        other.draw(NOON) for _ in range(50)
    ]
