"""Commands in, facts out: the matching engine of the exchange; no I/O, no clock, no chance."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from exchange.floor import EXPIRY, Floor
from exchange.grid import Grid
from exchange.pit import Pit
from exchange.price_level import Order
from exchange.rules import Rules
from exchange.working import Depth, EngineState, MayTrade, Sweep, UnknownOrderError, WorkingOrder
from market.events import Fact
from market.orders import OrderRejected, PlaceOrder, SelfTradePrevention, TradingState
from market.values import Instrument, Side, Symbol

__all__ = [
    "Depth",
    "EngineState",
    "MatchingEngine",
    "MayTrade",
    "Sweep",
    "UnknownOrderError",
    "WorkingOrder",
]


class MatchingEngine:
    """Price-time priority for every instrument; the same commands give the same facts, in order.

    The facts of one command come in this order: what its ``time`` brings first (orders that expire,
    halts and auctions that end, by their own time); then the order is accepted, amended or refused;
    then, execution by execution, the ``Trade``, the maker's ``OrderFilled``, the taker's, with what
    self-trade prevention does where it does it; then what is left of the taker expires, if it may
    not rest; then the stops that were set off.

    Stops: the price that sets them off is that of every trade and, where the house quotes, that of
    every source tick. A buy stop goes off at its stop price or above, a sell stop at or below. When
    the order that moved the price is done, all stops it reached join a queue in the order in which
    they entered the exchange; each one trades to its end, and those it sets off join the end of the
    same queue. A stop whose price is already reached goes off at once.

    Auctions take limit and stop orders; they trade at one price, by price, then time, slice by
    slice for icebergs; both sides pay the maker's fee, and the younger order gives the trade its
    side. Self-trade prevention is for continuous trading only, as at SIX and Eurex: in an auction
    there is no taker whose mode could rule, and taking orders out would move the price for all.

    The house trades as the account ``house`` under negative order ids; of it there is only what it
    fills: its quotes are liquidity, not orders of an account. Ids of clients' orders are not
    negative and never used twice. A ``time`` before the last one counts as the last one.
    """

    def __init__(
        self,
        instruments: Mapping[Symbol, Instrument],
        rules: Rules,
        may_trade: MayTrade = lambda *_: True,
    ) -> None:
        self._floor = Floor(counts=rules.max_open_orders > 0)
        self._pits = {
            symbol: Pit(instrument, rules, self._floor, may_trade)
            for symbol, instrument in instruments.items()
        }

    def place(self, order_id: int, order: PlaceOrder, time: datetime) -> list[Fact]:
        """Return what comes of an order: accepted or rejected, and all that follows.

        Raises:
            ValueError: the id is negative, or that of a working order.
        """
        if order_id < 0 or order_id in self._floor.working:
            raise ValueError(f"order id {order_id} is negative or in use")
        facts = self._begin(time)
        pit = self._pits.get(order.symbol)
        if pit is None:
            facts.append(self._unknown_symbol(order_id, order))
        else:
            pit.place(order_id, order)
        return facts

    def cancel(self, order_id: int, time: datetime) -> list[Fact]:
        """Return what comes of a cancel; raise UnknownOrderError if the order is not working."""
        order = self._working(order_id)
        facts = self._begin(time)
        if order_id in self._floor.working:  # else its time was over first
            self._pits[order.request.symbol].cancel(order)
        return facts

    def amend(
        self, order_id: int, quantity: Decimal | None, price: Decimal | None, time: datetime
    ) -> list[Fact]:
        """Return what comes of an amendment; raise UnknownOrderError if the order is not working.

        ``quantity`` is what the order asks for in all, what is filled included; None leaves it.
        Less of it keeps the order's place in the queue; more of it, or another price, does not.
        """
        order = self._working(order_id)
        facts = self._begin(time)
        if order_id in self._floor.working:
            self._pits[order.request.symbol].amend(order, quantity, price)
        return facts

    def reference(self, symbol: Symbol, price: Decimal, time: datetime) -> list[Fact]:
        """Return what comes of a source's tick.

        It is the middle of the price band; a move too far halts; and where the house quotes, it
        trades with every resting order that the price has reached, at that order's price, moves
        its quotes, and the tick sets off stops. An odd price counts as the nearest on the grid.

        Raises:
            KeyError: the symbol is unknown.
            OffGridError: the price is not a positive number below 10^12.
        """
        pit = self._pits[symbol]
        ticks = pit.nearest(price)
        facts = self._begin(time)
        pit.reference(ticks)
        return facts

    def halt(self, symbol: Symbol, state: TradingState, time: datetime) -> list[Fact]:
        """Return what comes of closing an instrument, until it is resumed; KeyError if unknown.

        Raises:
            ValueError: ``state`` is ``trading``, which is no halt.
        """
        if state is TradingState.TRADING:
            raise ValueError("trading is resumed, not halted")
        pit = self._pits[symbol]
        facts = self._begin(time)
        pit.halt(state, "halted by hand")
        return facts

    def resume(self, symbol: Symbol, time: datetime) -> list[Fact]:
        """Return what comes of opening an instrument, nothing if it is; KeyError if unknown."""
        pit = self._pits[symbol]
        facts = self._begin(time)
        pit.resume()
        return facts

    def advance(self, time: datetime) -> list[Fact]:
        """Return what the passing of time brings: expiries, and the ends of halts and auctions."""
        return self._begin(time)

    def is_due(self, time: datetime) -> bool:
        """Return whether the passing of time up to ``time`` brings anything."""
        alarms = self._floor.alarms
        return bool(alarms) and alarms[0][0] <= time

    def book(self, symbol: Symbol, depth: int = 10) -> Depth:
        """Return the best levels of a book; KeyError when the symbol is unknown."""
        return self._pits[symbol].view.depth(depth)

    def changes(self, symbol: Symbol) -> int:
        """Return a number that grows whenever the book changes; KeyError if unknown."""
        return self._pits[symbol].book.changes

    def order(self, order_id: int) -> WorkingOrder | None:
        """Return a working order, None when no such order is working."""
        order = self._floor.working.get(order_id)
        return None if order is None else self._pits[order.request.symbol].working(order)

    def trading_state(self, symbol: Symbol) -> TradingState:
        """Return what the instrument allows; KeyError when the symbol is unknown."""
        return self._pits[symbol].session.state

    def cost_to_take(
        self,
        symbol: Symbol,
        side: Side,
        quantity: Decimal,
        price: Decimal | None = None,
        account: str = "",
        prevention: SelfTradePrevention | None = None,
    ) -> Sweep:
        """Return exactly what a taker would trade now, with ``price`` as its limit if it has one.

        Raises:
            KeyError: the symbol is unknown.
            OffGridError: the quantity or the price is not on the grid.
        """
        view = self._pits[symbol].view
        return view.cost_to_take(side, quantity, price, account, prevention)

    def grids(self, symbol: Symbol) -> tuple[Grid, Grid]:
        """Return the grids of prices and of quantities; KeyError when the symbol is unknown."""
        return self._pits[symbol].grids

    def state(self) -> EngineState:
        """Return all there is to know, as plain data."""
        floor = self._floor
        return EngineState(
            time=floor.time,
            trades=floor.trades,
            house_id=floor.house_id,
            pits=tuple(self._pits[symbol].snapshot() for symbol in sorted(self._pits)),
        )

    def restore(self, state: EngineState) -> None:
        """Go on exactly where ``state`` was taken.

        Raises:
            ValueError: this engine has been used, or trades other instruments.
        """
        floor = self._floor
        if floor.working or floor.trades or floor.house_id:
            raise ValueError("only a new engine can be restored")
        if {pit.symbol for pit in state.pits} != set(self._pits):
            raise ValueError(f"the state is not of {', '.join(sorted(self._pits))}")
        floor.time, floor.trades, floor.house_id = state.time, state.trades, state.house_id
        for pit in state.pits:
            self._pits[pit.symbol].restore(pit)

    def _begin(self, time: datetime) -> list[Fact]:
        """Let the time pass up to ``time``; return the facts of the command, so far."""
        floor = self._floor
        facts: list[Fact] = []
        floor.facts = facts
        if floor.alarms and floor.alarms[0][0] <= time:
            self._ring(time)
        now = floor.time
        if time > now:
            floor.time = time
        return facts

    def _ring(self, time: datetime) -> None:
        """Do what the alarms up to ``time`` ask for, each at its own time."""
        floor = self._floor
        alarms = floor.alarms
        while alarms and alarms[0][0] <= time:
            due, kind, order_id, symbol = alarms.pop(0)
            floor.time = max(floor.time, due)
            pit = self._pits[Symbol(symbol)]
            if kind == EXPIRY:
                pit.expire(floor.working[order_id])
            else:
                pit.wake()

    def _working(self, order_id: int) -> Order:
        order = self._floor.working.get(order_id)
        if order is None:
            raise UnknownOrderError(order_id)
        return order

    def _unknown_symbol(self, order_id: int, order: PlaceOrder) -> Fact:
        return OrderRejected(
            order_id=order_id,
            account=order.account,
            symbol=order.symbol,
            time=self._floor.time,
            code="unknown-symbol",
            reason=f"{order.symbol} is not traded here",
        )
