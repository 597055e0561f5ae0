"""An account whose stream is read: its orders, its fills, its refusals, and what it is at."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Any, Final

from charts.orders import OpenOrders
from market.events import Fact
from market.feed import FeedLost, FeedOpened
from market.orders import AmendRejected, OrderFact, OrderFilled, OrderRejected

ACTIVE_S: Final = 60.0
REFUSALS_TOLD_S: Final = 5.0


@dataclass(slots=True)
class Followed:
    """What is known of an account whose stream is read.

    Attributes:
        wanted: when a page last looked at it, by the monotonic clock.
        acted: when something last happened to its orders, seconds since 1970.
    """

    reading: asyncio.Task[None]
    orders: OpenOrders = field(default_factory=OpenOrders)
    fills: int = 0
    filled: set[tuple[int, int]] = field(default_factory=set)
    looking_back: asyncio.Task[None] | None = None
    rejected: int = 0
    is_read: bool = False
    wanted: float = float("-inf")
    acted: float = float("-inf")
    _refused: bool = False
    _untold: int = 0
    _told: float = float("-inf")

    @property
    def state(self) -> str:
        """What it is at: ``active``, ``refused`` when the newest was a refusal, or ``quiet``."""
        if not self.is_read:
            return "unread"
        if time() - self.acted > ACTIVE_S:
            return "quiet"
        return "refused" if self._refused else "active"

    def cancel(self) -> None:
        """Read no more of it."""
        self.reading.cancel()
        if self.looking_back is not None:
            self.looking_back.cancel()

    def note(self, fact: Fact) -> None:
        """Take in what tells whether it is read, and what it is at."""
        if isinstance(fact, FeedOpened | FeedLost):
            self.is_read = isinstance(fact, FeedOpened)
        elif isinstance(fact, OrderFact):
            self.acted = max(self.acted, fact.time.timestamp())
            self._refused = isinstance(fact, OrderRejected | AmendRejected)

    def counts(self, fact: OrderFilled) -> bool:
        """Take in a fill; tell whether it was not known from looking back."""
        key = fact.trade_id, fact.order_id
        if key in self.filled:
            return False
        if self.looking_back is not None:  # what is looked for may have it, too
            self.filled.add(key)
        self.fills += 1
        return True

    def found(self, fills: list[dict[str, Any]]) -> None:
        """Take in the fills that looking back has found."""
        keys = {key_of(fill) for fill in fills}
        self.fills = max(self.fills, len(self.filled | keys))
        self.filled, self.looking_back = keys, None
        times = [fill["time"] for fill in fills if fill["time"] is not None]
        self.acted = max([self.acted, *times])

    def refusal(self, fact: OrderRejected | AmendRejected) -> str:
        """Count a refusal; return what to tell of it, "" when one was told only just now.

        A bot that insists must not hide what else is among the events.
        """
        self.rejected += 1
        now = monotonic()
        if now - self._told < REFUSALS_TOLD_S:
            self._untold += 1
            return ""
        more = f"; {self._untold} before it, too" if self._untold else ""
        self._told, self._untold = now, 0
        what = (
            "an order" if isinstance(fact, OrderRejected) else f"a change of order {fact.order_id}"
        )
        return f"{what} in {fact.symbol} was refused: {fact.reason}{more}"

    def shown(self) -> dict[str, Any]:
        """Return what a page shows of it beside its money."""
        return {
            "open_orders": len(self.orders.shown()),
            "fills": self.fills,
            "rejected": self.rejected,
            "state": self.state,
        }


def key_of(fill: Mapping[str, Any]) -> tuple[int, int]:
    """Return what tells a fill from all others."""
    return fill["trade_id"], fill["order_id"]
