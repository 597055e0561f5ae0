"""What the pits of one exchange share: the time, the counters, who has which orders open."""

from bisect import bisect_left, insort
from collections import defaultdict
from datetime import UTC, datetime
from typing import Final

from exchange.price_level import Order
from market.events import Fact
from market.values import Symbol

EXPIRY: Final = 0
REOPENING: Final = 1

Alarm = tuple[datetime, int, int, str]
"""When, EXPIRY or REOPENING, which order, which symbol: sorted, whatever was set up first."""


class Floor:
    """The working orders by id, the open orders by account, the alarms, and the command at hand.

    ``facts`` and ``time`` are those of the command that is being carried out; ``trades`` and
    ``house_id`` are the last ids given out, the house's going down from zero. ``open_orders`` are
    kept only by a floor that ``counts``.
    """

    __slots__ = ("_counts", "alarms", "facts", "house_id", "open_orders", "time", "trades",
                 "working")  # fmt: skip

    def __init__(self, *, counts: bool) -> None:
        self._counts = counts
        self.time = datetime.min.replace(tzinfo=UTC)
        self.facts: list[Fact] = []
        self.trades = 0
        self.house_id = 0
        self.working: dict[int, Order] = {}
        self.open_orders: defaultdict[str, int] = defaultdict(int)
        self.alarms: list[Alarm] = []

    def open(self, order: Order) -> None:
        """Take an order in: it rests or waits from now on."""
        request = order.request
        self.working[order.id] = order
        if self._counts:
            self.open_orders[request.account] += 1
        if request.expire_time is not None:
            self.wake(request.expire_time, EXPIRY, order.id, request.symbol)

    def close(self, order: Order) -> None:
        """Forget an order, if it was open."""
        if self.working.pop(order.id, None) is None:
            return
        request = order.request
        if self._counts:
            self._count_down(request.account)
        if request.expire_time is not None:
            self.let_sleep(request.expire_time, EXPIRY, order.id, request.symbol)

    def _count_down(self, account: str) -> None:
        others = self.open_orders[account] - 1
        if others:
            self.open_orders[account] = others
        else:
            del self.open_orders[account]

    def wake(self, time: datetime, kind: int, order_id: int, symbol: Symbol) -> None:
        """Set an alarm."""
        insort(self.alarms, (time, kind, order_id, symbol))

    def let_sleep(self, time: datetime, kind: int, order_id: int, symbol: Symbol) -> None:
        """Take back an alarm, if it is still set."""
        alarm = (time, kind, order_id, symbol)
        at = bisect_left(self.alarms, alarm)
        if at < len(self.alarms) and self.alarms[at] == alarm:
            del self.alarms[at]
