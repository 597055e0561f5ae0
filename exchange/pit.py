"""The trading of one instrument: orders go in, facts come out; no I/O, no clock, no chance."""

from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import Final

from exchange.auction import Uncrossing, uncrossing
from exchange.circuit_breaker import CircuitBreaker
from exchange.floor import REOPENING, Floor
from exchange.grid import Grid
from exchange.house_maker import HouseMaker
from exchange.order_book import NONE, BookSide, OrderBook
from exchange.price_level import BUY, DECREMENTED, TRADED, Match, Order
from exchange.reporter import MAKER, TAKER, Reporter
from exchange.rules import (
    FOK,
    GTC,
    GTD,
    IOC,
    LIMIT,
    MARKET,
    STOP,
    Fees,
    Limits,
    Refusal,
    Rules,
    misshapen,
    plain,
)
from exchange.stops import StopOrders
from exchange.working import Depth, MayTrade, OrderState, PitState, Sweep, WorkingOrder
from market.errors import OffGridError
from market.orders import Liquidity, PlaceOrder, SelfTradePrevention, TradingState
from market.values import Instrument, Side

TRADING: Final = TradingState.TRADING
HALTED: Final = TradingState.HALTED
AUCTION: Final = TradingState.AUCTION


class Pit:
    """One instrument's book, waiting stops, house and trading state.

    Everything it says goes to the floor's ``facts``; prices are ticks and quantities lots here.
    """

    def __init__(
        self, instrument: Instrument, rules: Rules, floor: Floor, may_trade: MayTrade
    ) -> None:
        self.symbol = instrument.symbol
        self.state = TRADING
        self.until: datetime | None = None
        self.book = OrderBook()
        self._rules, self._floor, self._may_trade = rules, floor, may_trade
        self._prices = Grid("price", instrument.tick_size)
        self._quantities = Grid("quantity", instrument.lot_size)
        self._limits = Limits(rules, self._prices, self._quantities)
        self._fees = Fees(rules, self._prices, self._quantities)
        self._reporter = Reporter(self.symbol, floor, self._prices, self._quantities, self._fees)
        self._house = HouseMaker(rules.house, self.symbol, self._quantities)
        self._breaker = CircuitBreaker(rules.halt_move_pct, rules.halt_window_s)
        self._stops = StopOrders()
        self._reference = 0  # ticks, 0 when there is none
        self._last = 0
        self._low = self._high = 0  # of the trades since stops were last elected

    # --- commands ---------------------------------------------------------------------------------

    def place(self, order_id: int, request: PlaceOrder) -> None:
        """Take an order in, or refuse it."""
        try:
            order = self._order(order_id, request)
        except OffGridError as error:
            self._reporter.rejected(order_id, request, _off_grid(error))
            return
        refusal = self._refusal(order)
        if refusal is not None:
            self._reporter.rejected(order_id, request, refusal)
            return
        self._reporter.accepted(order)
        if request.stop_price is not None:
            self._wait(order, request.stop_price)
        else:
            self._enter(order)
        if self._high:
            self._run_stops()

    def cancel(self, order: Order) -> None:
        """Take a working order out."""
        self._withdraw(order)
        self._reporter.cancelled(order, order.left)

    def expire(self, order: Order) -> None:
        """Take a working order out whose time is over."""
        self._withdraw(order)
        self._expire(order, "expire-time")

    def amend(self, order: Order, quantity: Decimal | None, price: Decimal | None) -> None:
        """Change what a working order asks for, or refuse to."""
        key, total = order.key, order.total
        try:
            if price is not None:
                key = self._prices.whole(price) * order.request.side.sign
            if quantity is not None:
                total = self._quantities.whole(quantity)
        except OffGridError as error:
            self._reporter.amendment_rejected(order, _off_grid(error))
            return
        refusal = self._amend_refusal(order, key, total)
        if refusal is not None:
            self._reporter.amendment_rejected(order, refusal)
            return
        self._amend(order, key, total)
        if self._high:
            self._run_stops()

    def nearest(self, price: Decimal) -> int:
        """Return a price in ticks; raise OffGridError when it is no positive number below 10^12."""
        return self._prices.nearest(price)

    def reference(self, ticks: int) -> None:
        """Take in a source's price: it may halt trading; the house quotes around it."""
        self._reference = ticks
        self._limits.center(ticks)
        broken = self._breaker.breaks(ticks, self._floor.time)
        if broken and self.state is TRADING:
            self._halt_for_a_move()
        elif self._house.present:
            self._follow(ticks)

    def halt(self, state: TradingState, reason: str, lasts_s: float = 0.0) -> None:
        """Close trading; with ``lasts_s`` it opens again by itself."""
        self._change(state, reason, lasts_s)
        self._make_room()
        self._quote()

    def resume(self) -> None:
        """Open trading; orders that cross are uncrossed first, at one price."""
        if self.state is TRADING:
            return
        self._uncross()
        self._breaker.reset()
        self._change(TRADING, "resumed", 0.0)
        if self._last:  # stops that came in while trading was closed
            self._mark(self._last)
        if self._house.present and self._reference:
            self._follow(self._reference)
        self._run_stops()

    def reopen(self) -> None:
        """Do what the end of a timed state asks for: after the halt the auction, then trading."""
        if self.state is HALTED and self._rules.auction_s:
            self.halt(AUCTION, "the halt is over", self._rules.auction_s)
        else:
            self.resume()

    # --- questions --------------------------------------------------------------------------------

    def depth(self, levels: int) -> Depth:
        """Return the best visible levels."""
        price, quantity = self._prices.value, self._quantities.value
        bids, asks = (
            tuple((price(ticks), quantity(lots)) for ticks, lots in side.depth(levels))
            for side in (self.book.bids, self.book.asks)
        )
        return Depth(bids=bids, asks=asks)

    def view(self, order: Order) -> WorkingOrder:
        """Return a working order as it is seen from outside."""
        return WorkingOrder(
            order_id=order.id,
            order=order.request,
            quantity=self._quantities.value(order.total),
            remaining=self._quantities.value(order.left),
            price=self._prices.value(order.price) if order.key else None,
            waiting=order in self._stops,
        )

    def cost_to_take(
        self,
        side: Side,
        quantity: Decimal,
        price: Decimal | None,
        account: str,
        prevention: SelfTradePrevention | None,
    ) -> Sweep:
        """Return what a taker would get now; nothing changes."""
        limit = self._collar(side) if price is None else -side.sign * self._prices.whole(price)
        opposite = self.book.asks if side is BUY else self.book.bids
        lots = self._quantities.whole(quantity)
        taken = units = worst = 0
        for worst, part in opposite.swept(limit, lots, account, prevention or NONE):
            taken += part
            units += worst * part
        unit = Context(prec=80).multiply(self._prices.step, self._quantities.step)
        return Sweep(
            quantity=self._quantities.value(taken),
            notional=Context(prec=100).multiply(unit, units),
            worst_price=self._prices.value(worst) if worst else None,
            fee=self._fees.taker(units),
        )

    # --- admission --------------------------------------------------------------------------------

    def _order(self, order_id: int, request: PlaceOrder) -> Order:
        lots = self._quantities.whole(request.quantity)
        price = request.price
        ticks = 0 if price is None else self._prices.whole(price)
        order = Order(order_id, request, ticks if request.side is BUY else -ticks, lots)
        if request.display_quantity is not None:
            order.display = self._quantities.whole(request.display_quantity)
            order.slice()
        if request.stop_price is not None:
            self._prices.whole(request.stop_price)
        return order

    def _refusal(self, order: Order) -> Refusal | None:
        request = order.request
        if self.state is not TRADING and (refusal := self._closed_to(request)):
            return refusal
        if not plain(request) and (refusal := misshapen(request) or self._too_late(request)):
            return refusal
        likely = 0 if order.key or not self._limits.min_units else self._likely_price(request)
        refusal = self._limits.refusal(abs(order.key), likely, order.total)
        if refusal is None and request.post_only and request.type is LIMIT:
            refusal = self._taking(order)
        if refusal is None and self._rules.max_open_orders:
            refusal = self._too_many(request)
        return refusal

    def _closed_to(self, request: PlaceOrder) -> Refusal | None:
        if self.state is AUCTION:
            rests = request.time_in_force in (GTC, GTD) and request.type is not MARKET
            if rests and not request.post_only:
                return None
            what = "in an auction, which takes limit and stop orders that may rest"
        else:
            what = f"{self.state}: orders can only be cancelled"
        return Refusal("trading-state", f"{self.symbol} is {what}")

    def _too_late(self, request: PlaceOrder) -> Refusal | None:
        expiry = request.expire_time
        if expiry is None or expiry > self._floor.time:
            return None
        return Refusal("expire-time", f"expire_time {expiry} is not after {self._floor.time}")

    def _too_many(self, request: PlaceOrder) -> Refusal | None:
        most = self._rules.max_open_orders
        if request.type is MARKET or request.time_in_force in (IOC, FOK):
            return None
        open_orders = self._floor.open_orders.get(request.account, 0)
        if open_orders < most:
            return None
        return Refusal("max-open-orders", f"{open_orders} orders are open, {most} may be")

    def _taking(self, order: Order) -> Refusal | None:
        if self.state is AUCTION or not self.book.crosses(order):
            return None
        best = self._prices.value(abs(self.book.opposite_of(order).best or 0))
        return Refusal(
            "post-only-would-take", f"at {self._prices.value(order.price)} it would take {best}"
        )

    def _likely_price(self, request: PlaceOrder) -> int:
        if request.stop_price is not None:
            return self._prices.whole(request.stop_price)
        best = (self.book.asks if request.side is BUY else self.book.bids).best
        return abs(best) if best is not None else self._last or self._reference

    def _amend_refusal(self, order: Order, key: int, total: int) -> Refusal | None:
        if self.state not in (TRADING, AUCTION):
            return self._closed_to(order.request)
        if key and not order.key:
            return Refusal("invalid-order", f"a {order.request.type} order has no price")
        filled = order.total - order.left
        if total <= filled:
            filled_quantity = self._quantities.value(filled)
            asked = self._quantities.value(total)
            return Refusal("invalid-order", f"{filled_quantity} of {asked} is already filled")
        refusal = self._limits.refusal(abs(key), 0, total)
        if refusal is None and order.request.post_only and order.level is not None:
            changed = Order(order.id, order.request, key, total)
            refusal = self._taking(changed)
        return refusal

    # --- entering the book ------------------------------------------------------------------------

    def _wait(self, order: Order, stop_price: Decimal) -> None:
        """Let a stop order wait for its price; it goes off at once when that is reached."""
        stop = self._prices.whole(stop_price)
        self._floor.open(order)
        self._stops.add(order, stop)
        if self._last and self.state is TRADING:
            self._low = self._high = self._last

    def _enter(self, order: Order) -> None:
        """Trade what crosses; what is left rests, or expires."""
        reason = self._take(order) if self.state is TRADING else ""
        if not order.shown:
            self._floor.close(order)
        elif reason:
            self._expire(order, reason)
        else:
            self._rest(order)

    def _take(self, order: Order) -> str:
        """Trade what crosses; return why what is left must not rest, or nothing."""
        request = order.request
        key = order.key
        limit = -key if key else self._collar(request.side)
        side = self.book.asks if request.side is BUY else self.book.bids
        keys = side.keys
        going = True
        if keys and keys[-1] >= limit:
            if request.time_in_force is FOK and not self._fillable(order, side, limit):
                return "fill-or-kill"
            going = self._match(order, side, limit)
        if request.time_in_force is GTC and key and going:
            return ""
        return self._why_not_rest(order, side) if going else "self-trade-prevention"

    def _match(self, order: Order, side: BookSide, limit: int) -> bool:
        matches: list[Match] = []
        request = order.request
        prevention = request.self_trade_prevention
        going = True
        left = order.shown + order.hidden
        if prevention is None or prevention is NONE:
            left = side.take(limit, left, matches)
        else:
            left, going = side.take_from_others(limit, left, matches, request.account, prevention)
        order.shown, order.hidden = left, 0  # sliced again when it rests
        self._report(order, matches)
        return going

    def _why_not_rest(self, order: Order, side: BookSide) -> str:
        """Return why a taker that found no more must go, or nothing when it may rest."""
        request = order.request
        if not order.key:
            return "price-band" if side.keys else "no-liquidity"
        if request.time_in_force is IOC:
            return "immediate-or-cancel"
        return "fill-or-kill" if request.time_in_force is FOK else ""

    def _fillable(self, order: Order, side: BookSide, limit: int) -> bool:
        request = order.request
        prevention = request.self_trade_prevention or NONE
        swept = side.swept(limit, order.left, request.account, prevention)
        return sum(lots for _, lots in swept) == order.left

    def _rest(self, order: Order) -> None:
        if order.display:
            order.slice()
        (self.book.bids if order.key > 0 else self.book.asks).add(order)
        if order.id not in self._floor.working:
            self._floor.open(order)

    def _collar(self, side: Side) -> int:
        """Return the worst key that an order without a limit may take: the edge of the band."""
        return -self._limits.high if side is BUY else self._limits.low

    def _withdraw(self, order: Order) -> None:
        if order in self._stops:
            self._stops.remove(order)
        else:
            self.book.side_of(order).remove(order)
        self._floor.close(order)

    def _amend(self, order: Order, key: int, total: int) -> None:
        left = order.left + total - order.total
        stands = order.level is None or (key == order.key and left <= order.left)
        side = self.book.side_of(order)
        if not stands:
            side.remove(order)
        order.total = total
        order.key = key
        if stands and order.level is not None:
            side.resize(order, left)
        else:
            order.resize(left)
        self._reporter.amended(order)
        if not stands:
            self._enter(order)

    # --- stops ------------------------------------------------------------------------------------

    def _mark(self, price: int) -> None:
        """Note a price that may set off stops."""
        self._last = price
        if not self._high:
            self._low = self._high = price
        elif price > self._high:
            self._high = price
        elif price < self._low:
            self._low = price

    def _run_stops(self) -> None:
        """Carry out what was set off: a queue, so that each stop ends before the next begins."""
        chain: deque[Order] = deque()
        while True:
            if self._high:
                low, high = self._low, self._high
                self._low = self._high = 0
                if self.state is TRADING:
                    chain.extend(self._stops.elected(low, high))
            if not chain:
                return
            self._trigger(chain.popleft())

    def _trigger(self, order: Order) -> None:
        request = order.request
        self._reporter.triggered(order)
        if request.type is STOP and not self._may_trade(self.view(order), self._floor.facts):
            self._expire(order, "insufficient-funds")
        elif request.post_only and self.book.crosses(order):
            self._expire(order, "post-only-would-take")
        else:
            self._enter(order)

    # --- the house, halts and auctions ------------------------------------------------------------

    def _follow(self, ticks: int) -> None:
        """Let the house trade with the orders that the price has reached, and quote around it."""
        self._make_room()
        if self.state is TRADING:
            self._reach(self.book.asks, ticks)
            self._reach(self.book.bids, -ticks)
            self._mark(ticks)
        self._quote()
        self._run_stops()

    def _reach(self, side: BookSide, key: int) -> None:
        best = side.best
        if best is None or best < -key:
            return
        matches = self._house.reached(side, -key)
        if matches:
            self._floor.house_id -= 1
            lots = sum(match[1] for match in matches)
            self._report(Order(self._floor.house_id, self._house.request(key), key, lots), matches)

    def _make_room(self) -> None:
        """Withdraw what the house quotes elsewhere than now; all of it in a halt."""
        quoting = self.state in (TRADING, AUCTION)
        staying = self._house.keys(self._reference) if quoting else ()
        self._house.withdraw(self.book, frozenset(staying))

    def _quote(self) -> None:
        if self._house.present and self._reference and self.state in (TRADING, AUCTION):
            self._floor.house_id = self._house.quote(
                self.book, self._reference, self._floor.house_id
            )

    def _halt_for_a_move(self) -> None:
        rules = self._rules
        reason = f"the price moved by {rules.halt_move_pct} % within {rules.halt_window_s:g} s"
        if rules.halt_s or not rules.auction_s:
            self.halt(HALTED, reason, rules.halt_s)
        else:
            self.halt(AUCTION, reason, rules.auction_s)

    def _change(self, state: TradingState, reason: str, lasts_s: float) -> None:
        floor = self._floor
        if self.until is not None:
            floor.let_sleep(self.until, REOPENING, 0, self.symbol)
        self.state = state
        self.until = floor.time + timedelta(seconds=lasts_s) if lasts_s else None
        if self.until is not None:
            floor.wake(self.until, REOPENING, 0, self.symbol)
        self._reporter.changed(state, reason, self.until)

    def _uncross(self) -> None:
        found: Uncrossing | None = uncrossing(
            ((order.price, order.left) for order in self.book.bids),
            ((order.price, order.left) for order in self.book.asks),
            self._reference or self._last or None,
        )
        left = found.lots if found is not None else 0
        while found is not None and left:
            bid, ask = next(iter(self.book.bids)), next(iter(self.book.asks))
            lots = min(bid.shown, ask.shown, left)
            self.book.bids.hit(bid, lots)
            self.book.asks.hit(ask, lots)
            older, younger = sorted((bid, ask), key=lambda order: order.id)
            self._trade(older, younger, found.price, lots, MAKER)
            for order in (bid, ask):
                if not order.shown:
                    self._floor.close(order)
            left -= lots

    # --- what happened ----------------------------------------------------------------------------

    def _report(self, taker: Order, matches: list[Match]) -> None:
        """Tell what happened to a taker and those it met, in the order it happened."""
        close = self._floor.close
        for index, (maker, lots, outcome) in enumerate(matches):
            if outcome == TRADED:
                self._trade(maker, taker, abs(maker.key), lots, TAKER)
                if not maker.shown:
                    close(maker)
            elif outcome == DECREMENTED:
                self._decrement(maker, lots, last=_is_last(maker, matches[index + 1 :]))
                self._decrement(taker, lots, last=index == len(matches) - 1)
            else:
                self._expire(maker, "self-trade-prevention")

    def _trade(self, maker: Order, taker: Order, ticks: int, lots: int, second: Liquidity) -> None:
        self._reporter.traded(maker, taker, ticks, lots, second)
        self._mark(ticks)
        if not self._reference:
            self._limits.center(ticks)

    def _decrement(self, order: Order, lots: int, *, last: bool) -> None:
        order.total -= lots
        if last and not order.left:
            self._floor.close(order)
            self._reporter.expired(order, lots, "self-trade-prevention")
        else:
            self._reporter.decremented(order, lots)

    def _expire(self, order: Order, reason: str) -> None:
        left = order.left
        order.shown = order.hidden = 0
        self._floor.close(order)
        self._reporter.expired(order, left, reason)

    # --- snapshots --------------------------------------------------------------------------------

    def snapshot(self) -> PitState:
        """Return all there is to know."""
        highs, lows = self._breaker.state()
        resting = (_kept(order, 0) for side in self._sides() for order in side)
        waiting = (_kept(waiting.order, abs(waiting.key)) for waiting in self._stops)
        return PitState(
            symbol=self.symbol,
            state=self.state,
            until=self.until,
            reference=self._reference,
            last=self._last,
            orders=(*resting, *waiting),
            highs=highs,
            lows=lows,
        )

    def restore(self, state: PitState) -> None:
        """Stand where ``snapshot`` was taken; this pit must be new."""
        self.state, self.until = state.state, state.until
        self._reference, self._last = state.reference, state.last
        self._breaker.restore(state.highs, state.lows)
        if center := state.reference or state.last:
            self._limits.center(center)
        if self.until is not None:
            self._floor.wake(self.until, REOPENING, 0, self.symbol)
        for kept in state.orders:
            self._put_back(kept)

    def _put_back(self, kept: OrderState) -> None:
        order = Order(kept.id, kept.request, kept.key, kept.total)
        order.shown, order.hidden, order.display = kept.shown, kept.hidden, kept.display
        if kept.stop:
            self._stops.add(order, kept.stop)
        else:
            self.book.side_of(order).add(order)
        if kept.id < 0:
            self._house.quotes[kept.key] = order
        else:
            self._floor.open(order)

    def _sides(self) -> tuple[BookSide, BookSide]:
        return self.book.bids, self.book.asks


def _off_grid(error: OffGridError) -> Refusal:
    return Refusal("tick-size" if error.what == "price" else "lot-size", str(error))


def _is_last(maker: Order, later: Iterable[Match]) -> bool:
    """Whether a maker is not met again: an iceberg may be, slice after slice."""
    return all(match[0] is not maker for match in later)


def _kept(order: Order, stop: int) -> OrderState:
    return OrderState(
        order.id,
        order.request,
        order.key,
        order.total,
        order.shown,
        order.hidden,
        order.display,
        stop,
    )
