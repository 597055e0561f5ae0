"""The load generator: many readers in one thread, that count whole frames and miss nothing.

A frame holds one tick, so one closing brace, which cannot be cut in two: counting it counts events,
however the bytes were cut or chunked on the way. A reader that got as many as were published, from
the first number to the last, lost nothing; a few readers look at every number in between as well.

A read is a system call, a count and an addition; numbers are looked at in the first read and the
last one, and latency in a sample: of the oldest event of a read, which makes it an upper bound.
Readiness is told by edges, and waited for without a timer, which would be set anew for every event.
What arrives is written into one buffer that all readers share.

The loop is prompt, or else it rests after a round of reads that brought little. To wake a reader
for every event is dear, and on one machine the server pays for it too; on a network it would not.
"""

import resource
import select
import socket
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from benchmarks.peers.reader import (
    BUFFER_BYTES,
    EVENT_END,
    LINE_END,
    SKIMMED_BYTES,
    Buffer,
    LostError,
    Reader,
    asked,
)
from benchmarks.peers.scrape import Scrape

DENSE_READERS: Final = 2
SAMPLE_OF: Final = 31  # a prime, so that no reader is always or never in the sample
MARKS: Final = 40
PATIENCE: Final = 40  # looks at a server that should have answered, before it is given up
_TIME: Final = b'"time":"'


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


class Load:
    """So many readers of one stream.

    Args:
        guests: as many more readers, not counted, as there are queries; each looks at all of its
            numbers, which grow by the value given, and drops out in the middle to resume.
        metrics: the path to scrape once a second while a run goes on.
    """

    def __init__(
        self, port: int, readers: int, *, guests: dict[str, int] | None = None, metrics: str = ""
    ) -> None:
        self._port, self._metrics = port, metrics
        self._poll = select.epoll()
        self._buffer = Buffer()
        self._minutes = dict[bytes, float]()
        self._arrivals: defaultdict[int, list[float]] = defaultdict(list)
        self._latencies: list[float] = []
        self._finished = self._turn = self._bytes = 0
        self._by_fd: dict[int, Reader] = {}
        self._bell, ear = socket.socketpair()
        ear.setblocking(False)
        listening = Reader(ear)
        listening.skims = True
        self._watch(listening)
        self.readers = [Reader(asked(port), looks=n < DENSE_READERS) for n in range(readers)]
        self.guests = [
            Reader(asked(port, query), looks=True, stride=stride, query=query)
            for query, stride in (guests or {}).items()
        ]
        self.everyone = (*self.readers, *self.guests)
        for reader in self.everyone:
            self._watch(reader)

    def close(self) -> None:
        """Hang up."""
        self._poll.close()
        self._bell.close()
        for reader in self._by_fd.values():
            reader.socket.close()

    def settle(self, quiet_s: float = 0.15) -> None:
        """Read until every reader was answered and nothing has come for a while.

        Raises:
            LostError: some were not answered.
        """
        for _ in range(PATIENCE):
            while self._read(quiet_s, SAMPLE_OF):
                pass
            if all(reader.is_open for reader in self.everyone):
                return
        raise LostError("not every reader was answered")

    def begin(self) -> None:
        """Count from here."""
        for reader in self.everyone:
            reader.begin()
        self._latencies, self._finished = [], 0
        self._arrivals.clear()

    def run(self, expected: int, limit_s: float, *, sample_of: int, rest_s: float = 0.0) -> Outcome:
        """Read until every reader has ``expected`` events, or the time is over.

        Args:
            sample_of: look at the latency in one of so many reads.
            rest_s: how long to rest after each round that brought little.
        """
        started, cpu = time.perf_counter(), time.process_time()
        for reader in self.readers:
            reader.aim(expected, MARKS)
        for guest in self.guests:
            guest.aim(expected // guest.stride, 2)
        with Scrape(self._port, self._metrics, self._bell) as scrape:
            while self._finished < len(self.everyone) and time.perf_counter() - started < limit_s:
                before = self._bytes
                reads = self._read(None, sample_of)
                if rest_s and self._bytes - before < reads * SKIMMED_BYTES:
                    time.sleep(rest_s)
        if scrape.problem is not None:
            raise LostError(f"no metrics: {scrape.problem}")
        seconds = time.perf_counter() - started
        complete = self._finished == len(self.everyone) and self._nothing_lost(expected)
        own_cpu = (time.process_time() - cpu) / seconds
        return Outcome(expected, seconds, own_cpu, complete, self._latencies, self._spread_s())

    def _watch(self, reader: Reader) -> None:
        fd = reader.socket.fileno()
        self._by_fd[fd] = reader
        self._poll.register(fd, select.EPOLLIN | select.EPOLLET)

    def _read(self, wait_s: float | None, sample_of: int) -> int:
        """Read wherever something is; return in how many places that was.

        Raises:
            LostError: a server broke off.
        """
        readers, data, turn, total = self._by_fd, self._buffer.data, self._turn, 0
        ready = self._poll.poll(wait_s)
        for fd, _ in ready:
            reader = readers[fd]
            size = reader.receive(data)
            if reader.skims and 0 < size < SKIMMED_BYTES and data[size - 1] == LINE_END:
                reader.events += data.count(EVENT_END, 0, size)
            else:
                size = self._take(reader, size)
            if reader.events >= reader.goal:
                self._pass(reader, size)
            turn += 1
            total += size
            if not turn % sample_of:
                self._sample(size)
        self._turn, self._bytes = turn, self._bytes + total
        return len(ready)

    def _take(self, reader: Reader, size: int) -> int:
        """Look at what arrived, and at what follows where it filled the buffer; return how much."""
        reader.take(self._buffer, size)
        while size == BUFFER_BYTES:
            try:
                size = reader.receive(self._buffer.data)
            except BlockingIOError:
                break
            reader.take(self._buffer, size)
        return size

    def _pass(self, reader: Reader, size: int) -> None:
        """Note when a reader came by its marks, and how it ended at the last one."""
        marks = reader.pass_marks()
        if marks[-1] == reader.expected:
            reader.keep(self._buffer, size)
            self._finished += 1
        elif reader.query is not None:
            self._resume(reader)
        if reader.query is None:
            now = time.perf_counter()
            for mark in marks:
                self._arrivals[mark].append(now)

    def _resume(self, reader: Reader) -> None:
        """Drop a connection with all that is on its way, and ask for what follows on another."""
        del self._by_fd[reader.socket.fileno()]
        reader.socket.close()
        reader.read_from(asked(self._port, reader.query or "", reader.last_id))
        self._watch(reader)

    def _sample(self, size: int) -> None:
        data = self._buffer.data
        at = data.find(_TIME, 0, size) + len(_TIME)
        if at < len(_TIME) or at + 26 > size:
            return
        minute = bytes(data[at : at + 17])
        begun = self._minutes.get(minute)
        if begun is None:
            begun = datetime.fromisoformat(minute.decode() + "00+00:00").timestamp()
            self._minutes[minute] = begun
        self._latencies.append(time.time() - begun - float(data[at + 17 : at + 26]))

    def _nothing_lost(self, expected: int) -> bool:
        """Tell whether every reader has the same first and last number, with all between them."""
        ends = {(reader.first, reader.last) for reader in self.readers}
        if len(ends) != 1:
            return False
        first, last = ends.pop()
        return (
            last - first + 1 == expected
            and all(reader.events == reader.expected for reader in self.everyone)
            and all(0 <= guest.first - first < guest.stride for guest in self.guests)
        )

    def _spread_s(self) -> float:
        """Return how long after the fastest reader the slowest had the same event, at worst."""
        whole = [seen for seen in self._arrivals.values() if len(seen) == len(self.readers)]
        return max((max(seen) - min(seen) for seen in whole), default=0.0)


def room_for(connections: int) -> None:
    """Let this process and its children open that many sockets; raise ValueError where it can't."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < connections:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * connections), hard))
