"""How orders meet in the book of one instrument, and what becomes of them."""

from exchange.auction import Uncrossing, uncrossing
from exchange.floor import Floor
from exchange.order_book import NONE, BookSide, OrderBook
from exchange.price_level import BUY, DECREMENTED, TRADED, Match, Order
from exchange.rules import FOK, GTC, IOC, Limits
from exchange.session import TRADING, Session
from exchange.teller import MAKER, TAKER, Teller


class Execution:
    """Trades what crosses, lets the rest stand, and reports both."""

    __slots__ = ("_book", "_floor", "_limits", "_session", "_teller")

    def __init__(
        self, session: Session, book: OrderBook, floor: Floor, limits: Limits, teller: Teller
    ) -> None:
        self._session, self._book, self._floor = session, book, floor
        self._limits, self._teller = limits, teller

    def enter(self, order: Order) -> None:
        """Trade what crosses; what is left rests, or expires."""
        book = self._book
        buys = order.request.side is BUY
        own, other = (book.bids, book.asks) if buys else (book.asks, book.bids)
        reason = self._take(order, other) if self._session.state is TRADING else ""
        if not order.shown:
            self._floor.close(order)
        elif reason:
            self.expire(order, reason)
        else:
            if order.display:
                order.slice()
            own.add(order)
            if order.id not in self._floor.working:
                self._floor.open(order)

    def expire(self, order: Order, reason: str) -> None:
        """Let go of what is left of an order that stands nowhere."""
        left = order.left
        order.shown = order.hidden = 0
        self._floor.close(order)
        self._teller.expired(order, left, reason)

    def settle(self, taker: Order, matches: list[Match]) -> None:
        """Tell what happened to a taker and those it met, in the order it happened."""
        first = last = 0
        ends: dict[int, int] | None = None
        for index, (maker, lots, outcome) in enumerate(matches):
            if outcome == TRADED:
                last = abs(maker.key)
                first = first or last
                self._teller.traded(maker, taker, last, lots, TAKER)
                if not maker.shown and maker.id >= 0:
                    self._floor.close(maker)
            elif outcome == DECREMENTED:
                ends = ends or {match[0].id: at for at, match in enumerate(matches)}
                self._decrement(maker, lots, last=index == ends[maker.id])
                self._decrement(taker, lots, last=index == len(matches) - 1)
            else:
                self.expire(maker, "self-trade-prevention")
        if first:  # the prices between lie between
            self._mark(first)
            self._mark(last)

    def uncross(self) -> None:
        """Trade what crosses after an auction, at one price."""
        book, session = self._book, self._session
        found: Uncrossing | None = uncrossing(
            ((order.price, order.left) for order in book.bids),
            ((order.price, order.left) for order in book.asks),
            session.reference or session.last or None,
        )
        left = found.lots if found is not None else 0
        while found is not None and left:
            bid, ask = next(iter(book.bids)), next(iter(book.asks))
            lots = min(bid.shown, ask.shown, left)
            book.bids.hit(bid, lots)
            book.asks.hit(ask, lots)
            older, younger = sorted((bid, ask), key=lambda order: order.id)
            self._teller.traded(older, younger, found.price, lots, MAKER)
            self._mark(found.price)
            for order in (bid, ask):
                if not order.shown:
                    self._floor.close(order)
            left -= lots

    def _take(self, order: Order, side: BookSide) -> str:
        """Trade what crosses; return why what is left must not rest, or nothing."""
        request, key, keys = order.request, order.key, side.keys
        limit = -key if key else self._limits.collar(request.side)
        if keys and keys[-1] >= limit:
            if request.time_in_force is FOK and not _fillable(order, side, limit):
                return "fill-or-kill"
            if not self._match(order, side, limit):
                return "self-trade-prevention"
        return "" if key and request.time_in_force is GTC else _why_not_rest(order, side)

    def _match(self, order: Order, side: BookSide, limit: int) -> bool:
        """Trade with a side; return whether self-trade prevention lets the order go on."""
        request = order.request
        matches: list[Match] = []
        prevention = request.self_trade_prevention
        going = True
        left = order.shown + order.hidden
        if prevention is None or prevention is NONE:
            left = side.take(limit, left, matches)
        else:
            left, going = side.take_from_others(limit, left, matches, request.account, prevention)
        order.shown, order.hidden = left, 0  # sliced again when it rests
        self.settle(order, matches)
        return going

    def _mark(self, ticks: int) -> None:
        """Take note of a price that was traded at."""
        session = self._session
        session.mark(ticks)
        if not session.reference:
            self._limits.center(ticks)

    def _decrement(self, order: Order, lots: int, *, last: bool) -> None:
        order.total -= lots
        if last and not order.left:
            self._floor.close(order)
            self._teller.expired(order, lots, "self-trade-prevention")
        else:
            self._teller.decremented(order, lots)


def _why_not_rest(order: Order, side: BookSide) -> str:
    """Return why a taker that found no more must go, or nothing when it may rest."""
    request = order.request
    if not order.key:
        return "price-band" if side.keys else "no-liquidity"
    if request.time_in_force is IOC:
        return "immediate-or-cancel"
    return "fill-or-kill" if request.time_in_force is FOK else ""


def _fillable(order: Order, side: BookSide, limit: int) -> bool:
    request = order.request
    prevention = request.self_trade_prevention or NONE
    swept = side.swept(limit, order.left, request.account, prevention)
    return sum(lots for _, lots in swept) == order.left
