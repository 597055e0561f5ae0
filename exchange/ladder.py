"""The quotes of the house on one side of a book, a tick apart."""

from exchange.order_book import BookSide
from exchange.price_level import Order
from market.orders import PlaceOrder


class Ladder:
    """Ordinary orders, one at each key, that leave the book and come back together.

    ``quotes`` are those that rest, best first, and those that were taken since they last moved.
    """

    __slots__ = ("_lots", "_request", "_side", "_spare", "quotes")

    def __init__(self, side: BookSide, request: PlaceOrder, lots: int) -> None:
        self._side, self._request, self._lots = side, request, lots
        self._spare: list[Order] = []  # out of the book, to be used again
        self.quotes: list[Order] = []

    def alone(self, count: int) -> bool:
        """Whether its side is ``count`` untouched quotes, a tick apart, and nothing else."""
        quotes, lots = self.quotes, self._lots
        if len(quotes) != count or len(self._side.keys) != count or not count:
            return False
        for order in quotes:
            if order.shown != lots or order.level is None or order.level.lots != lots:
                return False
        return quotes[0].key - quotes[-1].key == count - 1

    def slide(self, top: int, last_id: int) -> int:
        """Let quotes that are alone on their side stand from ``top`` down; return the last id.

        The ids of those that have to move go down from ``last_id``.
        """
        quotes = self.quotes
        count, way = len(quotes), top - quotes[0].key
        moved = min(abs(way), count)
        if not moved:
            return last_id
        if way > 0:  # the worst become the best
            moving, first = quotes[count - moved :], top
            self.quotes = moving + quotes[: count - moved]
        else:
            moving, first = quotes[:moved], top - count + moved
            self.quotes = quotes[moved:] + moving
        for order in moving:
            last_id -= 1
            order.id = last_id
        self._side.move(moving, first)
        return last_id

    def withdraw(self, top: int, count: int) -> None:
        """Take out all quotes but the untouched ones at the ``count`` keys from ``top`` down."""
        staying: list[Order] = []
        leaving: list[Order] = []
        lots, below = self._lots, top - count
        for order in self.quotes:
            untouched = order.shown == lots and order.level is not None
            (staying if untouched and below < order.key <= top else leaving).append(order)
        if leaving:
            self._side.lift(leaving)
            self._spare += leaving
            self.quotes = staying

    def quote(self, top: int, count: int, last_id: int) -> int:
        """Let the missing ones of those ``count`` quotes rest, the best first; return the last id.

        The ids of the new ones go down from ``last_id``.
        """
        staying, lots = self.quotes, self._lots
        taken = {order.key for order in staying}
        keys = [key for key in range(top, top - count, -1) if key not in taken]
        if not keys:
            return last_id
        new = self._unused(len(keys))
        for order, key in zip(new, keys, strict=True):
            last_id -= 1
            order.id = last_id
            order.key = key
            order.shown = order.total = lots
        self._side.set_down(new)
        self.quotes = sorted((*staying, *new), key=_key, reverse=True) if staying else new
        return last_id

    def _unused(self, count: int) -> list[Order]:
        """Return so many orders that are not in the book."""
        found = self._spare[:count]
        self._spare = self._spare[count:]
        while len(found) < count:
            found.append(Order(0, self._request, 0, 0))
        return found


def _key(order: Order) -> int:
    return order.key
