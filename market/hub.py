"""One publisher, one shared ring of encoded frames; readers are cursors on it.

A fact is encoded once, whatever the number of readers. A reader that lags costs nothing: its
cursor stays behind, and what it finds when it comes back is the events it missed or, when the
ring has gone over them, one ``gap`` that says so. Nothing in here waits or knows a socket.
"""

from collections.abc import Callable, Collection
from contextlib import suppress
from random import Random
from typing import Final, Protocol
from weakref import WeakValueDictionary

import structlog

from market.batch import Batch, Batches
from market.events import Fact, Gap, Shutdown
from market.filter import Filter
from market.reader import Reader
from market.ring import Ring, Topic
from market.wire import EventId, encode, encode_many, frame

RETRY_MS: Final = 1000
MOST_FRESH: Final = 256

log = structlog.get_logger("market.hub")


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
        self.epoch, self.ring = epoch, Ring(history)
        self.kinds = frozenset(kinds)
        self.default_kinds = frozenset(kinds if default_kinds is None else default_kinds)
        self.closed, self.gaps, self.replays = False, 0, 0
        self._snapshot, self._log, self._unlogged = snapshot, log, list[bytes]()
        self._fresh: list[Fact] = []
        self._failure: Exception | None = None
        self._inherited = 0
        self._rng = rng or Random()
        self._farewell = Shutdown()
        self._filters: WeakValueDictionary[tuple[object, ...], Filter] = WeakValueDictionary()
        self._batches = Batches(self.ring, conflated_kind)
        self._listeners: list[Callable[[], None]] = []

    @property
    def epoch(self) -> str:
        """The life of this history; a log may know an earlier one, or begin another."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: str) -> None:
        self._epoch, self._frame_of = epoch, _Forms(epoch)

    # -- the publisher's side ------------------------------------------------------------------

    def publish(self, fact: Fact) -> None:
        """Give ``fact`` the next number, and wake the readers.

        It is encoded with the others of its burst, before any reader or the log is given them. One
        that cannot be encoded gets no number after all, and a later publish raises why.
        """
        self._fresh.append(fact)
        if len(self._fresh) == 1:
            self._wake()
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
        elif len(self._fresh) >= MOST_FRESH:
            self._encode()

    def begin(self, after: int) -> None:
        """Number on from event ``after`` of an earlier process; nothing was published yet."""
        self.ring.begin(after)
        self._inherited = after

    def restore(self, topic: Topic, kept: bytes) -> None:
        """Put back the frame of the next event from a log, without waking anyone."""
        self.ring.extend([topic], [kept])
        self._inherited += 1

    def close(self, reason: str = "stopping") -> None:
        """End every stream: each reader gets what is pending, a farewell, and then the end.

        The first reason stands: a history that has ended did not stop when its server does.
        """
        if self.closed:
            return
        self.closed, self._farewell = True, Shutdown(reason=reason)
        self._wake()

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call ``wake`` when there is news, once until it is taken, and at the close.

        Return what ends that.
        """
        self._listeners.append(wake)
        return lambda: self._listeners.remove(wake)

    def commit(self) -> None:
        """Hand to the log what it has not seen; no reader is ever ahead of the log."""
        self._encode()
        if self._log is not None and self._unlogged:
            frames, self._unlogged = b"".join(self._unlogged), []
            self._log.append(frames, self.head)

    def _encode(self) -> None:
        """Keep the frames of what was published since."""
        if not self._fresh:
            return
        forms, first = self._frame_of, self.ring.head + 1
        data = self._encoded()  # first: it may drop a fact
        numbered = zip(self._fresh, enumerate(data, first), strict=True)
        frames = [forms[fact.kind] % number_and_data for fact, number_and_data in numbered]
        self.ring.extend([fact.topic for fact in self._fresh], frames)
        self._fresh.clear()
        if self._log is not None:
            self._unlogged += frames

    def _encoded(self) -> list[bytes]:
        """Return the data of what was published since; what has none is dropped, and not quietly.

        It is a mistake of its publisher's, for which no reader or other publisher has to suffer.
        """
        try:
            return encode_many(self._fresh)
        except Exception as error:
            told = [fact for fact in self._fresh if _is_encodable(fact)]
            log.error("event_not_encoded", events=len(self._fresh) - len(told), exc_info=error)
            self._fresh, self._failure = told, error
            return encode_many(told)

    def _wake(self) -> None:
        for wake in self._listeners:
            wake()

    # -- the readers' side ---------------------------------------------------------------------

    @property
    def head(self) -> int:
        """The number of the newest event."""
        return self.ring.head + len(self._fresh)

    @property
    def oldest(self) -> int:
        """The number of the oldest event at hand; ``head + 1`` when there is none."""
        return max(self.ring.oldest, self.head - self.ring.size + 1)

    @property
    def published(self) -> int:
        """How many events were published here, beside those of an earlier process."""
        return self.head - self._inherited

    @property
    def history(self) -> int:
        """How many events a reader may be behind before it gets a gap."""
        return self.ring.size

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

    def is_wanted(self, topic: Topic) -> bool:
        """Tell whether a reader that is there now has asked for this kind and subject."""
        return any(wishes.wants(topic) for wishes in tuple(self._filters.values()))

    def reader(self, wishes: Filter, last_id: str | None = None) -> Reader:
        """Return a reader that begins with a snapshot, or strictly after ``last_id``."""
        self.commit()
        if not last_id:
            greeting = self._stand(wishes, retry_ms=RETRY_MS)
            return Reader(self, wishes, self.head, greeting or self._hello() + self._place())
        known = EventId.parse(last_id)
        if known is None or known.epoch != self.epoch or known.n > self.head:
            since = last_id if last_id.isascii() and last_id.isprintable() else "?"
            greeting, cursor = self.gap(since[:64], 0, wishes, "epoch")
            return Reader(self, wishes, cursor, self._hello() + greeting)
        if known.n + 1 < self.oldest:
            greeting, cursor = self.gap(str(known), known.n, wishes, "evicted")
            return Reader(self, wishes, cursor, self._hello() + greeting)
        self.replays += 1
        return Reader(self, wishes, known.n, self._hello())

    def batch(self, wishes: Filter, after: int, upto: int | None = None) -> Batch:
        """Return what follows event ``after``, as far as one write goes; not beyond ``upto``."""
        self.commit()
        return self._batches.after(wishes, after, upto)

    def burst(self, wishes: Filter, after: int) -> Batch | None:
        """Return all that follows event ``after``, if one write takes a reader to the head."""
        if self.closed or after + 1 < self.oldest:
            return None
        self.commit()
        return self._batches.burst(wishes, after)

    def gap(self, since: str, after: int, wishes: Filter, reason: str) -> tuple[bytes, int]:
        """Return the frames that tell of a gap, and the place to read on from."""
        self.commit()
        self.gaps += 1
        upto = self.head if self._snapshot else self.oldest - 1
        told = Gap(
            since=since,
            until=str(EventId(self.epoch, upto)),
            missed=max(0, upto - after),
            reason=reason,
        )
        return frame(told.kind, encode(told)) + (self._stand(wishes) or self._place(upto)), upto

    def farewell(self) -> bytes:
        """Return the last frame of one stream; each gets its own moment to come back."""
        jittered = self._rng.randint(RETRY_MS // 2, 2 * RETRY_MS)
        return frame(self._farewell.kind, encode(self._farewell), retry_ms=jittered)

    def standing(self) -> bytes:
        """Return the frame of a snapshot of everything as of now, if the hub has one to give."""
        return self._stand(self.filter())

    def _hello(self) -> bytes:
        return b"retry: %d\n: stream %b\n\n" % (RETRY_MS, self.id.encode())

    def _place(self, after: int | None = None) -> bytes:
        """Return what is no event, but lets a reader resume that is lost before the next one."""
        return b"id: %b-%d\n\n" % (self.epoch.encode(), self.head if after is None else after)

    def _stand(self, wishes: Filter, retry_ms: int | None = None) -> bytes:
        """Return the snapshot as of the newest event; nothing when the hub has none to give."""
        if self._snapshot is None:
            return b""
        fact = self._snapshot(wishes, self.id)
        here = EventId(self.epoch, self.head)
        return frame(fact.kind, encode(fact), id=here, retry_ms=retry_ms)


def _is_encodable(fact: Fact) -> bool:
    with suppress(Exception):
        encode(fact)
        return True
    return False
