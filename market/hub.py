"""One publisher, one shared ring of encoded frames; readers are cursors on it.

A fact is encoded once, whatever the number of readers. A reader that lags costs nothing: its
cursor stays behind, and what it finds when it comes back is the events it missed or, when the
ring has gone over them, one ``gap`` that says so. Nothing in here waits or knows a socket.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from random import Random
from typing import Final, Protocol
from weakref import WeakValueDictionary

from market.events import Fact, Gap, Lagging, Shutdown
from market.wire import EventId, chunk, encode, frame

RETRY_MS: Final = 1000
BATCH_BYTES: Final = 256 * 1024
BLOCK_EVENTS: Final = 512
KEPT_BYTES: Final = 8 * 1024 * 1024
ENTRY_BYTES: Final = 256  # about what a batch costs beside its bytes
SHARED_BYTES: Final = 16 * BATCH_BYTES


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Filter:
    """What one kind of reader wants; ``None`` for ``subjects`` is all of them."""

    kinds: frozenset[str]
    subjects: frozenset[str] | None = None
    conflate_ms: int | None = None
    _known: dict[tuple[str, str], bool] = field(default_factory=dict, repr=False)

    def wants(self, topic: tuple[str, str]) -> bool:
        """Tell whether an event of this kind and subject is for this reader."""
        wanted = self._known.get(topic)
        if wanted is None:
            kind, subject = topic
            wanted = kind in self.kinds and (self.subjects is None or subject in self.subjects)
            self._known[topic] = wanted
        return wanted


@dataclass(slots=True, eq=False)
class Batch:
    """Frames joined for every reader that stands at the same place with the same filter."""

    data: bytes
    events: int
    upto: int
    _chunk: bytes | None = None

    @property
    def chunk(self) -> bytes:
        """The data as a chunk of a body; the same bytes object for all who send it so."""
        if self._chunk is None:
            self._chunk = chunk(self.data)
        return self._chunk


class _Forms(dict[str, bytes]):
    """The frame of each kind of fact, but for what differs: its number and its data."""

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch.encode()

    def __missing__(self, kind: str) -> bytes:
        form = b"id: %b-%%d\nevent: %b\ndata: %%b\n\n" % (self._epoch, kind.encode())
        return self.setdefault(kind, form)


class Log(Protocol):
    """Where frames go before any reader sees them, so that a history outlives its process."""

    def append(self, frames: bytes, upto: int) -> None:
        """Keep the frames of the events up to number ``upto``."""
        ...


class Hub:
    """A numbered history of events, the last ``history`` of them at hand.

    Args:
        epoch: 8 hex digits, the life of this history.
        history: how many events a reader may be behind before it gets a gap.
        kinds: what can be asked for; the default reader gets ``default_kinds``.
        snapshot: gives where everything stands now, for the subjects of a filter; without it a
            fresh reader starts at the next event, and one with a gap at the oldest event.
    """

    def __init__(
        self,
        *,
        epoch: str,
        history: int,
        kinds: Collection[str],
        default_kinds: Collection[str] | None = None,
        snapshot: Callable[[Filter, str], Fact] | None = None,
        conflated_kind: str = "tick",
        log: Log | None = None,
        rng: Random | None = None,
    ) -> None:
        self.epoch, self.history = epoch, history
        self.kinds = frozenset(kinds)
        self.default_kinds = frozenset(kinds if default_kinds is None else default_kinds)
        self.head, self.closed = 0, False
        self.published, self.gaps, self.replays = 0, 0, 0
        self._snapshot, self._conflated, self._log = snapshot, conflated_kind, log
        self._rng = rng or Random()
        self._frames: list[bytes] = [b""] * history
        self._topics: list[tuple[str, str]] = [("", "")] * history
        self._oldest = 1
        self._unlogged: list[bytes] = []
        self._farewell = Shutdown()
        self._filters: WeakValueDictionary[tuple[object, ...], Filter] = WeakValueDictionary()
        self._batches: dict[tuple[Filter, int, int], Batch] = {}
        self._batches_at, self._batches_bytes = 0, 0
        self._blocks: dict[tuple[Filter, int], Batch] = {}
        self._blocks_bytes = 0
        self._interned: dict[tuple[str, str], tuple[str, str]] = {}
        self._listeners: list[Callable[[], None]] = []

    @property
    def epoch(self) -> str:
        """The life of this history; a log may know an earlier one, or begin another."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: str) -> None:
        self._epoch, self._frame_of = epoch, _Forms(epoch)

    # -- the publisher's side ------------------------------------------------------------------

    def publish(self, fact: Fact) -> EventId:
        """Give ``fact`` the next number, keep its frame, and wake the readers."""
        n = self.head + 1
        kept = self._frame_of[fact.kind] % (n, encode(fact))
        self._keep(fact.topic, kept)
        self.published += 1
        if self._log is not None:
            self._unlogged.append(kept)
        for wake in self._listeners:
            wake()
        return EventId(self._epoch, n)

    def begin(self, after: int) -> None:
        """Number on from event ``after`` of an earlier process; nothing was published yet."""
        self.head, self._oldest = after, after + 1

    def restore(self, topic: tuple[str, str], kept: bytes) -> None:
        """Put back the frame of the next event from a log, without waking anyone."""
        self._keep(topic, kept)

    def close(self, reason: str = "stopping") -> None:
        """End every stream: each reader gets what is pending, a farewell, and then the end.

        The first reason stands: a history that has ended did not stop when its server does.
        """
        if self.closed:
            return
        self.closed, self._farewell = True, Shutdown(reason=reason)
        for wake in self._listeners:
            wake()

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call ``wake`` after every event and at the close; return what ends that."""
        self._listeners.append(wake)
        return lambda: self._listeners.remove(wake)

    def commit(self) -> None:
        """Hand to the log what it has not seen; no reader is ever ahead of the log."""
        if self._log is not None and self._unlogged:
            frames, self._unlogged = b"".join(self._unlogged), []
            self._log.append(frames, self.head)

    def _keep(self, topic: tuple[str, str], kept: bytes) -> None:
        self.head = head = self.head + 1
        slot = head % self.history
        self._frames[slot] = kept
        self._topics[slot] = self._interned.setdefault(topic, topic)
        if self._oldest <= head - self.history:
            self._oldest = head - self.history + 1

    # -- the readers' side ---------------------------------------------------------------------

    @property
    def oldest(self) -> int:
        """The number of the oldest event at hand; ``head + 1`` when there is none."""
        return self._oldest

    @property
    def over(self) -> bool:
        """Whether no event will follow, in this process or in the next one."""
        return self.closed and self._farewell != Shutdown()

    @property
    def id(self) -> str:
        """The id of the newest event."""
        return f"{self.epoch}-{self.head}"

    def filter(
        self,
        kinds: Collection[str] | None = None,
        subjects: Collection[str] | None = None,
        conflate_ms: int | None = None,
    ) -> Filter:
        """Return the filter for these wishes; equal wishes share one."""
        chosen = self.default_kinds if kinds is None else frozenset(kinds)
        about = None if subjects is None else frozenset(subjects)
        key = (chosen, about, conflate_ms)
        return self._filters.setdefault(key, Filter(chosen, about, conflate_ms))

    def is_wanted(self, topic: tuple[str, str]) -> bool:
        """Tell whether a reader that is there now has asked for this kind and subject."""
        return any(wishes.wants(topic) for wishes in tuple(self._filters.values()))

    def reader(self, wishes: Filter, last_id: str | None = None) -> "Reader":
        """Return a reader that begins with a snapshot, or strictly after ``last_id``."""
        self.commit()
        if not last_id:
            greeting, cursor = self._stand(wishes, retry_ms=RETRY_MS), self.head
            return Reader(self, wishes, cursor, greeting or self._hello())
        known = EventId.parse(last_id)
        if known is None or known.epoch != self.epoch or known.n > self.head:
            since = last_id if last_id.isascii() and last_id.isprintable() else "?"
            greeting, cursor = self.gap(since[:64], 0, wishes, "epoch")
            return Reader(self, wishes, cursor, self._hello() + greeting)
        if known.n + 1 < self._oldest:
            greeting, cursor = self.gap(str(known), known.n, wishes, "evicted")
            return Reader(self, wishes, cursor, self._hello() + greeting)
        self.replays += 1
        return Reader(self, wishes, known.n, self._hello())

    def batch(self, wishes: Filter, after: int, upto: int | None = None) -> Batch:
        """Return what follows event ``after``, as far as one write goes; not beyond ``upto``.

        The very same bytes go to every reader with this filter at this place. Readers that lag are
        led to the same places, the ends of blocks; or each would soon need bytes of its own.
        """
        self.commit()
        if self.head - after > BLOCK_EVENTS and wishes.conflate_ms is None:
            return self._block(wishes, after)
        if self._batches_at != self.head or self._batches_bytes > SHARED_BYTES:
            self._batches.clear()
            self._batches_at, self._batches_bytes = self.head, 0
        end = self.head if upto is None else upto
        found = self._batches.get((wishes, after, end))
        if found is None:
            if wishes.conflate_ms is None:
                found = self._join(wishes, after, end)
            else:
                found = self._conflate(wishes, after, end)
            self._batches[wishes, after, end] = found
            self._batches_bytes += len(found.data)
        return found

    def _block(self, wishes: Filter, after: int) -> Batch:
        """Return what follows ``after`` up to the end of its block: that never changes."""
        found = self._blocks.get((wishes, after))
        if found is None:
            upto = after - after % BLOCK_EVENTS + BLOCK_EVENTS
            found = self._blocks[wishes, after] = self._join(wishes, after, upto)
            self._blocks_bytes += _kept_bytes(found)
            while self._blocks_bytes > KEPT_BYTES:
                self._blocks_bytes -= _kept_bytes(self._blocks.pop(next(iter(self._blocks))))
        return found

    def gap(self, since: str, after: int, wishes: Filter, reason: str) -> tuple[bytes, int]:
        """Return the frames that tell of a gap, and the place to read on from."""
        self.commit()
        self.gaps += 1
        upto = self.head if self._snapshot else self._oldest - 1
        told = Gap(
            since=since,
            until=str(EventId(self.epoch, upto)),
            missed=max(0, upto - after),
            reason=reason,
        )
        return frame(told.kind, encode(told)) + self._stand(wishes), upto

    def farewell(self) -> bytes:
        """Return the last frame of one stream; each gets its own moment to come back."""
        jittered = self._rng.randint(RETRY_MS // 2, 2 * RETRY_MS)
        return frame(self._farewell.kind, encode(self._farewell), retry_ms=jittered)

    def standing(self) -> bytes:
        """Return the frame of a snapshot of everything as of now, if the hub has one to give."""
        return self._stand(self.filter())

    def _hello(self) -> bytes:
        return b"retry: %d\n: stream %b\n\n" % (RETRY_MS, self.id.encode())

    def _stand(self, wishes: Filter, retry_ms: int | None = None) -> bytes:
        """Return the snapshot as of the newest event; nothing when the hub has none to give."""
        if self._snapshot is None:
            return b""
        fact = self._snapshot(wishes, self.id)
        here = EventId(self.epoch, self.head)
        return frame(fact.kind, encode(fact), id=here, retry_ms=retry_ms)

    def _join(self, wishes: Filter, after: int, upto: int) -> Batch:
        """Join the events after ``after``, up to ``upto``: a block of them at most."""
        if after == upto:
            return Batch(b"", 0, upto)
        first, end = (after + 1) % self.history, (upto + 1) % self.history
        if first < end:
            frames = self._wanted(wishes, first, end)
        else:
            frames = self._wanted(wishes, first, self.history) + self._wanted(wishes, 0, end)
        return Batch(b"".join(frames), len(frames), upto)

    def _wanted(self, wishes: Filter, first: int, end: int) -> list[bytes]:
        """Return the frames in these slots that a filter lets through."""
        frames = self._frames[first:end]
        if all(map(wishes.wants, self._interned)):
            return frames
        topics = self._topics[first:end]
        distinct = set(topics)
        wanted = {topic for topic in distinct if wishes.wants(topic)}
        if len(wanted) == len(distinct):
            return frames
        return [kept for kept, topic in zip(frames, topics, strict=True) if topic in wanted]

    def _conflate(self, wishes: Filter, after: int, upto: int) -> Batch:
        """Join with the newest tick up to ``upto`` of each symbol alone, in order of numbers."""
        chosen: dict[object, bytes] = {}
        size, n = 0, after
        while n < upto and size < BATCH_BYTES:
            n += 1
            slot = n % self.history
            topic = self._topics[slot]
            if wishes.wants(topic):
                key: object = topic if topic[0] == self._conflated else n
                size += len(self._frames[slot]) - len(chosen.pop(key, b""))
                chosen[key] = self._frames[slot]
        for topic in self._topics_between(n, upto) & chosen.keys():
            del chosen[topic]  # a newer tick of that symbol is in a later batch
        return Batch(b"".join(chosen.values()), len(chosen), n)

    def _topics_between(self, n: int, upto: int) -> set[tuple[str, str]]:
        """Return what the events after number ``n`` are about, up to ``upto``."""
        if n == upto:
            return set()
        first, end = (n + 1) % self.history, (upto + 1) % self.history
        if first < end:
            return set(self._topics[first:end])
        return {*self._topics[first:], *self._topics[:end]}


class Reader:
    """One reader's place in a hub's history.

    ``take`` gives everything that is due, as whole frames; when it gives nothing, there is
    nothing yet, or, once ``ended``, nothing ever again. A reader that wants the latest ticks alone
    has a goal, the head at the end of its window: until it is there, what comes later does not
    outdate what it gets, or one that never is at the head would get no tick of a busy symbol.
    """

    __slots__ = ("_goal", "_greeting", "_hub", "_warned", "cursor", "ended", "events", "wishes")

    def __init__(self, hub: Hub, wishes: Filter, cursor: int, greeting: bytes) -> None:
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
    def is_overtaken(self) -> bool:
        """Whether the history has gone over what this reader has not taken."""
        return not self._greeting and not self.ended and self.cursor + 1 < self._hub.oldest

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
        if self.is_overtaken:
            since = str(EventId(hub.epoch, self.cursor))
            told, self.cursor = hub.gap(since, self.cursor, self.wishes, "slow")
            self._warned = False
            return Batch(told, 0, self.cursor)
        warning = self._warning()
        batch = hub.batch(self.wishes, self.cursor, self._upto())
        self.cursor = batch.upto
        self.events += batch.events
        self.ended = hub.closed and self.cursor == hub.head
        if warning or self.ended:
            last = hub.farewell() if self.ended else b""
            return Batch(warning + batch.data + last, batch.events, batch.upto)
        return batch

    def follow(self, batch: Batch) -> bool:
        """Take a batch that others take too; refuse when something else comes first."""
        if self._greeting or self._warned or self.ended:
            return False
        self.cursor = batch.upto
        self.events += batch.events
        return True

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
        elif 4 * lag >= 3 * most and not self._warned:
            self._warned = True
            return frame(Lagging.kind, encode(Lagging(behind=lag, limit=most)))
        return b""


def _kept_bytes(batch: Batch) -> int:
    return 2 * len(batch.data) + ENTRY_BYTES
