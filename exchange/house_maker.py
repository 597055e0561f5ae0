"""The liquidity that the house puts around each source's price."""

from collections.abc import Sequence
from typing import Final

from exchange.execution import Execution
from exchange.floor import Floor
from exchange.grid import Grid
from exchange.order_book import EXPIRE_MAKER, BookSide, OrderBook
from exchange.price_level import Match, Order
from exchange.rules import LIMIT, House
from exchange.session import TRADING, Session
from market.errors import InvalidValueError
from market.orders import PlaceOrder
from market.values import Side

HOUSE: Final = "house"

_ENDLESS: Final = 1 << 200  # lots: more than a book can hold


class HouseMaker:
    """The house's quotes in one book: ordinary orders of the account ``house``.

    It quotes one order a level. The best bid and ask are ``spread_ticks`` apart with the reference
    between them (an odd tick goes to the ask), the next levels a tick further each; what would
    stand at or below zero is left out. The ids of its orders go down from zero.
    """

    __slots__ = ("_ask", "_bid", "_book", "_execution", "_floor", "_house", "_lots", "_session",
                 "quotes")  # fmt: skip

    def __init__(
        self,
        house: House,
        session: Session,
        book: OrderBook,
        floor: Floor,
        execution: Execution,
        quantities: Grid,
    ) -> None:
        symbol = session.symbol
        self._house, self._session, self._book = house, session, book
        self._floor, self._execution = floor, execution
        self._lots = int(house.quantity / quantities.step) if house.levels else 0
        if house.levels and not self._lots:
            raise InvalidValueError(f"{symbol}: the house quotes {house.quantity}, less than a lot")
        self.quotes: dict[int, Order] = {}
        self._bid, self._ask = (
            PlaceOrder(
                account=HOUSE,
                symbol=symbol,
                side=side,
                quantity=quantities.value(max(1, self._lots)),
                type=LIMIT,
            )
            for side in (Side.BUY, Side.SELL)
        )

    @property
    def present(self) -> bool:
        """Whether there is a house at all."""
        return self._house.levels > 0

    def follow(self) -> None:
        """Trade with the orders that the reference has reached, and quote around it."""
        session, book = self._session, self._book
        keys = self._wanted()
        free = self._withdrawn(keys)
        if session.state is TRADING:
            self._reach(book.asks, session.reference)
            self._reach(book.bids, -session.reference)
            session.mark(session.reference)
        self._quote(keys, free)

    def requote(self) -> None:
        """Quote around the reference, or nowhere in a halt; trade with nobody."""
        keys = self._wanted()
        self._quote(keys, self._withdrawn(keys))

    def _wanted(self) -> Sequence[int]:
        """Return the keys at which to quote: bids, then asks, best first."""
        if not self._session.quoted:
            return ()
        house = self._house
        bid = self._session.reference - house.spread_ticks // 2
        ask = bid + house.spread_ticks
        bids = range(bid, max(bid - house.levels, 0), -1)
        return [*bids, *range(-ask, -ask - house.levels, -1)]

    def _withdrawn(self, keys: Sequence[int]) -> list[Order]:
        """Take out and return every quote but the untouched ones at the wanted ``keys``."""
        quotes, lots, staying = self.quotes, self._lots, frozenset(keys)
        gone: list[Order] = []
        bids: list[Order] = []
        asks: list[Order] = []
        for key, order in quotes.items():
            stands = order.level is not None
            if stands and order.shown == lots and key in staying:
                continue
            gone.append(order)
            if stands:
                (bids if key > 0 else asks).append(order)
        for order in gone:
            del quotes[order.key]
        self._book.bids.remove(*bids)
        self._book.asks.remove(*asks)
        return gone

    def _quote(self, keys: Sequence[int], free: list[Order]) -> None:
        """Let the missing quotes at ``keys`` rest, ``free`` orders that left the book first."""
        quotes, lots, last_id = self.quotes, self._lots, self._floor.house_id
        bids: list[Order] = []
        asks: list[Order] = []
        for key in keys:
            if key in quotes:
                continue
            last_id -= 1
            request, line = (self._bid, bids) if key > 0 else (self._ask, asks)
            if free:
                order = free.pop()
                order.id, order.request, order.key, order.shown = last_id, request, key, lots
            else:
                order = Order(last_id, request, key, lots)
            quotes[key] = order
            line.append(order)
        self._floor.house_id = last_id
        self._book.bids.add(*bids)
        self._book.asks.add(*asks)

    def _reach(self, side: BookSide, key: int) -> None:
        """Trade with every client's order that an order with ``key`` would; own quotes go."""
        best = side.best
        if best is None or best < -key:
            return
        found: list[Match] = []
        side.take_from_others(-key, _ENDLESS, found, HOUSE, EXPIRE_MAKER)
        matches = [match for match in found if match[0].id >= 0]
        if matches:
            self._floor.house_id -= 1
            lots = sum(match[1] for match in matches)
            taker = Order(self._floor.house_id, self._bid if key > 0 else self._ask, key, lots)
            self._execution.settle(taker, matches)
