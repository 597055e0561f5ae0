"""The journal: every command, numbered and chained, is on disk before it is answered (SQLite, WAL).

Each record's link is a hash over the one before it, so that no record can be lost, changed or
invented in between without being found. What one turn of the event loop appends is one transaction
(group commit), written by a thread of its own.

``synchronous`` says what survives. Either way nothing that was answered is lost when the process is
killed. With ``full`` the disk is told to keep each transaction (fsync) before it is answered, and
a power cut loses nothing either; with ``normal`` it is told only now and then, and a power cut may
lose the newest transactions, never the order or the wholeness of the older ones.
"""

import asyncio
import threading
from collections.abc import Callable
from datetime import datetime
from queue import SimpleQueue
from typing import Final, Protocol, Self

import structlog

from exchange.chain import (
    FIRST_LINK,
    BadRecordError,
    Head,
    JournalError,
    Record,
    Saved,
    checked,
    linked,
    microseconds,
    moment,
)
from exchange.journal_file import JournalFile, Synchronous, locked, packed

__all__ = [
    "BACKLOG",
    "FIRST_LINK",
    "BadRecordError",
    "DiskJournal",
    "Head",
    "Journal",
    "JournalError",
    "JournalFile",
    "NullJournal",
    "Record",
    "Saved",
    "Synchronous",
    "checked",
    "linked",
    "locked",
    "microseconds",
    "moment",
]

log = structlog.get_logger("exchange.journal")

SETTLE_S: Final = 2.0
BACKLOG: Final = 10_000
"""Commands that may wait for the disk at once."""


class Journal(Protocol):
    """What the exchange writes its commands to."""

    @property
    def head(self) -> Head:
        """The last record appended."""
        ...

    @property
    def backlog(self) -> int:
        """Commands that wait for the disk."""
        ...

    def append(self, body: bytes, time: datetime) -> "asyncio.Future[None]":
        """Number a command; the future is done when it is on disk."""
        ...

    def flushed(self) -> "asyncio.Future[None]":
        """Return what is done when all that was appended is on disk."""
        ...

    def save(self, state: bytes, digest: str) -> None:
        """Keep ``state`` as the snapshot after the last record appended."""
        ...


class NullJournal:
    """A journal that keeps nothing: for simulations and tests."""

    def __init__(self) -> None:
        self.head = Head()
        self.backlog = 0

    def append(self, body: bytes, time: datetime) -> "asyncio.Future[None]":  # noqa: ARG002
        """Number a command; it counts as written at once."""
        self.head = Head(self.head.seq + 1)
        return self.flushed()

    def flushed(self) -> "asyncio.Future[None]":
        """Return what is done already."""
        return _done(asyncio.get_running_loop())

    def save(self, state: bytes, digest: str) -> None:
        """Keep nothing."""


class DiskJournal:
    """A journal file with a writer thread; open it with ``async with``, inside the event loop.

    When a write fails it stays failed: what came after can no longer be answered truthfully, so
    `append` raises JournalError from then on, and the exchange has to start again.
    """

    def __init__(self, file: JournalFile, head: Head, *, keep: int | None = None) -> None:
        self.head = head
        self.failure: JournalError | None = None
        self._file, self._keep = file, keep
        self._pending: list[tuple[Record, asyncio.Future[None]]] = []
        self._flight: list[asyncio.Future[None]] = []
        self._scheduled = False
        self._packers: list[threading.Thread] = []
        self._closing = threading.Event()
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()
        self._settler = threading.Thread(target=self._settle, name="journal-settler", daemon=True)
        self._settler.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Write what waits, then end the thread and close the file."""
        while self._pending or self._flight:
            last = self._pending[-1][1] if self._pending else self._flight[-1]
            await asyncio.wait([last])
            await asyncio.sleep(0)
        for packer in self._packers:
            await asyncio.to_thread(packer.join)
        self._closing.set()
        await asyncio.to_thread(self._settler.join)
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        self._file.close()

    @property
    def backlog(self) -> int:
        """Commands that wait for the disk."""
        return len(self._pending) + len(self._flight)

    def append(self, body: bytes, time: datetime) -> "asyncio.Future[None]":
        """Number a command; the future is done when it is on disk.

        Raises:
            JournalError: a write failed before, or ``BACKLOG`` commands wait for the disk.
        """
        if self.failure is not None:
            raise self.failure
        if self.backlog >= BACKLOG:
            raise JournalError(f"{self._file.path}: {BACKLOG} commands wait for the disk")
        seq, when, text = self.head.seq + 1, microseconds(time), body.decode()
        link = linked(self.head.link, seq, when, text)
        self.head = Head(seq, link)
        done: asyncio.Future[None] = self._loop.create_future()
        self._pending.append((Record(seq, when, text, link), done))
        if not self._scheduled and not self._flight:
            self._scheduled = True
            self._loop.call_soon(self._take_off)
        return done

    def flushed(self) -> "asyncio.Future[None]":
        """Return what is done when all that was appended is on disk.

        Raises:
            JournalError: a write failed before.
        """
        if self.failure is not None:
            raise self.failure
        if self._pending:
            return asyncio.shield(self._pending[-1][1])
        return asyncio.shield(self._flight[-1]) if self._flight else _done(self._loop)

    def save(self, state: bytes, digest: str) -> None:
        """Keep ``state`` as the snapshot after the last record appended."""
        snapshot = Saved(*self.head, digest, None)
        self._take_off()
        self._packers = [thread for thread in self._packers if thread.is_alive()]
        self._packers.append(threading.Thread(target=self._pack, args=(snapshot, state)))
        self._packers[-1].start()

    def _pack(self, snapshot: Saved, state: bytes) -> None:
        """Pack a state apart from the writer, which commands are waiting for."""
        small = packed(state)

        def job() -> None:
            self._file.save_packed(snapshot, small)
            if self._keep is not None:
                self._file.prune(self._keep)

        self._jobs.put(job)

    def _take_off(self) -> None:
        self._scheduled = False
        if not self._pending:
            return
        records = [record for record, _ in self._pending]
        futures = [future for _, future in self._pending]
        self._flight += futures
        self._pending = []

        def job() -> None:
            self._file.write(records)
            self._loop.call_soon_threadsafe(self._landed, len(futures))

        self._jobs.put(job)

    def _landed(self, count: int) -> None:
        landed, self._flight = self._flight[:count], self._flight[count:]
        for future in landed:
            if not future.done():  # its owner may have gone
                future.set_result(None)
        if not self._flight:
            self._take_off()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self.failure is not None:
                continue
            try:
                job()
            except Exception as error:  # noqa: BLE001 - it is handed to everyone who waits
                failure = error if isinstance(error, JournalError) else self._failed(error)
                self.failure = failure
                self._loop.call_soon_threadsafe(self._crashed, failure)

    def _failed(self, error: Exception) -> JournalError:
        failure = JournalError(f"{self._file.path}: {error}")
        failure.__cause__ = error
        return failure

    def _settle(self) -> None:
        """Keep the write-ahead log short, apart from the writer, which commands are waiting for."""
        while not self._closing.wait(SETTLE_S):
            try:
                self._file.settle()
            except JournalError as error:  # the log stays long; the writer settles it in the end
                log.warning("journal_not_settled", problem=str(error))

    def _crashed(self, failure: JournalError) -> None:
        waiting = self._flight + [future for _, future in self._pending]
        self._flight, self._pending = [], []
        for future in waiting:
            if not future.done():
                future.set_exception(failure)


def _done(loop: asyncio.AbstractEventLoop) -> "asyncio.Future[None]":
    done: asyncio.Future[None] = loop.create_future()
    done.set_result(None)
    return done
