"""What goes to readers in one write: made once for all who stand at the same place."""

from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary, ref

from market.filter import Filter
from market.ring import Ring
from market.wire import chunk

BATCH_BYTES: Final = 256 * 1024
BLOCK_EVENTS: Final = 512
BURST_EVENTS: Final = 2048
KEPT_BYTES: Final = 8 * 1024 * 1024
ENTRY_BYTES: Final = 256  # about what a batch costs beside its bytes
SHARED_BYTES: Final = 16 * BATCH_BYTES


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


class Batches:
    """The batches of a ring, the very same for every reader with one filter at one place.

    Readers that lag are led to the same places, the ends of blocks; or each would soon need bytes
    of its own. A filter that no reader has any more is not kept for the sake of its batches.

    Args:
        conflated: the kind of which a reader may want the newest alone.
    """

    def __init__(self, ring: Ring, conflated: str) -> None:
        self._ring, self._conflated = ring, conflated
        self._shared: WeakKeyDictionary[Filter, dict[tuple[int, int], Batch]] = WeakKeyDictionary()
        self._shared_at, self._shared_bytes = 0, 0
        self._blocks: dict[tuple[ref[Filter], int], Batch] = {}
        self._blocks_bytes = 0

    def after(self, wishes: Filter, after: int, upto: int | None = None) -> Batch:
        """Return what follows event ``after``, as far as one write goes; not beyond ``upto``."""
        head = self._ring.head
        if head - after > BLOCK_EVENTS and wishes.conflate_ms is None:
            return self._block(wishes, after)
        return self._to(wishes, after, head if upto is None else upto)

    def burst(self, wishes: Filter, after: int) -> Batch | None:
        """Return all that follows event ``after``, for who keeps up; None when it is too much."""
        head = self._ring.head
        if head - after > BURST_EVENTS:
            return None
        found = self._to(wishes, after, head)
        return found if len(found.data) <= BATCH_BYTES else None

    def _to(self, wishes: Filter, after: int, upto: int) -> Batch:
        """Return what follows event ``after``, up to ``upto``; kept until something new comes."""
        head = self._ring.head
        if self._shared_at != head or self._shared_bytes > SHARED_BYTES:
            self._shared = WeakKeyDictionary()
            self._shared_at, self._shared_bytes = head, 0
        shared, place = self._shared.setdefault(wishes, {}), (after, upto)
        found = shared.get(place)
        if found is None:
            make = self._joined if wishes.conflate_ms is None else self._newest
            found = shared[place] = make(wishes, after, upto)
            self._shared_bytes += len(found.data) + ENTRY_BYTES
        return found

    def _block(self, wishes: Filter, after: int) -> Batch:
        """Return what follows ``after`` up to the end of its block: that never changes."""
        place = ref(wishes), after
        found = self._blocks.get(place)
        if found is None:
            upto = after - after % BLOCK_EVENTS + BLOCK_EVENTS
            found = self._blocks[place] = self._joined(wishes, after, upto)
            self._blocks_bytes += _kept_bytes(found)
            while self._blocks_bytes > KEPT_BYTES:
                self._blocks_bytes -= _kept_bytes(self._blocks.pop(next(iter(self._blocks))))
        return found

    def _joined(self, wishes: Filter, after: int, upto: int) -> Batch:
        """Join the events after ``after``, up to ``upto``."""
        frames = self._ring.wanted(wishes, after, upto)
        return Batch(b"".join(frames), len(frames), upto)

    def _newest(self, wishes: Filter, after: int, upto: int) -> Batch:
        """Join with the newest tick up to ``upto`` of each symbol alone, in order of numbers."""
        ring, chosen = self._ring, dict[object, bytes]()
        size, n = 0, after
        while n < upto and size < BATCH_BYTES:
            n += 1
            slot = n % ring.size
            topic = ring.topics[slot]
            if wishes.wants(topic):
                key: object = topic if topic[0] == self._conflated else n
                size += len(ring.frames[slot]) - len(chosen.pop(key, b""))
                chosen[key] = ring.frames[slot]
        for topic in ring.about(n, upto) & chosen.keys():
            del chosen[topic]  # a newer tick of that symbol is in a later batch
        return Batch(b"".join(chosen.values()), len(chosen), n)


def _kept_bytes(batch: Batch) -> int:
    return 2 * len(batch.data) + ENTRY_BYTES
