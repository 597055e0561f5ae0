"""The books of a bot are exact, whatever it trades."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bots import Blotter, Position
from market.orders import OrderFilled
from market.values import Side, symbol
from tests.bots.builders import TCS, a_fill, bought, sold

CASH = Decimal(1_000_000)

prices = st.decimals("0.01", "999999.99", places=2)
quantities = st.decimals("0.00001", "100000", places=5)
fees = st.decimals("-10", "10", places=7)


@st.composite
def fills(draw: st.DrawFn) -> OrderFilled:
    return a_fill(
        draw(st.sampled_from(Side)),
        draw(quantities),
        draw(prices),
        of=draw(st.sampled_from(("BTC", "TCS"))),
        fee=str(draw(fees)),
    )


def a_blotter(*facts: OrderFilled) -> Blotter:
    blotter = Blotter(CASH)
    for fill in facts:
        blotter.apply(fill)
    return blotter


@settings(max_examples=100, deadline=None)
@given(st.lists(fills(), max_size=20), prices, prices)
def test_equity_is_cash_and_holdings_is_start_and_pnl_to_the_last_digit(
    facts: list[OrderFilled], btc: Decimal, tcs: Decimal
) -> None:
    blotter = a_blotter(*facts)
    marks = {"BTC": btc, "TCS": tcs}
    for of, price in marks.items():
        blotter.mark(of, price)  # type: ignore[arg-type]

    cash = Fraction(CASH)
    held = dict.fromkeys(marks, Fraction(0))
    for fill in facts:
        signed = fill.side.sign * Fraction(fill.quantity)
        cash -= signed * Fraction(fill.price) + Fraction(fill.fee)
        held[fill.symbol] += signed
    worth = cash + sum(held[of] * Fraction(price) for of, price in marks.items())

    assert Fraction(blotter.cash) == cash
    assert Fraction(blotter.equity) == worth
    assert (
        Fraction(CASH) + Fraction(blotter.realized_pnl) + Fraction(blotter.unrealized_pnl) == worth
    )
    assert {of: Fraction(each.quantity) for of, each in blotter.positions.items()} == {
        of: quantity for of, quantity in held.items() if quantity
    }


@settings(max_examples=100, deadline=None)
@given(st.lists(fills(), max_size=20))
def test_the_drawdown_is_a_share_below_the_highest_equity_so_far(facts: list[OrderFilled]) -> None:
    blotter = Blotter(CASH)
    peak = CASH
    for fill in facts:
        blotter.apply(fill)
        peak = max(peak, blotter.equity)
        blotter.mark(fill.symbol, fill.price)
        peak = max(peak, blotter.equity)
        assert blotter.drawdown >= 0
        assert abs((1 - blotter.drawdown) * peak - blotter.equity) < Decimal("1e-6")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(fills(), max_size=6),
    st.lists(st.tuples(st.sampled_from(("BTC", "TCS")), prices), max_size=20),
)
def test_no_mark_makes_a_peak_that_is_not_remembered(
    facts: list[OrderFilled], marks: list[tuple[str, Decimal]]
) -> None:
    blotter = a_blotter(*facts)
    peak = max(CASH, *(a_blotter(*facts[: n + 1]).equity for n in range(len(facts))), CASH)

    for of, price in marks:
        blotter.mark(symbol(of), price)
        peak = max(peak, blotter.equity)
        assert abs((1 - blotter.drawdown) * peak - blotter.equity) < Decimal("1e-6")


@settings(max_examples=60, deadline=None)
@given(st.data(), st.lists(fills(), min_size=1, max_size=8))
def test_fills_that_are_heard_of_in_another_order_make_the_same_books(
    data: st.DataObject, facts: list[OrderFilled]
) -> None:
    numbered = [replace(fill, trade_id=n) for n, fill in enumerate(facts, 1)]
    one, other = Blotter(CASH), Blotter(CASH)
    told = [other.apply(fill) for fill in data.draw(st.permutations(numbered))]
    for fill in numbered:
        one.apply(fill)
    assert other.positions == one.positions
    assert (other.cash, other.fees) == (one.cash, one.fees)
    assert sum(map(Fraction, told)) == Fraction(one.realized_pnl) == Fraction(other.realized_pnl)


def test_a_sale_realizes_against_the_average_cost() -> None:
    blotter = a_blotter(bought("1", "10"), bought("1", "20"))
    assert blotter.apply(sold("1", "25")) == Decimal(10)
    assert blotter.positions[TCS].average_price == Decimal(15)


def test_a_fee_is_inside_the_realized_pnl() -> None:
    blotter = a_blotter(a_fill(Side.BUY, "1", "10", fee="0.5"))
    assert (blotter.realized_pnl, blotter.cash) == (Decimal("-0.5"), CASH - Decimal("10.5"))


def test_a_sale_of_more_than_is_held_opens_a_short_position_at_its_price() -> None:
    blotter = a_blotter(bought("2", "10"), sold("5", "12"))
    assert blotter.realized_pnl == 4
    assert blotter.positions[TCS] == Position(Decimal(-3), Decimal(-36))


def test_thirds_of_a_cost_come_back_together_without_a_digit_lost() -> None:
    blotter = a_blotter(bought("1", "10"), bought("2", "0.01"))
    for _ in range(3):
        blotter.apply(sold("1", "1"))
    assert blotter.realized_pnl == Decimal("-7.02")
    assert blotter.equity == CASH - Decimal("7.02")


def test_a_position_without_a_mark_stands_at_its_cost() -> None:
    assert a_blotter(bought("2", "10")).equity == CASH
