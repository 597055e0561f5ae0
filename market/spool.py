"""What many readers get, put once where the kernel has it: each of them is a place in a file.

A write copies what is written into buffers of the socket, for each reader anew, and what does not
fit there is kept for each. From a file in memory ``sendfile`` lends the very same pages to all of
them, as many as a socket takes, from wherever its reader stands; one that fell behind costs a
system call for all that it can take, as one does that keeps up. To 100 readers on one core, by the
processor's time of the sender:

    bytes a reader    write    sendfile
             4 096     8 us        6 us
            16 384     9 us        7 us
            32 768    11 us        7 us
            65 536    26 us       13 us

A file only grows, and is let go as a whole: its pages live on with those who have not read them.
"""

import os
import sys
from bisect import bisect_left, bisect_right, insort
from collections import deque
from contextlib import suppress
from itertools import accumulate, pairwise
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from market.filter import Filter
from market.ring import Ring
from market.wire import chunk

PIECE_EVENTS: Final = 64
"""A piece ends after each event whose number is a multiple of it, and where a reader stands."""
REEL_BYTES: Final = 1024 * 1024
KEPT_BYTES: Final = 16 * REEL_BYTES
"""What all files hold together, but for what is added at once."""
MOST_REELS: Final = 2 * KEPT_BYTES // REEL_BYTES
"""Files that are open together: those of readers that seldom ask have little in them each."""
MOST_FILTERS: Final = 8
MOST_SKIPPED: Final = 2048
"""Events that are put down though nobody asked for them, so that the file goes on."""
MOST_ADDED: Final = 256 * PIECE_EVENTS
"""Events that are put down at once, however many have come: it takes some milliseconds."""


class Lent(NamedTuple):
    """What a socket took, and where its reader is once it has the ``rest`` of a piece too."""

    sent: int
    upto: int
    events: int
    rest: bytes


class Piece(NamedTuple):
    """Some frames in a row, of the events up to number ``upto``."""

    upto: int
    frames: list[bytes]

    @property
    def chunk(self) -> bytes:
        """The frames as a chunk of an HTTP body; nothing when there are none."""
        return chunk(b"".join(self.frames)) if self.frames else b""


class Reel:
    """A file in memory with the events that follow number ``after``, as pieces of an HTTP body."""

    __slots__ = ("_ends", "_events", "_file", "_uptos")

    def __init__(self, after: int) -> None:
        self._file = os.memfd_create("frames")
        self._uptos, self._ends, self._events = [after], [0], [0]

    @property
    def after(self) -> int:
        """The number of the event before its first one."""
        return self._uptos[0]

    @property
    def upto(self) -> int:
        """The number of its last event."""
        return self._uptos[-1]

    @property
    def size(self) -> int:
        """How many bytes it holds."""
        return self._ends[-1]

    def append(self, pieces: list[Piece]) -> None:
        """Put down what follows; raise OSError, with nothing changed, when there is no room."""
        chunks = [piece.chunk for piece in pieces]
        data = b"".join(chunks)
        if os.pwrite(self._file, data, self.size) < len(data):
            raise OSError("what was written is cut off")
        self._uptos += [piece.upto for piece in pieces]
        counts = (len(piece.frames) for piece in pieces)
        self._ends += accumulate(map(len, chunks), initial=self._ends.pop())
        self._events += accumulate(counts, initial=self._events.pop())

    def send(self, after: int, to: int) -> Lent | None:
        """Send what follows event ``after``, as far as the socket takes it.

        Return None when no piece begins there. A client that is gone takes nothing: who writes the
        rest is told so.
        """
        at = bisect_left(self._uptos, after)
        if at >= len(self._uptos) - 1 or self._uptos[at] != after:
            return None
        begin = end = self._ends[at]
        with suppress(OSError):  # it takes no more now
            while sent := os.sendfile(to, self._file, end, self.size - end):
                end += sent
        last, rest = bisect_right(self._ends, end) - 1, b""
        if last == at or self._ends[last] < end:
            last += 1
            rest = os.pread(self._file, self._ends[last] - end, end)
        events = self._events[last] - self._events[at]
        return Lent(end - begin, self._uptos[last], events, rest)

    def close(self) -> None:
        """Let it go; who has not read what was sent from it still can."""
        os.close(self._file)


class Spool:
    """The newest events of a ring, for the filters that many readers have."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._reels: WeakKeyDictionary[Filter, list[Reel]] = WeakKeyDictionary()
        self._oldest: deque[tuple[list[Reel], Reel]] = deque()
        self._bytes = 0

    def send(self, wishes: Filter, after: int, to: int) -> Lent | None:
        """Send what follows event ``after`` on a socket; None when that is not to be had here."""
        reels = self._reels.get(wishes)
        if reels is None:
            if sys.platform != "linux" or len(self._reels) >= MOST_FILTERS:
                return None
            reels = self._reels[wishes] = []
        if not reels or reels[-1].upto < self._ring.head:
            with suppress(OSError):  # there is no memory for it, or such files are not allowed
                self._extend(reels, wishes, after)
        for reel in reversed(reels):
            if reel.after <= after:
                return reel.send(after, to)
        return None

    def close(self) -> None:
        """Let everything go; who sends again begins anew."""
        self._reels.clear()
        while self._oldest:
            self._drop_oldest()

    def _extend(self, reels: list[Reel], wishes: Filter, after: int) -> None:
        """Put down what came since, or what follows ``after`` when too much came in between."""
        upto = reels[-1].upto if reels else after
        if after - upto > MOST_SKIPPED or upto + 1 < self._ring.oldest:
            upto = after
        if not reels or reels[-1].upto != upto or reels[-1].size > REEL_BYTES:
            if len(self._oldest) >= MOST_REELS:
                self._drop_oldest()
            reel = Reel(upto)
            reels.append(reel)
            self._oldest.append((reels, reel))
        size = reels[-1].size
        wanted = self._ring.wanted
        cuts = pairwise(self._cuts(upto, after))
        reels[-1].append([Piece(end, wanted(wishes, begin, end)) for begin, end in cuts])
        self._bytes += reels[-1].size - size
        while self._bytes > KEPT_BYTES and len(self._oldest) > 1:
            self._drop_oldest()

    def _cuts(self, upto: int, after: int) -> list[int]:
        """Return where pieces begin and end, from ``upto`` on."""
        end = min(self._ring.head, upto + MOST_ADDED)
        first = upto - upto % PIECE_EVENTS + PIECE_EVENTS
        cuts = [upto, *range(first, end, PIECE_EVENTS), end]
        if upto < after < end and after % PIECE_EVENTS:
            insort(cuts, after)
        return cuts

    def _drop_oldest(self) -> None:
        reels, reel = self._oldest.popleft()
        reels.remove(reel)
        self._bytes -= reel.size
        reel.close()
