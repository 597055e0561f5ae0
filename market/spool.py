"""Bytes that many sockets send without a copy each: they are put once where the kernel has them.

A write copies what is written into buffers of the socket, for each reader anew. From a file in
memory ``sendfile`` lends the very same pages to all of them. They stay as they were for as long as
some reader has not taken them: the file only grows, and when it is cut off its pages live on with
those who have them. To 100 readers on one core, by the processor's time of the sender:

    bytes a reader    write    sendfile
             4 096     8 us        6 us
            16 384     9 us        7 us
            32 768    11 us        7 us
            65 536    26 us       13 us
"""

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

LENT_BYTES: Final = range(16 * 1024, 128 * 1024)
"""Of fewer a copy is as cheap; more than that no socket takes at once."""
KEPT_BYTES: Final = 8 * 1024 * 1024
"""What the file holds at most, all turns together; it is kept for as long as there is a reader."""
MOST_CHUNKS: Final = 64
"""That are known at once."""


@dataclass(slots=True)
class _Lent:
    """Bytes, kept for as long as they are known by their address, and their place in the file."""

    data: bytes
    place: int | None = None


class Spool:
    """A file in memory, with what is sent to many in one turn.

    Attributes:
        lent: how many bytes went out without a copy.
    """

    def __init__(self) -> None:
        self.lent = 0
        self._file: int | None = None
        self._end = 0
        self._places: dict[int, _Lent] = {}

    def turn(self) -> None:
        """Begin another turn: what was sent in the one before is not sent again."""
        self._places.clear()
        if self._file is not None and self._end > KEPT_BYTES // 2:
            os.ftruncate(self._file, 0)
            self._end = 0

    def send(self, data: bytes, to: int) -> int:
        """Return how many of the bytes a socket took from here; what it did not is to be written.

        The first who gets them takes none, for there may be no other. A client that is gone takes
        none either: writing to it says so.
        """
        lent = self._places.get(id(data))
        if lent is None:
            if len(self._places) >= MOST_CHUNKS:
                self._places.clear()
            self._places[id(data)] = _Lent(data)
            return 0
        if lent.place is None:
            lent.place = self._keep(data)
        if self._file is None or lent.place < 0:
            return 0
        try:
            sent = os.sendfile(to, self._file, lent.place, len(data))
        except OSError:
            return 0
        self.lent += sent
        return sent

    def close(self) -> None:
        """Let everything go; who sends again opens another."""
        self._places.clear()
        if self._file is not None:
            os.close(self._file)
            self._file, self._end = None, 0

    def _keep(self, data: bytes) -> int:
        """Return where in the file the bytes are now; -1 when they are not."""
        if sys.platform != "linux" or self._end + len(data) > KEPT_BYTES:
            return -1
        with suppress(OSError):  # there is no memory for it, or such files are not allowed
            if self._file is None:
                self._file = os.memfd_create("frames")
            if os.pwrite(self._file, data, self._end) == len(data):
                at, self._end = self._end, self._end + len(data)
                return at
        return -1
