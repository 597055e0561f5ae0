"""The load generator: many readers in one thread, that count whole frames and miss nothing.

Frames of one server have one length and one numbering, so a reader that got so many bytes of
payload, from the first number to the last, lost nothing; a few readers look at every number in
between as well. Latency is taken from the oldest event of a read, of a sample of the reads, which
makes it an upper bound. What arrives is written into one buffer that all readers share.
"""

import re
import resource
import select
import socket
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

BUFFER_BYTES: Final = 1 << 18
DENSE_READERS: Final = 2
SAMPLE_OF: Final = 7  # a prime, so that no reader is always or never in the sample
MARKS: Final = 40
PATIENCE: Final = 40  # looks at a server that should have answered, before it is given up
_TIME: Final = b'"time":"'
_SEQ: Final = re.compile(rb'"seq":(\d+)\}')


class LostError(Exception):
    """A server broke off, or a reader did not get what was published."""


@dataclass(slots=True)
class Outcome:
    """What the readers saw of one order."""

    expected: int
    seconds: float
    own_cpu: float
    complete: bool
    latencies: list[float] = field(default_factory=list, repr=False)
    spread_s: float = 0.0

    def latency_ms(self, quantile: float) -> float:
        """Return a quantile of the latency; infinite where nothing arrived."""
        ordered = sorted(self.latencies)
        if not ordered:
            return float("inf")
        return 1000 * ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]


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


class Reader:
    """One connection, and how far it has come."""

    __slots__ = (
        "_chunks",
        "_head",
        "_looks",
        "_seen",
        "_tail",
        "dense",
        "first",
        "frame_bytes",
        "frames",
        "mark",
        "payload",
        "receive",
        "socket",
    )

    def __init__(self, port: int, *, looks: bool) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
        self.socket.setblocking(False)
        self.receive = self.socket.recv_into
        self._head: bytes | None = b""
        self._chunks: Chunks | None = None
        self._looks, self._seen = looks, b""
        self.frame_bytes: int | None = None
        self.begin()

    def begin(self) -> None:
        """Count from here."""
        self.payload = self.frames = self.first = self.mark = 0
        self._tail, self.dense = b"", 0

    @property
    def is_open(self) -> bool:
        """Tell whether the head of the answer is there."""
        return self._head is None

    @property
    def last(self) -> int:
        """The number of the newest event."""
        found = _SEQ.findall(self._tail)
        return int(found[-1]) if found else 0

    def take(self, data: bytearray, size: int) -> list[tuple[int, int]]:
        """Count ``size`` bytes that arrived; return where in ``data`` events are."""
        at = 0
        if self._head is not None:
            at = self._open(data, size)
        pieces = [(at, size)] if self._chunks is None else self._chunks.pieces(data, at, size)
        for start, end in pieces:
            self._gain(data, start, end)
        return pieces

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

    def _gain(self, data: bytearray, start: int, end: int) -> None:
        self.payload += end - start
        if self.frame_bytes:
            self.frames = self.payload // self.frame_bytes
        else:  # frames of many lengths, from a server that sends few: their ends are counted
            seam = self._tail[-1:] == b"\n" and data[start : start + 1] == b"\n"
            self.frames += data.count(b"\n\n", start, end) + seam
        if not self.first:
            self.first = self._first(data, start, end)
        self._tail = (self._tail + data[max(start, end - 64) : end])[-64:]
        if self._looks:
            self._look(data[start:end])

    @staticmethod
    def _first(data: bytearray, start: int, end: int) -> int:
        found = _SEQ.search(data, start, end)
        return int(found[1]) if found else 0

    def _look(self, piece: bytearray) -> None:
        """Hold every number against the one before it."""
        seen = self._seen + piece
        whole = seen.rfind(b"}") + 1
        self._seen = seen[whole:]
        numbers = [int(number) for number in _SEQ.findall(seen, 0, whole)]
        if not numbers:
            return
        follows = self.dense + 1 if self.dense else numbers[0]
        if numbers != list(range(follows, follows + len(numbers))):
            raise LostError(f"after {self.dense} came {numbers[:3]}")
        self.dense = numbers[-1]


class Load:
    """So many readers of one stream."""

    def __init__(self, port: int, readers: int) -> None:
        self._poll = select.epoll()
        self._buffer = bytearray(BUFFER_BYTES)
        self._turn, self._minutes = 0, dict[bytes, float]()
        self._arrivals: defaultdict[int, list[float]] = defaultdict(list)
        self._latencies: list[float] = []
        self._finished = 0
        self.readers: dict[int, Reader] = {}
        for n in range(readers):
            reader = Reader(port, looks=n < DENSE_READERS)
            self.readers[reader.socket.fileno()] = reader
            self._poll.register(reader.socket.fileno(), select.EPOLLIN)

    def close(self) -> None:
        """Hang up."""
        self._poll.close()
        for reader in self.readers.values():
            reader.socket.close()

    def settle(self, quiet_s: float = 0.15) -> None:
        """Read until every reader was answered and nothing has come for a while.

        Raises:
            LostError: some were not answered.
        """
        for _ in range(PATIENCE):
            while ready := self._poll.poll(quiet_s):
                for fd, _ in ready:
                    self._read(self.readers[fd])
            if all(reader.is_open for reader in self.readers.values()):
                return
        raise LostError("not every reader was answered")

    def measure_frames(self, events: int) -> None:
        """Learn the length of a frame from ``events`` that were just published.

        Raises:
            LostError: the readers did not all get the same, of frames of one length.
        """
        lengths = set[int]()
        for _ in range(PATIENCE):
            self.settle()
            lengths = {reader.payload for reader in self.readers.values()}
            if len(lengths) == 1 and (total := max(lengths)) and total % events == 0:
                for reader in self.readers.values():
                    reader.frame_bytes = total // events
                return
        raise LostError(f"{events} frames were {sorted(lengths)[:5]} bytes")

    def begin(self) -> None:
        """Count from here."""
        for reader in self.readers.values():
            reader.begin()
        self._latencies, self._finished = [], 0
        self._arrivals.clear()

    def run(self, expected: int, limit_s: float, *, rest_s: float, sample_of: int) -> Outcome:
        """Read until every reader has ``expected`` events, or the time is over.

        ``rest_s`` is slept between two rounds, which spares this process for the price of as much
        latency; 0 where latency is what is asked for.
        """
        started, cpu = time.perf_counter(), time.process_time()
        step = max(1, expected // MARKS)
        while self._finished < len(self.readers) and time.perf_counter() - started < limit_s:
            if rest_s:
                time.sleep(rest_s)
            for fd, _ in self._poll.poll(0.05):
                self._count(self.readers[fd], expected, step, sample_of)
        seconds = time.perf_counter() - started
        complete = self._finished == len(self.readers) and self._nothing_lost(expected)
        own_cpu = (time.process_time() - cpu) / seconds
        return Outcome(expected, seconds, own_cpu, complete, self._latencies, self._spread_s())

    def _count(self, reader: Reader, expected: int, step: int, sample_of: int) -> None:
        before = reader.frames
        pieces = self._read(reader)
        if reader.frames >= reader.mark + step:
            reader.mark = reader.frames - reader.frames % step
            self._arrivals[reader.mark].append(time.perf_counter())
        if before < expected <= reader.frames:
            self._finished += 1
        self._turn += 1
        if pieces and not self._turn % sample_of:
            self._sample(*pieces[0])

    def _read(self, reader: Reader) -> list[tuple[int, int]]:
        try:
            size = reader.receive(self._buffer)
        except BlockingIOError:
            return []
        except ConnectionError as error:
            raise LostError(str(error)) from error
        if not size:
            raise LostError("the server hung up")
        return reader.take(self._buffer, size)

    def _sample(self, start: int, end: int) -> None:
        at = self._buffer.find(_TIME, start, end) + len(_TIME)
        if at < len(_TIME) or at + 26 > end:
            return
        minute = bytes(self._buffer[at : at + 17])
        begun = self._minutes.get(minute)
        if begun is None:
            begun = datetime.fromisoformat(minute.decode() + "00+00:00").timestamp()
            self._minutes[minute] = begun
        self._latencies.append(time.time() - begun - float(self._buffer[at + 17 : at + 26]))

    def _nothing_lost(self, expected: int) -> bool:
        """Tell whether every reader has the same first and last number, with all between them."""
        ends = {(reader.first, reader.last) for reader in self.readers.values()}
        if len(ends) != 1:
            return False
        first, last = ends.pop()
        exact = all(
            reader.frames == expected
            and (not reader.frame_bytes or reader.payload == expected * reader.frame_bytes)
            for reader in self.readers.values()
        )
        return exact and last - first + 1 == expected

    def _spread_s(self) -> float:
        """Return how long after the fastest reader the slowest had the same event, at worst."""
        whole = [seen for seen in self._arrivals.values() if len(seen) == len(self.readers)]
        return max((max(seen) - min(seen) for seen in whole), default=0.0)


def room_for(connections: int) -> None:
    """Let this process and its children open that many sockets; raise ValueError where it can't."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < connections:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * connections), hard))
