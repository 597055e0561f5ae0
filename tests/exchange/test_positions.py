from decimal import Decimal, Inexact

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.positions import LOTS, MONEY, ZERO, Position, plain, share
from exchange.statement import PositionState, Realized
from market.values import Symbol

D = Decimal
BTC = Symbol("BTC")
FILLS = st.lists(
    st.tuples(
        st.integers(-500, 500).filter(bool).map(lambda n: D(n).scaleb(-5)),
        st.integers(1, 10**8).map(lambda n: D(n).scaleb(-2)),
    ),
    max_size=40,
)


def traded(position: Position, signed: Decimal, price: Decimal) -> Realized:
    return position.apply(signed, price, signed * price)


def a_position(*fills: tuple[str, str]) -> tuple[Position, Decimal, Decimal]:
    position, average, fifo = Position(BTC), ZERO, ZERO
    for quantity, price in fills:
        realized = traded(position, D(quantity), D(price))
        average, fifo = average + realized.average, fifo + realized.fifo
    return position, average, fifo


def test_average_cost_and_fifo_share_out_the_same_profit_differently() -> None:
    position, average, fifo = a_position(("100", "10"), ("100", "12"), ("-150", "13"))
    assert (average, fifo) == (D(300), D(350))
    assert position.unrealized(D("12.5")) == 75
    assert position.average_price == 11


def test_a_fill_through_zero_closes_first_and_then_opens_the_other_side() -> None:
    position, average, fifo = a_position(("5", "100"), ("-8", "110"))
    assert (average, fifo) == (D(50), D(50))
    assert (position.quantity, position.cost, position.average_price) == (D(-3), D(-330), D(110))


def test_a_short_position_gains_when_the_price_falls() -> None:
    position, average, _ = a_position(("-10", "100"), ("4", "90"))
    assert average == 40
    assert (position.quantity, position.cost) == (D(-6), D(-600))


def test_what_rounding_leaves_stays_in_the_cost() -> None:
    position, average, _ = a_position(("1", "10"), ("2", "10.01"), ("-1", "10"))
    assert average == D("-0.006666666667")
    assert position.cost == D("20.013333333333")
    realized = traded(position, D(-2), D(10))
    assert average + realized.average == D("-0.02")


def test_the_cost_of_a_flat_position_is_zero() -> None:
    position, _, _ = a_position(("3", "0.07"), ("-1", "0.09"), ("-2", "0.01"))
    assert (position.quantity, position.cost, len(position.lots)) == (D(0), D(0), 0)
    assert position.average_price == 0


@settings(max_examples=60)
@given(FILLS)
def test_cash_and_cost_less_realized_never_change_by_a_digit(
    fills: list[tuple[Decimal, Decimal]],
) -> None:
    position, cash, average, fifo = Position(BTC), ZERO, ZERO, ZERO
    for signed, price in fills:
        realized = traded(position, signed, price)
        cash -= signed * price
        average, fifo = average + realized.average, fifo + realized.fifo
        assert cash + position.cost == average
        assert cash + sum(cost for _, cost, _ in position.lots) == fifo
        assert sum(quantity for quantity, _, _ in position.lots) == position.quantity


def test_lots_are_bounded_and_the_newest_are_joined_at_their_cost() -> None:
    position = Position(BTC)
    for price in range(1, LOTS + 11):
        traded(position, D(1), D(price))
    assert len(position.lots) == LOTS
    assert position.lots[-1] == (D(11), D(sum(range(LOTS, LOTS + 11))), None)


def test_a_position_comes_back_from_its_state() -> None:
    position, _, _ = a_position(("1", "10"), ("2", "10.01"), ("-1", "10"))
    position.buying, position.selling = D(4), D(1)
    data = msgspec.json.encode(position.state())
    again = Position.restored(msgspec.json.decode(data, type=PositionState))
    assert again.state() == position.state()


def test_money_that_does_not_fit_raises_instead_of_lying() -> None:
    with pytest.raises(Inexact):
        MONEY.add(D("1e90"), D("1e-12"))


def test_the_whole_costs_all_and_a_part_its_rounded_part() -> None:
    assert share(D("1e-15"), D(7), D(7)) == D("1e-15")
    assert share(D(10), D(1), D(3)) == D("3.333333333333")
    assert share(D("0.000000000000003"), D(1), D(2)) == D("2e-15")


@pytest.mark.parametrize(
    ("value", "text"),
    [("0E-12", "0"), ("1E+3", "1000"), ("1.500", "1.5"), ("-0", "0"), ("-20.00", "-20")],
)
def test_numbers_are_written_as_people_write_them(value: str, text: str) -> None:
    assert str(plain(D(value))) == text
