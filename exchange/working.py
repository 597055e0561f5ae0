"""What can be seen of the matching engine from outside."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Self

from msgspec import Struct

from exchange.circuit_breaker import Seen
from exchange.price_level import Order
from market.errors import MarketError
from market.events import Fact
from market.orders import PlaceOrder, TradingState
from market.values import Symbol

Levels = tuple[tuple[Decimal, Decimal], ...]
"""Prices and the quantity at each, best first."""


class UnknownOrderError(MarketError, LookupError):
    """No working order has this id."""

    def __init__(self, order_id: int) -> None:
        super().__init__(f"order {order_id} is not working: it is unknown, filled or gone")
        self.order_id = order_id


class WorkingOrder(Struct, frozen=True, kw_only=True):
    """An open order: what was asked, how much of it is left, whether it waits for its stop price.

    ``quantity`` is what it asks for in all, after amendments and decrements.
    """

    order_id: int
    order: PlaceOrder
    quantity: Decimal
    remaining: Decimal
    price: Decimal | None
    waiting: bool


class Depth(Struct, frozen=True, kw_only=True):
    """The visible book, best first."""

    bids: Levels
    asks: Levels


class Sweep(Struct, frozen=True, kw_only=True):
    """What taking now comes to: how much is there, its value, the worst price, the taker's fee."""

    quantity: Decimal
    notional: Decimal
    worst_price: Decimal | None
    fee: Decimal


MayTrade = Callable[[WorkingOrder, Sequence[Fact]], bool]
"""Whether a triggered stop (market) order may trade; if not, it expires as ``insufficient-funds``.

It is asked between two trades: the second argument holds all facts of the command so far.
"""


class OrderState(Struct, frozen=True, array_like=True):
    """A working order as it is kept: ticks and lots; ``stop`` is 0 unless it waits."""

    id: int
    request: PlaceOrder
    key: int
    total: int
    shown: int
    hidden: int
    display: int
    stop: int

    @classmethod
    def of(cls, order: Order, stop: int = 0) -> Self:
        """Return how ``order`` stands, or waits for ``stop``."""
        return cls(
            order.id,
            order.request,
            order.key,
            order.total,
            order.shown,
            order.hidden,
            order.display,
            stop,
        )

    def order(self) -> Order:
        """Return the order as it stood."""
        order = Order(self.id, self.request, self.key, self.total)
        order.shown, order.hidden, order.display = self.shown, self.hidden, self.display
        return order


class PitState(Struct, frozen=True, kw_only=True):
    """All there is to know of the trading of one instrument; orders stand in queue order."""

    symbol: Symbol
    state: TradingState
    until: datetime | None
    reference: int
    last: int
    orders: tuple[OrderState, ...]
    highs: tuple[Seen, ...]
    lows: tuple[Seen, ...]


class EngineState(Struct, frozen=True, kw_only=True):
    """All there is to know of a matching engine; it goes on exactly where this was taken."""

    time: datetime
    trades: int
    house_id: int
    pits: tuple[PitState, ...]
