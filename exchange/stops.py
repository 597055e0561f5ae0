"""Stop orders that wait for their price."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import NamedTuple

from exchange.price_level import BUY, Order
from market.values import Side


class Waiting(NamedTuple):
    """A stop order in its queue; ``key`` is the stop price, negative for a purchase."""

    key: int
    arrival: int
    order: Order


class StopOrders:
    """The waiting stop orders of one instrument; those a price reaches go in order of entry."""

    __slots__ = ("_arrivals", "_buys", "_places", "_sells")

    def __init__(self) -> None:
        self._arrivals = 0
        self._buys: list[Waiting] = []  # the greatest key, which is last, is elected first
        self._sells: list[Waiting] = []
        self._places: dict[int, Waiting] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, order: Order) -> bool:
        return order.id in self._places

    def __iter__(self) -> Iterator[Waiting]:
        yield from self._places.values()  # in order of entry

    def add(self, order: Order, stop: int) -> None:
        """Let ``order`` wait until the price is at ``stop`` or beyond."""
        self._arrivals += 1
        key = -stop if order.request.side is BUY else stop
        waiting = self._places[order.id] = Waiting(key, self._arrivals, order)
        insort(self._line(order.request.side), waiting)

    def remove(self, order: Order) -> None:
        """Take a waiting order out."""
        waiting = self._places.pop(order.id)
        line = self._line(order.request.side)
        del line[bisect_left(line, waiting)]

    def elected(self, low: int, high: int) -> list[Order]:
        """Take out and return, in order of entry, what prices in [low, high] set off."""
        if not self._places:
            return []
        found = [*_reached(self._buys, -high), *_reached(self._sells, low)]
        found.sort(key=lambda waiting: waiting.arrival)
        for waiting in found:
            del self._places[waiting.order.id]
        return [waiting.order for waiting in found]

    def _line(self, side: Side) -> list[Waiting]:
        return self._buys if side is BUY else self._sells


def _reached(line: list[Waiting], key: int) -> Iterator[Waiting]:
    while line and line[-1].key >= key:
        yield line.pop()
