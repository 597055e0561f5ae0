"""The exchange on virtual time: the live merging of sources and the live venue, nothing between."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final, Protocol, cast

from msgspec import structs

from exchange.accounts import UNLIMITED
from exchange.commands import (
    AnyCommand,
    Charter,
    ConfigureAccount,
    LoseReference,
    MoveReference,
    OpenVenue,
)
from exchange.merging import Merging
from exchange.rules import House, Refusal
from exchange.settings import Settings
from exchange.source import Source
from exchange.venue import Outcome, Venue
from market.events import BookUpdate, Fact, Snapshot, SourceState, State, Tick, Trade
from market.feed import FeedLost, FeedOpened
from market.hub import Hub
from market.orders import (
    AmendOrder,
    AmendRejected,
    CancelOrder,
    Command,
    OrderFact,
    OrderRejected,
    PlaceOrder,
    TradingStateChanged,
)
from market.values import Symbol
from simulation.event_loop import WATCH, EventLoop

WATCH_US: Final = 250_000  # the live exchange looks for silent sources four times a second
BOOK_DEPTH: Final = 10
NO_SYMBOL: Final = Symbol("")

Public = Tick | Trade | SourceState | TradingStateChanged
"""What everyone is told: each is about a symbol."""

Publish = Callable[[Public], None]


class Journal(Protocol):
    """Keeps every command that changed something."""

    def append(self, command: AnyCommand, time_us: int) -> None:
        """Keep a command."""
        ...


class TradingFloor:
    """Ticks and commands come in; what happened is published, each fact to whom it concerns.

    Args:
        publish: told of ticks, states of sources and instruments, and trades.
        tell: told of what happened to the orders of customers.
        books: told of books that have changed; None where nobody asks for them.
        journal: keeps the commands; None keeps none.
    """

    def __init__(
        self,
        settings: Settings,
        charter: Charter,
        loop: EventLoop,
        *,
        publish: Publish,
        tell: Callable[[OrderFact], None],
        books: Callable[[BookUpdate], None] | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.venue, self.charter = Venue(), charter
        self._loop, self.publish, self._tell = loop, publish, tell
        self._books, self._journal = books, journal
        self._shown: dict[Symbol, int] = {}
        self._silent = set(charter.sourced)  # an opening venue has heard of none
        self._watch_at = -1
        self._stale_us = round(settings.stale_after_s * 1e6)
        self.orders = self.trades = self.commands = 0
        self.merging = Merging(
            settings.instruments.values(),
            hub=cast("Hub", self),
            clock=loop.clock,
            stale_after_s=settings.stale_after_s,
            on_tick=self._on_tick,
            now=loop.time,
        )
        self._carry_out(OpenVenue(charter=charter))
        for symbol in charter.sourced:
            self.merging.take(symbol, FeedOpened())
        self._watch_later()

    def snapshot(self, symbols: frozenset[Symbol]) -> Snapshot:
        """Return what a reader that joins now is told first."""
        return Snapshot(
            id="00000000-0",
            ticks=tuple(tick for tick in self.merging.ticks if tick.symbol in symbols),
            sources={s: state for s, state in self.merging.states.items() if s in symbols},
        )

    def hear(self, symbol: Symbol, tick: Tick) -> None:
        """Take a tick of a source in, under the exchange's own number."""
        self.merging.take(symbol, tick)

    def lose(self, symbol: Symbol, reason: str) -> None:
        """Lose the line to a source."""
        self.merging.take(symbol, FeedLost(reason=reason, retry_s=1.0))

    def find(self, symbol: Symbol) -> None:
        """Have the line to a source back."""
        self.merging.take(symbol, FeedOpened())
        self._watch_later()

    def execute(self, account: str, command: Command) -> None:
        """Carry out a command of a customer; a refusal is told to the account as a fact."""
        self.orders += isinstance(command, PlaceOrder)
        outcome = self._carry_out(cast("AnyCommand", command))
        if outcome.refusal is not None:
            self._tell(self._refused(account, command, outcome.refusal))

    def regulate(self, command: AnyCommand) -> Outcome:
        """Carry out a command of the exchange's own: a halt, new terms, a new charter."""
        return self._carry_out(command)

    def configure(self, account: str, given: Mapping[str, object]) -> None:
        """Open an account on terms of its own, unless there are none; ValueError if refused."""
        if not given:
            return
        command = ConfigureAccount(account=account, **given)  # type: ignore[arg-type]
        outcome = self._carry_out(command)
        if outcome.refusal is not None:
            raise ValueError(f"{account}: {outcome.refusal.reason}")

    def thin(self, quantity: Decimal | None, levels: int | None) -> None:
        """Have the house quote less from the next prices on; None is as the charter says."""
        house = self.charter.rules.house
        changed = House(
            levels=house.levels if levels is None else levels,
            spread_ticks=house.spread_ticks,
            quantity=house.quantity if quantity is None else quantity,
        )
        rules = _with_house(self.charter, changed)
        self._carry_out(OpenVenue(charter=rules))
        for tick in self.merging.ticks:
            if tick.symbol not in self._silent:
                self._carry_out(MoveReference(symbol=tick.symbol, price=tick.price))

    # -- inside ----------------------------------------------------------------------------------

    def _on_tick(self, tick: Tick) -> None:
        self._silent.discard(tick.symbol)
        self._carry_out(MoveReference(symbol=tick.symbol, price=tick.price))
        if self._watch_at <= self._loop.now:
            self._watch_later()

    def _refused(self, account: str, command: Command, refusal: Refusal) -> OrderFact:
        """Return the fact that a command was refused; an order that was never taken has no id."""
        order_id = command.order_id if isinstance(command, CancelOrder | AmendOrder) else 0
        order = self.venue.order(order_id)
        symbol = command.symbol if isinstance(command, PlaceOrder) else NO_SYMBOL
        kind = AmendRejected if isinstance(command, AmendOrder) else OrderRejected
        return kind(
            order_id=order_id,
            account=account,
            symbol=order.symbol if order is not None else symbol,
            time=self._loop.clock.now(),
            code=refusal.code,
            reason=refusal.reason,
        )

    def _carry_out(self, command: AnyCommand) -> Outcome:
        outcome = self.venue.handle(command, self._loop.clock.now())
        self.commands += 1
        if self._journal is not None and outcome.changed:
            self._journal.append(command, self._loop.now)
        for fact in outcome.facts:
            self._route(fact)
        if self._books is not None:
            self._show(self._books)
        return outcome

    def _route(self, fact: Fact) -> None:
        """Tell a fact to those whom the live exchange tells it."""
        if isinstance(fact, OrderFact):
            if fact.account not in UNLIMITED:
                self._tell(fact)
        elif isinstance(fact, Trade):
            self.trades += 1
            self.publish(fact)
        elif isinstance(fact, TradingStateChanged):
            self.publish(fact)

    def _show(self, books: Callable[[BookUpdate], None]) -> None:
        for symbol in self.venue.symbols:
            changes = self.venue.book_changes(symbol)
            if self._shown.get(symbol) != changes:
                self._shown[symbol] = changes
                levels = self.venue.book(symbol, BOOK_DEPTH)
                books(
                    BookUpdate(
                        symbol=symbol, bids=levels.bids, asks=levels.asks, time=self.venue.time
                    )
                )

    def _watch_later(self) -> None:
        """Look for silent sources when the first may be one, on the live exchange's grid."""
        if self._watch_at > self._loop.now:
            return
        heard = [
            max(source.heard, source.connected_at or 0.0)
            for symbol, source in self.merging.sources.items()
            if symbol not in self._silent or self._may_go_stale(source)
        ]
        if heard:
            due = round(min(heard) * 1e6) + self._stale_us + 1
            self._watch_at = max(-(-due // WATCH_US) * WATCH_US, self._loop.now + WATCH_US)
            self._loop.at(self._watch_at, WATCH, self._watch)

    @staticmethod
    def _may_go_stale(source: Source) -> bool:
        return source.connected_at is not None and source.state is not State.STALE

    def _watch(self) -> None:
        """Do what the live exchange does with sources that are not heard any more."""
        now = self._loop.seconds
        self.merging.watch(now)
        for symbol in sorted(self.merging.silent(now) - self._silent):
            self._carry_out(LoseReference(symbol=symbol))
            self._silent.add(symbol)
        self._watch_later()


def _with_house(charter: Charter, house: House) -> Charter:
    return structs.replace(charter, rules=replace(charter.rules, house=house))
