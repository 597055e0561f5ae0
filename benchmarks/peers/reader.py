"""One reader of a stream: it counts whole frames, and looks closer where it is asked to."""

import re
import socket
from math import inf
from typing import Final

import numpy as np
import numpy.typing as npt

BUFFER_BYTES: Final = 1 << 18
SKIMMED_BYTES: Final = 4096  # up to here it is the shortest way to count a byte in place
LINE_END: Final = ord("\n")
EVENT_END: Final = ord("}")
_ID: Final = b"id: "
_SEQ: Final = re.compile(rb'"seq":(\d+)\}')
_PLACES: Final = np.arange(10, 0, -1)  # of a number's digits, from its end; all have as many
_SEQ_BYTES: Final = 64  # more than a number at the end of a frame takes


class LostError(Exception):
    """A server broke off, or a reader did not get what was published."""


class Chunks:
    """The lengths in a chunked body, wherever it was cut."""

    __slots__ = ("_left", "_line")

    def __init__(self) -> None:
        self._left, self._line = 0, b"\r\n"

    def pieces(self, data: bytearray, at: int, size: int) -> list[tuple[int, int]]:
        """Return where the payload is in ``data[at:size]``."""
        found: list[tuple[int, int]] = []
        while at < size:
            if self._left:
                end = min(size, at + self._left)
                self._left -= end - at
                found.append((at, end))
                at = end
            else:
                at = self._next_length(data, at, size)
        return found

    def _next_length(self, data: bytearray, at: int, size: int) -> int:
        """Read the line between two chunks; return where it ends."""
        if not self._line:
            end = data.find(b"\r\n", at + 2, min(size, at + 20))
            if end > 0:
                self._left = self._length(data[at + 2 : end])
                return end + 2
        while at < size:  # the line is cut: byte by byte
            self._line += data[at : at + 1]
            at += 1
            if len(self._line) > 4 and self._line.endswith(b"\r\n"):
                self._left, self._line = self._length(self._line[2:-2]), b""
                break
        return at

    @staticmethod
    def _length(text: bytes | bytearray) -> int:
        if length := int(text, 16):
            return length
        raise LostError("the server ended the stream")


class Buffer:
    """Where all readers receive, one after the other."""

    __slots__ = ("_ends", "_numbers", "data")

    def __init__(self) -> None:
        self.data = bytearray(BUFFER_BYTES)
        self._numbers = np.frombuffer(self.data, np.uint8)
        self._ends = np.empty(BUFFER_BYTES, np.bool_)

    def events(self, size: int) -> int:
        """Return how many events end in the first ``size`` bytes."""
        ends = np.equal(self._numbers[:size], EVENT_END, out=self._ends[:size])
        return int(np.count_nonzero(ends))

    def tail(self, size: int) -> bytearray:
        """Return the last of the first ``size`` bytes."""
        return self.data[max(0, size - _SEQ_BYTES) : size]


def asked(port: int, query: str = "", last_id: str = "") -> socket.socket:
    """Return a connection that a stream was just asked for on."""
    connection = socket.create_connection(("127.0.0.1", port))
    lines = [f"GET /stream{query} HTTP/1.1", "Host: x", "Accept: text/event-stream"]
    if last_id:
        lines.append(f"Last-Event-ID: {last_id}")
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    connection.setblocking(False)
    return connection


class Reader:
    """One connection, and how far it has come.

    Args:
        looks: holds every number against the one before it; the others count.
        stride: what its numbers grow by; more than 1 where a filter leaves some out.
        query: what was asked for with the stream, where it is to be asked for again.
    """

    __slots__ = (
        "_chunks",
        "_head",
        "_seen",
        "_step",
        "_tail",
        "dense",
        "events",
        "expected",
        "first",
        "goal",
        "last_id",
        "looks",
        "query",
        "receive",
        "skims",
        "socket",
        "stride",
    )

    def __init__(
        self,
        connection: socket.socket,
        *,
        looks: bool = False,
        stride: int = 1,
        query: str | None = None,
    ) -> None:
        self.looks, self.stride, self.query = looks, stride, query
        self.goal: float = inf
        self.expected, self._step, self.last_id = 0, 1, ""
        self.read_from(connection)
        self.begin()

    def read_from(self, connection: socket.socket) -> None:
        """Go on reading there, from the head of an answer."""
        self.socket, self.receive = connection, connection.recv_into
        self._head: bytes | None = b""
        self._chunks: Chunks | None = None
        self._seen = b""

    def begin(self) -> None:
        """Count from here."""
        self.events = self.first = self.dense = 0
        self._tail = b""
        self.skims = False

    def aim(self, expected: int, marks: int) -> None:
        """Set the goal to the first of so many marks on the way to ``expected`` events."""
        self.expected, self._step = expected, max(1, expected // marks)
        self.goal = self._step

    def pass_marks(self) -> list[int]:
        """Return the marks that this reader has come by, and set the goal to the next one."""
        marks: list[int] = []
        while self.events >= self.goal:
            marks.append(int(self.goal))
            following = min(self.goal + self._step, self.expected)
            self.goal = inf if self.goal == self.expected else following
        return marks

    @property
    def is_open(self) -> bool:
        """Tell whether the head of the answer is there."""
        return self._head is None

    @property
    def last(self) -> int:
        """The number of the newest event, as far as one was looked for."""
        found = _SEQ.findall(self._tail)
        return int(found[-1]) if found else 0

    def take(self, buffer: Buffer, size: int) -> None:
        """Look at ``size`` bytes that arrived, where counting them is not enough.

        Raises:
            LostError: they are not what should have come, or nothing did.
        """
        if not size:
            raise LostError("the server hung up")
        at = self._open(buffer.data, size) if self._head is not None else 0
        self.events += buffer.events(size)
        if not self.first and (found := _SEQ.search(self._tail + buffer.data[at:size])):
            self.first = int(found[1])
            self.skims = not self.looks
        self.keep(buffer, size)
        if self.looks:
            self._look(buffer.data, at, size)

    def keep(self, buffer: Buffer, size: int) -> None:
        """Keep the end of what arrived, for the last number is there."""
        self._tail = bytes(self._tail + buffer.tail(size))[-2 * _SEQ_BYTES :]

    def _open(self, data: bytearray, size: int) -> int:
        """Read the head of the answer; return where it ends in ``data``."""
        assert self._head is not None
        before = len(self._head)
        head = self._head + data[:size]
        end = head.find(b"\r\n\r\n")
        self._head = head if end < 0 else None
        if end < 0:
            return size
        if not head.startswith(b"HTTP/1.1 200"):
            raise LostError(head[:end].decode("latin-1"))
        if b"transfer-encoding: chunked" in head[:end].lower():
            self._chunks = Chunks()
        return end + 4 - before

    def _look(self, data: bytearray, at: int, size: int) -> None:
        """Hold every number against the one before it."""
        pieces = [(at, size)] if self._chunks is None else self._chunks.pieces(data, at, size)
        seen = self._seen + b"".join(data[start:end] for start, end in pieces)
        whole = seen.rfind(b"}") + 1
        self._seen = seen[whole:]
        if not whole or not self.expected:  # or it is how a stream begins
            return
        numbers = _numbers(seen[:whole])
        follows = self.dense + self.stride if self.dense else int(numbers[0])
        wrong = numbers != follows + self.stride * np.arange(len(numbers))
        if wrong.any():
            at = int(wrong.argmax())
            raise LostError(f"after {numbers[at - 1] if at else self.dense} came {numbers[at]}")
        self.dense = int(numbers[-1])
        at = seen.rfind(_ID, 0, whole) + len(_ID)
        self.last_id = seen[at : seen.find(b"\n", at)].decode()


def _numbers(frames: bytes) -> npt.NDArray[np.int64]:
    """Return the number at the end of each of some whole frames."""
    data = np.frombuffer(frames, np.uint8)
    ends = np.flatnonzero(data == EVENT_END)
    digits = data[ends[:, None] - _PLACES] - ord("0")
    numbers: npt.NDArray[np.int64] = digits @ 10 ** (_PLACES - 1)
    return numbers
