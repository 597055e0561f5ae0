"""The orders of one's own that stand in the book."""

from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from market.events import Fact
from market.orders import (
    OrderAccepted,
    OrderCancelled,
    OrderDecremented,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderType,
)
from market.values import Side, Symbol

_REDUCES: Final = (OrderFilled, OrderDecremented)
_ENDS: Final = (OrderExpired, OrderCancelled, OrderRejected)


class Resting:
    """Limit orders that were accepted and are not done, oldest first."""

    def __init__(self) -> None:
        self._orders: dict[int, OrderAccepted] = {}

    def __contains__(self, order_id: int) -> bool:
        return order_id in self._orders

    def of(self, symbol: Symbol) -> list[OrderAccepted]:
        """Return the orders in a symbol, each with the quantity that is left."""
        return [order for order in self._orders.values() if order.symbol == symbol]

    def asked(self, symbol: Symbol, side: Side) -> Decimal:
        """Return the quantity that stands on a side of a symbol."""
        return sum((each.quantity for each in self.of(symbol) if each.side is side), Decimal(0))

    def apply(self, fact: Fact) -> None:
        """Take in what became of an order; an order that could not be cancelled counts as gone."""
        if isinstance(fact, OrderAccepted):
            if fact.type is OrderType.LIMIT:
                self._orders[fact.order_id] = fact
        elif isinstance(fact, _REDUCES):
            self._reduce(fact.order_id, fact.quantity)
        elif isinstance(fact, _ENDS):
            self._orders.pop(fact.order_id, None)

    def _reduce(self, order_id: int, quantity: Decimal) -> None:
        order = self._orders.get(order_id)
        if order is None:
            return
        if order.quantity > quantity:
            self._orders[order_id] = replace(order, quantity=order.quantity - quantity)
        else:
            del self._orders[order_id]
