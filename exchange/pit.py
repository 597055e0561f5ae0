"""The trading of one instrument: orders go in, facts come out; no I/O, no clock, no chance."""

from decimal import Decimal

from exchange.book_view import BookView
from exchange.circuit_breaker import CircuitBreaker
from exchange.execution import Execution
from exchange.floor import Floor
from exchange.gate import Gate, off_grid
from exchange.grid import Grid
from exchange.house_maker import HouseMaker
from exchange.order_book import OrderBook
from exchange.price_level import Order
from exchange.reporter import Reporter
from exchange.rules import Fees, Limits, Rules
from exchange.session import AUCTION, HALTED, TRADING, Session
from exchange.stop_chain import StopChain
from exchange.stops import StopOrders
from exchange.teller import Teller
from exchange.working import MayTrade, OrderState, PitState, WorkingOrder
from market.errors import OffGridError
from market.orders import PlaceOrder, TradingState
from market.values import Instrument


class Pit:
    """One instrument's book, waiting stops, house and trading state.

    Prices are ticks and quantities lots here. Decimals come in through `place`, `amend` and
    `nearest`, and go out through the teller, which writes facts to the floor if no other is given.
    The gate lets orders in, the execution trades them, the chain carries out stops, the house
    quotes, and the session knows what is allowed.
    """

    def __init__(
        self,
        instrument: Instrument,
        rules: Rules,
        floor: Floor,
        may_trade: MayTrade = lambda *_: True,
        teller: Teller | None = None,
    ) -> None:
        prices = Grid("price", instrument.tick_size)
        quantities = Grid("quantity", instrument.lot_size)
        limits, fees = Limits(rules, prices, quantities), Fees(rules, prices, quantities)
        book, stops = OrderBook(), StopOrders()
        teller = teller or Reporter(instrument.symbol, floor, prices, quantities, fees)
        session = Session(instrument.symbol, floor, teller)
        execution = Execution(session, book, floor, limits, teller)
        view = BookView(book, limits, fees, prices, quantities)
        self._rules, self._floor, self._prices, self._limits = rules, floor, prices, limits
        self.grids = prices, quantities
        self.session, self.book, self.view = session, book, view
        self._stops, self._teller, self._execution = stops, teller, execution
        self._breaker = CircuitBreaker(rules.halt_move_pct, rules.halt_window_s)
        self._house = HouseMaker(rules.house, session, book, floor, execution, quantities)
        self._chain = StopChain(stops, session, book, view, floor, execution, teller, may_trade)
        self._gate = Gate(session, book, floor, limits, prices, quantities, rules.max_open_orders)

    # --- orders -----------------------------------------------------------------------------------

    def place(self, order_id: int, request: PlaceOrder) -> None:
        """Take what is asked for in ticks and lots, and in, or refuse it."""
        try:
            order = self._gate.measured(order_id, request)
        except OffGridError as error:
            self._teller.rejected(order_id, request, off_grid(error))
        else:
            self.enter(order)

    def enter(self, order: Order) -> None:
        """Take an order in, or refuse it."""
        request = order.request
        refusal = self._gate.refusal(order)
        if refusal is not None:
            self._teller.rejected(order.id, request, refusal)
            return
        self._teller.accepted(order)
        if request.stop_price is not None:
            self._wait(order, request.stop_price)
        else:
            self._execution.enter(order)
        if self.session.high:
            self._chain.run()

    def cancel(self, order: Order) -> None:
        """Take a working order out."""
        self._withdraw(order)
        self._teller.cancelled(order, order.shown + order.hidden)

    def expire(self, order: Order) -> None:
        """Take a working order out whose time is over."""
        self._withdraw(order)
        self._execution.expire(order, "expire-time")

    def amend(self, order: Order, quantity: Decimal | None, price: Decimal | None) -> None:
        """Change what a working order asks for, or refuse to."""
        try:
            key, total = self._gate.amended(order, quantity, price)
        except OffGridError as error:
            self._teller.amendment_rejected(order, off_grid(error))
            return
        refusal = self._gate.amendment_refusal(order, key, total)
        if refusal is not None:
            self._teller.amendment_rejected(order, refusal)
            return
        self._amend(order, key, total)
        if self.session.high:
            self._chain.run()

    def working(self, order: Order) -> WorkingOrder:
        """Return a working order as it is seen from outside."""
        return self.view.order(order, waiting=order in self._stops)

    def _wait(self, order: Order, stop_price: Decimal) -> None:
        """Let a stop order wait for its price; it goes off at once when that is reached."""
        session = self.session
        self._floor.open(order)
        self._stops.add(order, self._prices.whole(stop_price))
        if session.last and session.state is TRADING:
            session.low = session.high = session.last

    def _withdraw(self, order: Order) -> None:
        if order.level is None:  # it waits
            self._stops.remove(order)
        else:
            (self.book.bids if order.key > 0 else self.book.asks).remove(order)
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
        self._teller.amended(order)
        if not stands:
            self._execution.enter(order)

    # --- the market -------------------------------------------------------------------------------

    def nearest(self, price: Decimal) -> int:
        """Return a price in ticks; raise OffGridError when it is no positive number below 10^12."""
        return self._prices.nearest(price)

    def reference(self, ticks: int) -> None:
        """Take in a source's price: it may halt trading; the house quotes around it."""
        session = self.session
        session.reference = ticks
        self._limits.center(ticks)
        broken = self._breaker.breaks(ticks, self._floor.time)
        if broken and session.state is TRADING:
            self._halt_for_a_move()
        elif self._house.present:
            self._house.follow()
            self._chain.run()

    def halt(self, state: TradingState, reason: str, lasts_s: float = 0.0) -> None:
        """Close trading; with ``lasts_s`` it opens again by itself."""
        self.session.change(state, reason, lasts_s)
        self._house.requote()

    def resume(self) -> None:
        """Open trading; orders that cross are uncrossed first, at one price."""
        session = self.session
        if session.state is TRADING:
            return
        self._execution.uncross()
        self._breaker.reset()
        session.change(TRADING, "resumed")
        if session.last:  # stops that came in while trading was closed
            session.mark(session.last)
        if self._house.present and session.reference:
            self._house.follow()
        self._chain.run()

    def wake(self) -> None:
        """Do what the end of a timed state asks for: after the halt the auction, then trading."""
        self.session.until = None
        if self.session.state is HALTED and self._rules.auction_s:
            self.halt(AUCTION, "the halt is over", self._rules.auction_s)
        else:
            self.resume()

    def _halt_for_a_move(self) -> None:
        rules = self._rules
        reason = f"the price moved by {rules.halt_move_pct} % within {rules.halt_window_s:g} s"
        if rules.halt_s or not rules.auction_s:
            self.halt(HALTED, reason, rules.halt_s)
        else:
            self.halt(AUCTION, reason, rules.auction_s)

    # --- snapshots --------------------------------------------------------------------------------

    def snapshot(self) -> PitState:
        """Return all there is to know."""
        session = self.session
        highs, lows = self._breaker.state()
        resting = (OrderState.of(order) for side in self.book for order in side)
        waiting = (OrderState.of(stop.order, abs(stop.key)) for stop in self._stops)
        return PitState(
            symbol=session.symbol,
            state=session.state,
            until=session.until,
            reference=session.reference,
            last=session.last,
            orders=(*resting, *waiting),
            highs=highs,
            lows=lows,
        )

    def restore(self, state: PitState) -> None:
        """Stand where ``snapshot`` was taken; this pit must be new."""
        self.session.restore(state.state, state.until, state.reference, state.last)
        self._breaker.restore(state.highs, state.lows)
        if center := state.reference or state.last:
            self._limits.center(center)
        for kept in state.orders:
            self._put_back(kept.order(), kept.stop)

    def _put_back(self, order: Order, stop: int) -> None:
        if stop:
            self._stops.add(order, stop)
        else:
            self.book.side_of(order).add(order)
        if order.id < 0:
            self._house.put_back(order)
        else:
            self._floor.open(order)
