"""The desk: it takes each command to the venue, has the journal keep it, and then tells of it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

import structlog

from exchange.accounts import UNLIMITED
from exchange.commands import AnyCommand, MoveReference, encode
from exchange.journal import Head, Journal, JournalError
from exchange.pre_trade import RiskLimitError
from exchange.rules import Refusal
from exchange.ticket import OrderView
from exchange.venue import Outcome, Venue, digest
from market.clock import Clock
from market.errors import MarketError
from market.events import BookUpdate, Fact, Tick
from market.orders import AmendOrder, AmendRejected, OrderRejected, PlaceOrder
from market.values import Symbol

log = structlog.get_logger("exchange.desk")

BOOK_DEPTH: Final = 10
MOST_WAITING: Final = 5_000
"""Commands that may wait for the journal before more are refused; prices wait sooner."""

MOVES_WAIT_AT: Final = 1_000
MOVES_WAIT_S: Final = 0.01

Refused = OrderRejected | AmendRejected


class BusyError(MarketError):
    """More commands wait for the journal than it can keep soon."""


class Answer(NamedTuple):
    """What whoever sent a command is told: why it was refused, or how its orders stand."""

    refusal: Refusal | None
    orders: Sequence[OrderView]


class Desk:
    """Commands in, one at a time; nothing is answered or told before the journal has it.

    Args:
        venue: decides; it is ahead of what was told by what waits for the journal.
        journal: keeps each command that changed something.
        clock: the time of each command; it never goes back.
        tell: told of the facts of each command that the journal has, with its place there.
        publish: told of the books that have changed, once the journal has what changed them.
        on_failure: called once when the journal fails or the venue breaks off: nothing true can be
            answered any more.
        snapshot_every: commands between two snapshots of the venue.
    """

    def __init__(
        self,
        venue: Venue,
        journal: Journal,
        *,
        clock: Clock,
        tell: Callable[[Head, Sequence[Fact]], None],
        publish: Callable[[Fact], object],
        on_failure: Callable[[], None],
        snapshot_every: int = 100_000,
    ) -> None:
        self.venue = venue
        self._journal, self._clock = journal, clock
        self._tell, self._publish = tell, publish
        self._on_failure, self._snapshot_every = on_failure, snapshot_every
        self._saved_at = journal.head.seq
        self._time = max(venue.time, clock.now())
        self._moved: dict[Symbol, Tick] = {}
        self._shown: dict[Symbol, int] = {}
        self._show_is_due = self._has_failed = False
        self.commands, self.placed = 0, Counter[str]()
        self.check: Callable[[AnyCommand], None] | None = None
        """Asked before a command is looked at; it raises a RiskLimitError to deny it."""
        self.tell_refused: Callable[[Refused], object] | None = None
        """Told of each order or amendment that is refused to an open account; none of it is kept.

        A cancel that comes too late is answered and not told: its order was told to have ended.
        """

    @property
    def backlog(self) -> int:
        """The commands that wait for the journal."""
        return self._journal.backlog

    @property
    def head(self) -> int:
        """The number of the last command."""
        return self._journal.head.seq

    async def execute(self, command: AnyCommand) -> Answer:
        """Carry out a command; return the answer to it once the journal has it.

        Raises:
            BusyError: too many commands wait; this one was not looked at.
            RiskLimitError: risk lets the account only reduce its positions, and this does not.
            JournalError: it could not be kept, or the venue broke off; whether it will be there
                after a restart is open.
        """
        self.check_whole()
        if self._journal.backlog >= MOST_WAITING:
            raise BusyError(f"{MOST_WAITING} commands wait for the journal")
        await self._check(command)
        outcome, kept = self._take(command)
        answer = Answer(outcome.refusal, outcome.orders)  # as they stand now, not when it is kept
        if isinstance(command, PlaceOrder):
            told = "refused" if answer.refusal else answer.orders[0].status.value
            self.placed[told] += 1
        if answer.refusal is not None:
            await self._refuse(command, answer.refusal)
        if kept is not None:
            await asyncio.shield(kept)
        elif outcome.repeated:  # what it repeats may still wait for the disk
            await self._journal.flushed()
        return answer

    async def settled(self) -> None:
        """Return when the journal has all that was decided so far: no answer may outrun it.

        Raises:
            JournalError: it failed, or the venue broke off.
        """
        self.check_whole()
        await self._journal.flushed()

    def check_whole(self) -> None:
        """Raise JournalError when the journal failed or the venue broke off: neither is true."""
        if self._has_failed:
            raise JournalError("the journal failed or the venue broke off; it has to be recovered")

    def move(self, tick: Tick) -> None:
        """Let the venue know of a price; of several in one turn of the event loop, the newest."""
        if not self._moved:
            asyncio.get_running_loop().call_soon(self._move)
        self._moved[tick.symbol] = tick

    def save(self) -> None:
        """Keep a snapshot of the venue, so that a start needs only what came after it."""
        if self._journal.head.seq > self._saved_at and not self._has_failed:
            self._saved_at = self._journal.head.seq
            state = self.venue.snapshot()
            self._journal.save(state, digest(state))

    def book(self, symbol: Symbol, depth: int) -> BookUpdate:
        """Return the best levels of a book as they stand; KeyError when the symbol is unknown."""
        levels = self.venue.book(symbol, depth)
        return BookUpdate(symbol=symbol, bids=levels.bids, asks=levels.asks, time=self.venue.time)

    async def _check(self, command: AnyCommand) -> None:
        if self.check is None:
            return
        try:
            self.check(command)
        except RiskLimitError as denial:
            await self._refuse(command, Refusal("risk-limit", str(denial)))
            raise

    async def _refuse(self, command: AnyCommand, refusal: Refusal) -> None:
        """Tell the owner's readers of it, once the journal has what it was refused for."""
        fact = self._refused(command, refusal)
        await self._journal.flushed()
        if fact is None or self.tell_refused is None:
            return
        if fact.account in self.venue.ledger and fact.account not in UNLIMITED:
            self.tell_refused(fact)

    def _refused(self, command: AnyCommand, refusal: Refusal) -> Refused | None:
        time = max(self._time, self._clock.now())
        name, code, reason = getattr(command, "account", ""), refusal.code, refusal.reason
        if isinstance(command, PlaceOrder):  # it was never taken, and has no number
            return OrderRejected(
                order_id=0, account=name, symbol=command.symbol, time=time, code=code, reason=reason
            )
        order = self.venue.order(command.order_id) if isinstance(command, AmendOrder) else None
        if order is None or order.account != name:
            return None
        return AmendRejected(
            order_id=order.order_id,
            account=name,
            symbol=order.symbol,
            time=time,
            code=code,
            reason=reason,
        )

    def _take(self, command: AnyCommand) -> tuple[Outcome, "asyncio.Future[None] | None"]:
        time = self._time = max(self._time, self._clock.now())
        outcome, body = self._carried_out(command, time)
        self.commands += 1
        if not outcome.changed:
            return outcome, None
        kept = self._journal.append(body, time)
        at = self._journal.head
        kept.add_done_callback(lambda done: self._kept(done, at, outcome.facts))
        if self._journal.head.seq - self._saved_at >= self._snapshot_every:
            self.save()
        return outcome, kept

    def _carried_out(self, command: AnyCommand, time: datetime) -> tuple[Outcome, bytes]:
        """Return the outcome, and the command as the journal keeps it when it changed something.

        A venue that broke off halfway is not what its journal leads to, nor is one that is ahead
        of it by a command that cannot be written.
        """
        try:
            outcome = self.venue.handle(command, time)
            return outcome, encode(command) if outcome.changed else b""
        except Exception as error:
            self._fail(f"{command!r:.300} broke off: {error!r}", error)
            raise JournalError("the venue broke off; it has to be recovered") from error

    def _kept(self, done: "asyncio.Future[None]", at: Head, facts: Sequence[Fact]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._fail("cancelled" if done.cancelled() else str(done.exception()))
            return
        self._tell(at, facts)
        if not self._show_is_due:
            self._show_is_due = True
            asyncio.get_running_loop().call_soon(self._show)

    def _move(self) -> None:
        if self._journal.backlog >= MOVES_WAIT_AT:  # only the newest price matters
            asyncio.get_running_loop().call_later(MOVES_WAIT_S, self._move)
            return
        moved, self._moved = self._moved, {}
        if self._has_failed:
            return
        try:
            for tick in moved.values():
                self._take(MoveReference(symbol=tick.symbol, price=tick.price))
        except JournalError as error:
            self._fail(str(error))

    def _fail(self, problem: str, cause: Exception | None = None) -> None:
        """Say once that nothing true can be answered any more; a ``cause`` is the venue's."""
        if self._has_failed:
            return
        self._has_failed = True
        if cause is None:
            log.critical("journal_failed", problem=problem)
        else:
            log.critical("venue_broke_off", problem=problem, exc_info=cause)
        self._on_failure()

    def _show(self) -> None:
        """Publish the books that have changed since, as soon as the journal has what changed them.

        Then look again; what has changed meanwhile waits for the journal together.
        """
        if self._has_failed:  # what is in the books may have happened by half
            return
        changes = {symbol: self.venue.book_changes(symbol) for symbol in self.venue.symbols}
        changed = [s for s in changes if self._shown.get(s) != changes[s]]
        self._shown, self._show_is_due = changes, bool(changed)
        if changed:
            books = [self.book(symbol, BOOK_DEPTH) for symbol in changed]
            with suppress(JournalError):  # that is said elsewhere
                self._journal.flushed().add_done_callback(partial(self._show_books, books))

    def _show_books(self, books: Sequence[BookUpdate], kept: "asyncio.Future[None]") -> None:
        if kept.cancelled() or kept.exception() is not None:
            return
        for book in books:
            self._publish(book)
        asyncio.get_running_loop().call_soon(self._show)
