"""Who hears what happens in a pit, as it happens: prices are ticks there, and quantities lots."""

from abc import ABC, abstractmethod
from datetime import datetime
from typing import Final

from exchange.floor import Floor
from exchange.price_level import Order
from exchange.rules import Refusal
from market.orders import Liquidity, PlaceOrder, TradingState

MAKER: Final = Liquidity.MAKER
TAKER: Final = Liquidity.TAKER

ACCEPTED: Final = 0
REJECTED: Final = 1
AMENDED: Final = 2
AMENDMENT_REJECTED: Final = 3
TRIGGERED: Final = 4
CANCELLED: Final = 5
EXPIRED: Final = 6
DECREMENTED: Final = 7
TRADED: Final = 8
CHANGED: Final = 9

Event = tuple[int | str, ...]
"""One of the above, the id of the order, and what more there is to it."""


class Teller(ABC):
    """What a pit tells: each thing that happened, once, in order."""

    __slots__ = ()

    @abstractmethod
    def accepted(self, order: Order) -> None:
        """An order was taken in."""

    @abstractmethod
    def rejected(self, order_id: int, request: PlaceOrder, refusal: Refusal) -> None:
        """An order was refused."""

    @abstractmethod
    def amended(self, order: Order) -> None:
        """An order asks for something else."""

    @abstractmethod
    def amendment_rejected(self, order: Order, refusal: Refusal) -> None:
        """An order could not be changed."""

    @abstractmethod
    def triggered(self, order: Order) -> None:
        """A stop was set off."""

    @abstractmethod
    def cancelled(self, order: Order, lots: int) -> None:
        """What was left of an order was taken back."""

    @abstractmethod
    def expired(self, order: Order, lots: int, reason: str) -> None:
        """What was left of an order went away."""

    @abstractmethod
    def decremented(self, order: Order, lots: int) -> None:
        """A part of an order went away, so that it did not trade with its own account."""

    @abstractmethod
    def traded(self, maker: Order, taker: Order, ticks: int, lots: int, second: Liquidity) -> None:
        """Two orders met; ``second`` is what the second one gave: a MAKER in an auction."""

    @abstractmethod
    def changed(self, state: TradingState, reason: str, until: datetime | None) -> None:
        """The instrument allows something else."""


class Tape(Teller):
    """Keeps what happens as it is told, for whoever reckons in ticks and lots."""

    __slots__ = ("_floor", "events")

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self.events: list[Event] = []

    def accepted(self, order: Order) -> None:
        """Keep its key and its lots."""
        self.events.append((ACCEPTED, order.id, order.key, order.total))

    def rejected(self, order_id: int, request: PlaceOrder, refusal: Refusal) -> None:
        """Keep whose it was, and why."""
        self.events.append((REJECTED, order_id, request.account, refusal.code))

    def amended(self, order: Order) -> None:
        """Keep its new key and lots."""
        self.events.append((AMENDED, order.id, order.key, order.total))

    def amendment_rejected(self, order: Order, refusal: Refusal) -> None:
        """Keep why."""
        self.events.append((AMENDMENT_REJECTED, order.id, refusal.code))

    def triggered(self, order: Order) -> None:
        """Keep which."""
        self.events.append((TRIGGERED, order.id))

    def cancelled(self, order: Order, lots: int) -> None:
        """Keep the lots."""
        self.events.append((CANCELLED, order.id, lots))

    def expired(self, order: Order, lots: int, reason: str) -> None:
        """Keep the lots, and why."""
        self.events.append((EXPIRED, order.id, lots, reason))

    def decremented(self, order: Order, lots: int) -> None:
        """Keep the lots."""
        self.events.append((DECREMENTED, order.id, lots))

    def traded(self, maker: Order, taker: Order, ticks: int, lots: int, second: Liquidity) -> None:
        """Keep both orders, the price, the lots, the number of the trade, and the second's part."""
        number = self._floor.trades = self._floor.trades + 1
        self.events.append((TRADED, maker.id, taker.id, ticks, lots, number, second))

    def changed(self, state: TradingState, reason: str, until: datetime | None) -> None:
        """Keep the state, why, and until when."""
        self.events.append((CHANGED, 0, state, reason, "" if until is None else until.isoformat()))
