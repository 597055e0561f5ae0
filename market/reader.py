"""One reader's place in a hub's history, and what is due to it there."""

from typing import TYPE_CHECKING

from market.batch import Batch
from market.events import Lagging
from market.filter import Filter
from market.wire import EventId, encode, frame

if TYPE_CHECKING:
    from market.hub import Hub


class Reader:
    """One reader's place in a hub's history.

    ``take`` gives everything that is due, as whole frames; when it gives nothing, there is
    nothing yet, or, once ``ended``, nothing ever again. A reader that wants the latest ticks alone
    has a goal, the head at the end of its window: until it is there, what comes later does not
    outdate what it gets, or one that never is at the head would get no tick of a busy symbol.
    """

    __slots__ = ("_goal", "_greeting", "_hub", "_warned", "cursor", "ended", "events", "wishes")

    def __init__(self, hub: "Hub", wishes: Filter, cursor: int, greeting: bytes) -> None:
        self._hub, self.wishes, self.cursor = hub, wishes, cursor
        self._greeting, self._warned = greeting, False
        self._goal = cursor
        self.ended, self.events = False, 0

    @property
    def lag(self) -> int:
        """How many events of the hub this reader has not taken, its own or not."""
        return self._hub.head - self.cursor

    @property
    def is_due(self) -> bool:
        """Whether there is something to take, without a window to wait for."""
        waits = self.wishes.conflate_ms is not None and not self._hub.closed
        upto = self._goal if waits else self._hub.head
        return bool(self._greeting) or self._hub.closed or self.cursor < upto

    @property
    def is_level(self) -> bool:
        """Whether just what follows is due, and no word of anything else."""
        return not (self._greeting or self._warned or self.ended or self._is_near_the_end)

    @property
    def is_overtaken(self) -> bool:
        """Whether the history has gone over what this reader has not taken."""
        return not self._greeting and not self.ended and self.cursor + 1 < self._hub.oldest

    @property
    def _is_near_the_end(self) -> bool:
        return 4 * self.lag >= 3 * self._hub.history

    def take(self) -> bytes:
        """Return the frames that are due now."""
        return self.take_batch().data

    def take_batch(self) -> Batch:
        """Return what is due now, in one object for all readers to whom just this is due."""
        if self._greeting:
            greeting, self._greeting = self._greeting, b""
            return Batch(greeting, 0, self.cursor)
        if self.ended:
            return Batch(b"", 0, self.cursor)
        hub = self._hub
        hub.commit()  # first: what is at the head is certain from here on
        if self.is_overtaken:
            since = str(EventId(hub.epoch, self.cursor))
            told, self.cursor = hub.gap(since, self.cursor, self.wishes, "slow")
            self._warned = False
            return Batch(told, 0, self.cursor)
        warning = self._warning()
        batch = hub.batch(self.wishes, self.cursor, self._upto())
        self.go_on(batch.upto, batch.events)
        self.ended = hub.closed and self.cursor == hub.head
        if warning or self.ended:
            last = hub.farewell() if self.ended else b""
            return Batch(warning + batch.data + last, batch.events, batch.upto)
        return batch

    def follow(self, batch: Batch) -> bool:
        """Take a batch that others take too; refuse when something else comes first."""
        if self._greeting or self._warned or self.ended:
            return False
        self.go_on(batch.upto, batch.events)
        return True

    def go_on(self, upto: int, events: int) -> None:
        """Have taken so many events, up to number ``upto``."""
        self.cursor = upto
        self.events += events

    def _upto(self) -> int:
        """Return how far to read; at the goal, what has come meanwhile is the next one."""
        is_there = self._goal <= self.cursor
        if is_there or self._hub.closed or self.wishes.conflate_ms is None:
            self._goal = self._hub.head
        return self._goal

    def _warning(self) -> bytes:
        """Return word of a lag that is near the history's end; once, until it has recovered."""
        lag, most = self.lag, self._hub.history
        if 8 * lag < 3 * most:
            self._warned = False
        elif self._is_near_the_end and not self._warned:
            self._warned = True
            return frame(Lagging.kind, encode(Lagging(behind=lag, limit=most)))
        return b""
