import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.errors import InvalidSymbolError, InvalidValueError, MarketError, OffGridError
from market.values import Ruler, Side, on_grid, symbol
from tests.builders import an_instrument


@pytest.mark.parametrize("text", ["B", "BTC", "A1B2C3D4E5", "0"])
def test_a_symbol_is_one_to_ten_capitals_and_digits(text: str) -> None:
    assert symbol(text) == text


@pytest.mark.parametrize(
    "text", ["", "btc", "BTC ", "BTC\n", "ABCDEFGHIJK", "БТК", "B-C", "٣", "x" * 999]
)
def test_anything_else_is_no_symbol(text: str) -> None:
    with pytest.raises(InvalidSymbolError) as caught:
        symbol(text)

    assert caught.value.text == text
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("side", Side)
def test_a_side_trades_with_its_opposite(side: Side) -> None:
    assert side.opposite.opposite is side
    assert side.sign + side.opposite.sign == 0


@given(ticks=st.integers(1, 10**13 - 1), decimals=st.integers(0, 8), step=st.integers(1, 99))
def test_every_multiple_of_the_step_is_on_the_grid_and_counts_exactly(
    ticks: int, decimals: int, step: int
) -> None:
    tick_size = Decimal(step).scaleb(-decimals)
    instrument = an_instrument(tick_size=str(tick_size))
    price = tick_size * (ticks % (10**12 * 10**decimals // step - 1) + 1)

    assert instrument.price(price) == price
    assert instrument.ticks(price) * tick_size == price


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "-0.01",
        "0.001",
        "33.955",
        "1e12",
        "1e999",
        "NaN",
        "sNaN",
        "Infinity",
        "-Infinity",
        "1e-999",
    ],
)
def test_a_price_off_the_grid_is_refused(value: str) -> None:
    with pytest.raises(OffGridError) as caught:
        an_instrument(tick_size="0.01").price(Decimal(value))

    assert isinstance(caught.value, MarketError | ValueError)
    assert len(str(caught.value)) < 120


def test_a_price_is_written_with_the_decimals_of_its_grid() -> None:
    instrument = an_instrument(tick_size="0.01", lot_size="5")

    assert str(instrument.price(Decimal("33.9500"))) == "33.95"
    assert str(instrument.price(Decimal(34))) == "34.00"
    assert str(instrument.quantity(Decimal("1e1"))) == "10"
    assert instrument.lots(Decimal(10)) == 2


@pytest.mark.parametrize("step", ["0", "-1", "NaN", "Infinity", "1e12", "1e-13"])
def test_an_instrument_needs_grids_that_make_sense(step: str) -> None:
    with pytest.raises(InvalidValueError, match="tick_size"):
        an_instrument(tick_size=step)
    with pytest.raises(InvalidValueError, match="lot_size"):
        an_instrument(lot_size=step)


def test_equal_steps_write_each_its_own_decimals() -> None:
    written = [str(on_grid("price", Decimal(70), Decimal(step))) for step in ("7", "7.0", "1E+1")]
    assert written == ["70", "70.0", "70"]


@pytest.mark.parametrize("step", ["0.01", "1", "1E+1", "0.25", "1E-12"])
@pytest.mark.parametrize(
    "value", ["7", "7.00", "7.25", "10", "1E+1", "0", "-1.00", "1E-12", "1e12", "NaN", "Infinity"]
)
def test_a_ruler_writes_what_the_grid_does(step: str, value: str) -> None:
    ruler = Ruler("price", Decimal(step))
    try:
        written = str(on_grid("price", Decimal(value), Decimal(step)))
    except OffGridError as error:
        with pytest.raises(OffGridError, match=re.escape(str(error))):
            ruler.written(Decimal(value))
    else:
        assert str(ruler.written(Decimal(value))) == written
