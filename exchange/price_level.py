"""The orders that stand at one price, first come first served."""

from collections.abc import Iterator
from typing import Final

from market.orders import PlaceOrder
from market.values import Side

BUY: Final = Side.BUY

TRADED: Final = 0
DECREMENTED: Final = 1
EXPIRED: Final = 2

Match = tuple["Order", int, int]
"""What happened to a resting order: which, how many lots, and TRADED, DECREMENTED or EXPIRED."""


class Order:
    """A working order: what was asked, how many lots are left, and where it stands.

    ``key`` is its price in ticks, negative for a sale: of two orders on one side, the greater key
    trades first; 0 has no price. ``shown`` lots can be traded now, ``hidden`` lots follow in slices
    of ``display``; an order that is no iceberg shows all that is left.
    """

    __slots__ = ("after", "before", "display", "hidden", "id", "key", "level", "request", "shown",
                 "total")  # fmt: skip

    def __init__(self, order_id: int, request: PlaceOrder, key: int, lots: int) -> None:
        self.id = order_id
        self.request = request
        self.key = key
        self.total = lots
        self.shown = lots
        self.hidden = 0
        self.display = 0
        self.level: PriceLevel | None = None
        self.before: Order | None = None
        self.after: Order | None = None

    @property
    def price(self) -> int:
        """The limit price in ticks, 0 for none."""
        return abs(self.key)

    @property
    def left(self) -> int:
        """The lots that are not filled yet."""
        return self.shown + self.hidden

    def resize(self, lots: int) -> None:
        """Leave ``lots`` to be filled; a smaller iceberg gives up what it hides first."""
        self.shown = min(lots, self.shown) if self.display else lots
        self.hidden = lots - self.shown

    def slice(self) -> None:
        """Show a whole new slice of what is left."""
        left = self.shown + self.hidden
        self.shown = min(left, self.display) if self.display else left
        self.hidden = left - self.shown


class PriceLevel:
    """A queue of orders, linked so that any leaves in constant time; ``lots`` are visible."""

    __slots__ = ("head", "lots", "tail")

    def __init__(self, first: Order) -> None:
        self.head: Order | None = first
        self.tail: Order | None = first
        self.lots = first.shown
        first.level = self

    def __iter__(self) -> Iterator[Order]:
        order = self.head
        while order is not None:
            yield order
            order = order.after

    def append(self, order: Order) -> None:
        """Put an order at the end of the queue."""
        tail = self.tail
        if tail is None:
            self.head = order
        else:
            tail.after = order
            order.before = tail
        self.tail = order
        order.level = self
        self.lots += order.shown

    def remove(self, order: Order) -> None:
        """Take an order out of the queue, wherever it stands."""
        before, after = order.before, order.after
        if before is None:
            self.head = after
        else:
            before.after = after
        if after is None:
            self.tail = before
        else:
            after.before = before
        order.level = order.before = order.after = None
        self.lots -= order.shown

    def fill(self, lots: int, matches: list[Match], own: str | None = None) -> int:
        """Trade with the queue until it or ``lots`` is used up; return the lots that are left.

        An order of the account ``own`` at its head stops it, too.
        """
        order = self.head
        while order is not None:
            if own is not None and order.request.account == own:
                break
            shown = order.shown
            if lots < shown:
                if lots:
                    order.shown = shown - lots
                    self.lots -= lots
                    matches.append((order, lots, TRADED))
                return 0
            matches.append((order, shown, TRADED))
            lots -= shown
            if order.hidden:
                self.use_up(order)
                order = self.head
                continue
            after = self.head = order.after  # the head leaves: done here, as it is done so often
            if after is None:
                self.tail = None
            else:
                after.before = None
            self.lots -= shown
            order.shown = 0
            order.level = order.after = None
            order = after
        return lots

    def hit(self, order: Order, lots: int) -> None:
        """Take ``lots`` of what ``order`` shows, its whole slice at most."""
        if lots == order.shown:
            self.use_up(order)
        else:
            order.shown -= lots
            self.lots -= lots

    def use_up(self, order: Order) -> None:
        """Take all that ``order`` shows; an iceberg's next slice goes to the end of the queue."""
        self.remove(order)
        order.shown = 0
        if order.hidden:
            order.slice()
            self.append(order)
