"""The quotes of the house on one side of a book, a tick apart."""

from collections.abc import Sequence

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

    def withdraw(self, top: int, count: int) -> None:
        """Take out all quotes but the untouched ones at the ``count`` keys from ``top`` down."""
        quotes, below = self.quotes, top - count
        if not quotes:
            return
        best, worst = quotes[0].key, quotes[-1].key
        first = max(best - top, 0)
        last = len(quotes) - max(below + 1 - worst, 0)
        if last <= first:  # none is near
            staying, leaving = [], quotes
        elif best - worst == len(quotes) - 1 and self._untouched(quotes[first:last]):
            staying, leaving = quotes[first:last], quotes[:first] + quotes[last:]
        else:
            staying, leaving = self._parted(below, top)
        if leaving:
            self._side.lift(leaving)
            self._spare += leaving
            self.quotes = staying

    def _untouched(self, quotes: list[Order]) -> bool:
        lots = self._lots
        for order in quotes:  # noqa: SIM110 - all() would take twice as long, at every tick
            if order.shown != lots or order.level is None:
                return False
        return True

    def _parted(self, below: int, top: int) -> tuple[list[Order], list[Order]]:
        """Return the quotes that may stay, and the others."""
        staying: list[Order] = []
        leaving: list[Order] = []
        for order in self.quotes:
            stays = below < order.key <= top and self._untouched([order])
            (staying if stays else leaving).append(order)
        return staying, leaving

    def quote(self, top: int, count: int, last_id: int) -> int:
        """Let the missing ones of those ``count`` quotes rest, the best first; return the last id.

        The ids of the new ones go down from ``last_id``.
        """
        staying, lots = self.quotes, self._lots
        missing = count - len(staying)
        if not missing:
            return last_id
        new = self._unused(missing)
        for order, key in zip(new, self._missing(top, count), strict=True):
            last_id -= 1
            order.id = last_id
            order.key = key
            order.shown = order.total = lots
        self._side.set_down(new)
        if not staying:
            self.quotes = new
        elif new[-1].key > staying[0].key:
            self.quotes = new + staying
        else:
            self.quotes = sorted((*staying, *new), key=_key, reverse=True)
        return last_id

    def _missing(self, top: int, count: int) -> Sequence[int]:
        """Return those of the ``count`` keys from ``top`` down at which there is no quote."""
        keys, quotes = range(top, top - count, -1), self.quotes
        if not quotes:
            return keys
        best, worst = quotes[0].key, quotes[-1].key
        if best - worst == len(quotes) - 1 and (best == top or worst == keys[-1]):
            return keys[len(quotes) :] if best == top else keys[: -len(quotes)]
        taken = {order.key for order in quotes}
        return [key for key in keys if key not in taken]

    def _unused(self, count: int) -> list[Order]:
        """Return so many orders that are not in the book."""
        found = self._spare[:count]
        self._spare = self._spare[count:]
        while len(found) < count:
            found.append(Order(0, self._request, 0, 0))
        return found


def _key(order: Order) -> int:
    return order.key
