from decimal import Decimal

import pytest

from exchange.accounts import Account, Ledger
from exchange.blotter import Blotter
from exchange.funds import Funds
from exchange.rules import Rules
from exchange.settlement import Settlement
from exchange.statement import Terms
from market.orders import (
    OrderAccepted,
    OrderCancelled,
    OrderDecremented,
    OrderExpired,
    OrderType,
    Status,
)
from market.values import Side, Symbol
from tests.exchange.venues import NOON, TCS, an_order

D = Decimal
OF_ANN = {"order_id": 1, "account": "ann", "symbol": TCS, "time": NOON}


def a_settlement() -> Settlement:
    marks: dict[Symbol, Decimal] = {}
    settlement = Settlement(Ledger(), Blotter(10), marks)
    settlement.funds = Funds(Rules(), marks)
    return settlement


def accepted() -> OrderAccepted:
    return OrderAccepted(
        order_id=1,
        account="ann",
        symbol=TCS,
        time=NOON,
        side=Side.BUY,
        type=OrderType.LIMIT,
        quantity=D(5),
        price=D(10),
    )


def placed() -> Settlement:
    settlement = a_settlement()
    settlement.expect(an_order("ann", "buy", "5", "10"), Account("ann", Terms(starting_cash=D(99))))
    settlement.finish([accepted()])
    return settlement


def cancelled(quantity: str = "5") -> OrderCancelled:
    return OrderCancelled(order_id=1, account="ann", symbol=TCS, time=NOON, quantity=D(quantity))


def test_an_accepted_order_opens_its_account_and_locks_its_price() -> None:
    settlement = placed()
    ann = settlement.ledger["ann"]
    assert (ann.traded, ann.locked_cash, ann.positions[TCS].buying) == (True, D(50), D(5))
    assert settlement.marks[TCS] == D(10)


def test_each_fact_of_a_command_is_booked_once() -> None:
    settlement, account = a_settlement(), Account("ann", Terms(starting_cash=D(99)))
    settlement.expect(an_order("ann", "buy", "5", "10"), account)
    facts = [accepted()]
    settlement.book(facts)
    settlement.book(facts)
    settlement.finish(facts)
    assert account.locked_cash == D(50)


def test_an_order_that_is_decremented_away_expires_once() -> None:
    settlement = placed()
    for quantity in ("2", "3"):
        settlement.finish([OrderDecremented(**OF_ANN, quantity=D(quantity))])  # type: ignore[arg-type]
    settlement.finish([OrderExpired(**OF_ANN, quantity=D(0), reason="x")])  # type: ignore[arg-type]
    ticket = settlement.blotter.find(1)
    assert ticket is not None
    assert (ticket.status, ticket.quantity) == (Status.EXPIRED, D(0))
    assert settlement.ledger["ann"].locked_cash == 0


def test_a_fact_about_an_order_that_nobody_placed_is_an_error() -> None:
    with pytest.raises(ValueError, match="nobody placed it"):
        a_settlement().finish([accepted()])
    with pytest.raises(LookupError, match="no ticket"):
        a_settlement().finish([cancelled()])
