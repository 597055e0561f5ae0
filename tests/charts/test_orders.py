from decimal import Decimal
from typing import Any

from charts.facts import AccountSeen, AccountSnapshot, OrderSeen
from charts.orders import OpenOrders
from market.events import Fact
from market.orders import (
    Liquidity,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderDecremented,
    OrderFilled,
    OrderType,
)
from market.values import Side, Symbol
from tests.charts.builders import START

ABOUT: dict[str, Any] = {"order_id": 7, "account": "me", "symbol": Symbol("BTC"), "time": START}


MONEY = ("cash", "equity", "realized_pnl", "unrealized_pnl", "fees")


def accepted(quantity: int = 10) -> OrderAccepted:
    return OrderAccepted(
        **ABOUT, side=Side.BUY, type=OrderType.LIMIT, quantity=Decimal(quantity), price=Decimal(99)
    )


def filled(quantity: int) -> OrderFilled:
    return OrderFilled(
        **ABOUT,
        side=Side.BUY,
        price=Decimal(99),
        quantity=Decimal(quantity),
        fee=Decimal(0),
        liquidity=Liquidity.MAKER,
        trade_id=1,
    )


def after(*facts: Fact) -> list[tuple[int, int, int]]:
    orders = OpenOrders()
    for fact in facts:
        orders.take(fact)
    return [(o["order_id"], int(o["quantity"]), int(o["filled_quantity"])) for o in orders.shown()]


def test_an_order_is_open_until_it_is_filled() -> None:
    assert after(accepted(), filled(4)) == [(7, 10, 4)]
    assert after(accepted(), filled(4), filled(6)) == []


def test_an_order_that_is_cancelled_is_gone() -> None:
    assert after(accepted(), OrderCancelled(**ABOUT, quantity=Decimal(10))) == []


def test_an_order_changes_with_its_amendments() -> None:
    amended = OrderAmended(**ABOUT, quantity=Decimal(6), price=Decimal(98))
    assert after(accepted(), filled(4), amended) == [(7, 6, 4)]
    assert after(accepted(), filled(4), OrderDecremented(**ABOUT, quantity=Decimal(6))) == []


def test_a_snapshot_replaces_what_was_known() -> None:
    money: dict[str, Any] = dict.fromkeys(MONEY, Decimal(0))
    order = OrderSeen(
        order_id=9,
        symbol="BTC",
        side="sell",
        type="limit",
        quantity=Decimal(3),
        filled_quantity=Decimal(1),
    )
    snapshot = AccountSnapshot(account=AccountSeen(account="me", **money), orders=(order,))
    assert after(accepted(), snapshot) == [(9, 3, 1)]


def test_what_says_nothing_of_an_order_changes_nothing() -> None:
    assert OpenOrders().take(Fact()) is False
    assert after(filled(4), OrderCancelled(**ABOUT, quantity=Decimal(1))) == []
