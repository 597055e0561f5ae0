"""The desk: it takes each command to the venue, has the journal keep it, and then tells everyone."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import structlog

from exchange.blotter import OrderView
from exchange.commands import AnyCommand, MoveReference, encode
from exchange.journal import Journal, JournalError
from exchange.recent import Recent
from exchange.rules import Refusal
from exchange.venue import Outcome, Venue
from market.clock import Clock
from market.events import BookUpdate, Fact, Tick, Trade
from market.hub import Hub
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
        hub: told of trades and books.
        on_failure: called once when the journal fails: nothing true can be answered any more.
        snapshot_every: commands between two snapshots of the venue.
    """

    def __init__(
        self,
        venue: Venue,
        journal: Journal,
        *,
        clock: Clock,
        hub: Hub,
        recent: Recent,
        on_failure: Callable[[], None],
        snapshot_every: int = 100_000,
    ) -> None:
        self.venue, self.hub = venue, hub
        self._journal, self._clock, self._recent = journal, clock, recent
        self._on_failure, self._snapshot_every = on_failure, snapshot_every
        self._saved_at = journal.head.seq
        self._time = clock.now()
        self._moved: dict[Symbol, Tick] = {}
        self._shown: dict[Symbol, int] = {}
        self._listeners: list[Callable[[Fact], None]] = []

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

    def listen(self, hear: Callable[[Fact], None]) -> None:
        """Call ``hear`` with every fact of an order, once the journal has its command."""
        self._listeners.append(hear)

    def tell(self, facts: Iterable[Fact]) -> None:
        """Publish the trades among ``facts`` that were not published yet, and hand on the rest."""
        for fact in facts:
            if not isinstance(fact, Trade):
                for hear in self._listeners:
                    hear(fact)
            elif fact.trade_id > self._recent.last_trade_id:
                self._recent.take(fact)
                self.hub.publish(fact)

    def _take(self, command: AnyCommand) -> tuple[Outcome, "asyncio.Future[None] | None"]:
        time = self._time = max(self._time, self._clock.now())
        outcome = self.venue.handle(command, time)
        changed_nothing = outcome.refusal is not None or outcome.repeated
        if changed_nothing and not outcome.facts:
            return outcome, None
        kept = self._journal.append(encode(command), time)
        kept.add_done_callback(lambda done: self._kept(done, outcome, time))
        if self._journal.head.seq - self._saved_at >= self._snapshot_every:
            self._saved_at = self._journal.head.seq
            self._journal.save(self.venue.snapshot(), self.venue.state_hash())
        return outcome, kept

    def _kept(self, done: "asyncio.Future[None]", outcome: Outcome, time: datetime) -> None:
        if done.exception() is not None:
            log.critical("journal_failed", problem=str(done.exception()))
            self._on_failure()
            return
        self.tell(outcome.facts)
        self._show(time)

    def _move(self) -> None:
        moved, self._moved = self._moved, {}
        try:
            for tick in moved.values():
                self._take(MoveReference(symbol=tick.symbol, price=tick.price))
        except JournalError as error:
            log.critical("journal_failed", problem=str(error))
            self._on_failure()

    def _show(self, time: datetime) -> None:
        """Publish the books that have changed since they were last shown."""
        for symbol in self.venue.symbols:
            changes = self.venue.book_changes(symbol)
            if self._shown.get(symbol) != changes:
                self._shown[symbol] = changes
                depth = self.venue.book(symbol, BOOK_DEPTH)
                self.hub.publish(
                    BookUpdate(symbol=symbol, bids=depth.bids, asks=depth.asks, time=time)
                )
