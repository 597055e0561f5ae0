"""The open orders of one account, kept from what its stream tells."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from charts.facts import AccountSnapshot, OrderSeen
from market.events import Fact
from market.orders import (
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderDecremented,
    OrderExpired,
    OrderFilled,
)

WORKING = frozenset({"open", "partially_filled"})


@dataclass(slots=True)
class OpenOrder:
    """What is left of an order."""

    order_id: int
    symbol: str
    side: str
    type: str
    quantity: Decimal
    filled: Decimal
    price: Decimal | None

    def shown(self) -> dict[str, Any]:
        """Return the order as a page has it."""
        return {
            "order_id": self.order_id,
            "symbol": self.symbol,
            "side": self.side,
            "type": self.type,
            "quantity": self.quantity,
            "filled_quantity": self.filled,
            "price": self.price,
        }


class OpenOrders:
    """The orders of an account that may still trade, by id."""

    def __init__(self) -> None:
        self._orders: dict[int, OpenOrder] = {}

    def shown(self) -> list[dict[str, Any]]:
        """Return them all, the oldest first."""
        return [order.shown() for order in self._orders.values()]

    def take(self, fact: Fact) -> bool:
        """Take in a fact of the account's stream; tell whether the orders have changed."""
        match fact:
            case AccountSnapshot(orders=orders):
                self._orders = {each.order_id: _seen(each) for each in orders}
            case OrderAccepted():
                self._orders[fact.order_id] = _accepted(fact)
            case OrderFilled(order_id=number, quantity=quantity):
                self._fill(number, quantity)
            case OrderAmended() | OrderDecremented():
                self._change(fact)
            case OrderCancelled(order_id=number) | OrderExpired(order_id=number):
                self._orders.pop(number, None)
            case _:
                return False
        return True

    def _fill(self, number: int, quantity: Decimal) -> None:
        order = self._orders.get(number)
        if order is not None:
            order.filled += quantity
            if order.filled >= order.quantity:
                del self._orders[number]

    def _change(self, fact: OrderAmended | OrderDecremented) -> None:
        order = self._orders.get(fact.order_id)
        if order is None:
            return
        if isinstance(fact, OrderAmended):
            order.quantity, order.price = fact.quantity, fact.price
        else:
            order.quantity -= fact.quantity
        if order.filled >= order.quantity:
            del self._orders[fact.order_id]


def _seen(order: OrderSeen) -> OpenOrder:
    return OpenOrder(
        order_id=order.order_id,
        symbol=order.symbol,
        side=order.side,
        type=order.type,
        quantity=order.quantity,
        filled=order.filled_quantity,
        price=order.price if order.price is not None else order.stop_price,
    )


def _accepted(fact: OrderAccepted) -> OpenOrder:
    return OpenOrder(
        order_id=fact.order_id,
        symbol=fact.symbol,
        side=fact.side,
        type=fact.type,
        quantity=fact.quantity,
        filled=Decimal(0),
        price=fact.price,
    )
