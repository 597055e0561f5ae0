"""Bids and asks of one instrument in price-time priority, on whole ticks and lots; no I/O.

Both sides are kept alike by signed prices ("keys"): a bid at 100 has key 100, an ask at 100 has
key -100. The greater key is the better one, and an order with key ``k`` trades with the orders on
the other side whose key is at least ``-k``.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile
from typing import Final

from exchange.price_level import BUY, DECREMENTED, EXPIRED, Match, Order, PriceLevel
from market.orders import SelfTradePrevention

NONE: Final = SelfTradePrevention.NONE
EXPIRE_TAKER: Final = SelfTradePrevention.EXPIRE_TAKER
EXPIRE_MAKER: Final = SelfTradePrevention.EXPIRE_MAKER
EXPIRE_BOTH: Final = SelfTradePrevention.EXPIRE_BOTH
DECREMENT: Final = SelfTradePrevention.DECREMENT

ANY_PRICE: Final = -(1 << 200)  # below every key: what a market order accepts


class BookSide:
    """The price levels of one side, and their keys in rising order: the best is the last."""

    __slots__ = ("changes", "keys", "levels")

    def __init__(self) -> None:
        self.keys: list[int] = []
        self.levels: dict[int, PriceLevel] = {}
        self.changes = 0

    def __iter__(self) -> Iterator[Order]:
        for key in reversed(self.keys):
            yield from self.levels[key]

    @property
    def best(self) -> int | None:
        """The key of the best level, None when the side is empty."""
        return self.keys[-1] if self.keys else None

    def add(self, order: Order) -> None:
        """Let an order rest, at the end of its level's queue."""
        self.changes += 1
        key = order.key
        level = self.levels.get(key)
        if level is None:
            insort(self.keys, key)
            self.levels[key] = PriceLevel(order)
        else:
            level.append(order)

    def remove(self, order: Order) -> None:
        """Take a resting order out."""
        self.changes += 1
        if order.before is None and order.after is None:  # it stands alone
            order.level = None
            self._drop(order.key)
        else:
            self.levels[order.key].remove(order)

    def lift(self, orders: Sequence[Order]) -> None:
        """Take out those of several orders that rest; one that stands alone keeps its level."""
        levels = self.levels
        lone: list[int] = []
        for order in orders:
            if order.before is not None or order.after is not None:
                levels[order.key].remove(order)
                self.changes += 1
            elif order.level is not None:
                del levels[order.key]
                lone.append(order.key)
        if lone:
            self.changes += len(lone)
            _cut(self.keys, lone)

    def set_down(self, orders: Sequence[Order]) -> None:
        """Let several orders rest, the best first; one that was lifted brings its level back."""
        keys, levels = self.keys, self.levels
        at = bisect_left(keys, orders[-1].key)
        if at < len(keys) and keys[at] <= orders[0].key:  # others stand among them
            for order in orders:
                self.add(order)
            return
        keys[at:at] = [order.key for order in reversed(orders)]
        for order in orders:
            level = order.level
            if level is None:
                level = PriceLevel(order)
            else:
                level.lots = order.shown
            levels[order.key] = level
        self.changes += len(orders)

    def move(self, orders: Sequence[Order], first: int) -> None:
        """Take orders, each alone at its key, to the keys from ``first`` down: nothing is there."""
        levels, key = self.levels, first
        for order in orders:
            levels[key] = levels.pop(order.key)
            order.key = key
            key -= 1
        self.keys = sorted(levels)
        self.changes += 2 * len(orders)

    def resize(self, order: Order, lots: int) -> None:
        """Leave ``lots`` of a resting order to be filled; it keeps its place in the queue."""
        level = self.levels[order.key]
        level.lots -= order.shown
        order.resize(lots)
        level.lots += order.shown
        self.changes += 1

    def take(self, limit: int, lots: int, matches: list[Match]) -> int:
        """Trade up to ``lots`` at keys of ``limit`` and better; return the lots that are left."""
        keys, levels = self.keys, self.levels
        while lots and keys and keys[-1] >= limit:
            key = keys[-1]
            level = levels[key]
            lots = level.fill(lots, matches)
            self.changes += 1
            if level.head is None:
                del levels[key]
                keys.pop()
        return lots

    def take_from_others(
        self, limit: int, lots: int, matches: list[Match], own: str, prevention: SelfTradePrevention
    ) -> tuple[int, bool]:
        """Trade as ``take`` does, but never with the account ``own``.

        Returns the lots that are left, and whether ``prevention`` lets them go on.
        """
        keys, levels = self.keys, self.levels
        going = True
        while going and lots and keys and keys[-1] >= limit:
            key = keys[-1]
            level = levels[key]
            left = level.fill(lots, matches, own)
            if left < lots:
                self.changes += 1
                lots = left
            if level.head is None:
                del levels[key]
                keys.pop()
            elif lots:  # its own
                lots, going = self._prevent(level.head, lots, matches, prevention)
        return lots, going

    def _prevent(
        self, maker: Order, lots: int, matches: list[Match], prevention: SelfTradePrevention
    ) -> tuple[int, bool]:
        if prevention is DECREMENT:
            part = min(lots, maker.shown)
            matches.append((maker, part, DECREMENTED))
            self.hit(maker, part)
            return lots - part, True
        if prevention is not EXPIRE_TAKER:
            matches.append((maker, maker.left, EXPIRED))
            self.remove(maker)
        return lots, prevention is EXPIRE_MAKER

    def hit(self, order: Order, lots: int) -> None:
        """Take ``lots`` of what a resting order shows, its whole slice at most."""
        level = self.levels[order.key]
        level.hit(order, lots)
        self.changes += 1
        if level.head is None:
            self._drop(order.key)

    def swept(
        self, limit: int, lots: int, own: str, prevention: SelfTradePrevention
    ) -> Iterator[tuple[int, int]]:
        """Yield the (price, lots) that taking would trade, in order; nothing changes."""
        for key in takewhile(limit.__le__, reversed(self.keys)):
            for order, shown in _slices(self.levels[key]):
                part = min(shown, lots)
                if prevention is NONE or order.request.account != own:
                    yield abs(key), part
                elif prevention is EXPIRE_MAKER:
                    continue
                elif prevention is not DECREMENT:
                    return
                lots -= part
                if not lots:
                    return

    def depth(self, levels: int) -> list[tuple[int, int]]:
        """Return the (price, visible lots) of the best ``levels`` levels, best first."""
        return [(abs(key), self.levels[key].lots) for key in islice(reversed(self.keys), levels)]

    def _drop(self, key: int) -> None:
        del self.levels[key]
        if self.keys[-1] == key:
            self.keys.pop()
        else:
            del self.keys[bisect_left(self.keys, key)]


class OrderBook:
    """Two sides that never cross, but for the orders that wait for an auction."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids = BookSide()
        self.asks = BookSide()

    def __iter__(self) -> Iterator[BookSide]:
        yield self.bids
        yield self.asks

    @property
    def changes(self) -> int:
        """A number that grows whenever the book changes."""
        return self.bids.changes + self.asks.changes

    def side_of(self, order: Order) -> BookSide:
        """Return the side that ``order`` rests on."""
        return self.bids if order.request.side is BUY else self.asks

    def opposite_of(self, order: Order) -> BookSide:
        """Return the side that ``order`` trades with."""
        return self.asks if order.request.side is BUY else self.bids

    def crosses(self, order: Order) -> bool:
        """Whether a limit order would trade at once."""
        best = self.opposite_of(order).best
        return best is not None and best >= -order.key


def _cut(keys: list[int], gone: Sequence[int]) -> None:
    """Take falling keys out of rising ones, in one piece when nothing stands between them."""
    at = bisect_left(keys, gone[-1])
    end = at + len(gone)
    if keys[end - 1] == gone[0]:
        del keys[at:end]
        return
    for key in gone:
        del keys[bisect_left(keys, key)]


def _slices(level: PriceLevel) -> Iterator[tuple[Order, int]]:
    """Yield the slices of a level in the order they would trade."""
    hidden: deque[tuple[Order, int]] = deque()
    first = level.head
    while first is not None:
        yield first, first.shown
        if first.hidden:
            hidden.append((first, first.hidden))
        first = first.after
    while hidden:
        order, left = hidden.popleft()
        shown = min(left, order.display)
        yield order, shown
        if left > shown:
            hidden.append((order, left - shown))
