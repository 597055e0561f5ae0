"""The desk: it takes each command to the venue, has the journal keep it, and then tells everyone."""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from exchange.blotter import OrderView
from exchange.commands import AnyCommand, MoveReference, encode
from exchange.journal import Journal, JournalError
from exchange.rules import Refusal
from exchange.venue import Outcome, Venue
from market.clock import Clock
from market.events import BookUpdate, Fact, Tick
from market.values import Symbol

log = structlog.get_logger("exchange.desk")

BOOK_DEPTH = 10


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
        tell: told of the facts of each command that the journal has, with the command's number.
        publish: told of the books that have changed.
        on_failure: called once when the journal fails: nothing true can be answered any more.
        snapshot_every: commands between two snapshots of the venue.
    """

    def __init__(
        self,
        venue: Venue,
        journal: Journal,
        *,
        clock: Clock,
        tell: Callable[[int, Sequence[Fact]], None],
        publish: Callable[[Fact], object],
        on_failure: Callable[[], None],
        snapshot_every: int = 100_000,
    ) -> None:
        self.venue = venue
        self._journal, self._clock = journal, clock
        self._tell, self._publish = tell, publish
        self._on_failure, self._snapshot_every = on_failure, snapshot_every
        self._saved_at = journal.head.seq
        self._time = clock.now()
        self._moved: dict[Symbol, Tick] = {}
        self._shown: dict[Symbol, int] = {}

    async def execute(self, command: AnyCommand) -> Answer:
        """Carry out a command; return the answer to it once the journal has it.

        Raises:
            JournalError: it could not be kept; whether it will be there after a restart is open.
        """
        outcome, kept = self._take(command)
        answer = Answer(outcome.refusal, outcome.orders)  # as they stand now, not when it is kept
        if kept is not None:
            await asyncio.shield(kept)
        return answer

    def move(self, tick: Tick) -> None:
        """Let the venue know of a price; of several in one turn of the event loop, the newest."""
        if not self._moved:
            asyncio.get_running_loop().call_soon(self._move)
        self._moved[tick.symbol] = tick

    def book(self, symbol: Symbol, depth: int) -> BookUpdate:
        """Return the best levels of a book as they stand; KeyError when the symbol is unknown."""
        levels = self.venue.book(symbol, depth)
        return BookUpdate(symbol=symbol, bids=levels.bids, asks=levels.asks, time=self.venue.time)

    def _take(self, command: AnyCommand) -> tuple[Outcome, "asyncio.Future[None] | None"]:
        time = self._time = max(self._time, self._clock.now())
        outcome = self.venue.handle(command, time)
        if not outcome.changed:
            return outcome, None
        kept = self._journal.append(encode(command), time)
        seq = self._journal.head.seq
        kept.add_done_callback(lambda done: self._kept(done, seq, outcome.facts))
        if self._journal.head.seq - self._saved_at >= self._snapshot_every:
            self._saved_at = self._journal.head.seq
            self._journal.save(self.venue.snapshot(), self.venue.state_hash())
        return outcome, kept

    def _kept(self, done: "asyncio.Future[None]", seq: int, facts: Sequence[Fact]) -> None:
        if done.cancelled() or done.exception() is not None:
            log.critical(
                "journal_failed", problem="cancelled" if done.cancelled() else str(done.exception())
            )
            self._on_failure()
            return
        self._tell(seq, facts)
        self._show()

    def _move(self) -> None:
        moved, self._moved = self._moved, {}
        try:
            for tick in moved.values():
                self._take(MoveReference(symbol=tick.symbol, price=tick.price))
        except JournalError as error:
            log.critical("journal_failed", problem=str(error))
            self._on_failure()

    def _show(self) -> None:
        """Publish the books that have changed since they were last shown."""
        for symbol in self.venue.symbols:
            changes = self.venue.book_changes(symbol)
            if self._shown.get(symbol) != changes:
                self._shown[symbol] = changes
                self._publish(self.book(symbol, BOOK_DEPTH))
