"""The journal on disk: records and snapshots (SQLite)."""

import fcntl
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Final, Literal, Self

import msgspec

from exchange.chain import JournalError, Record, Saved

Synchronous = Literal["full", "normal"]

MOST_LOG_PAGES: Final = 50_000
"""Of 4 KiB in the write-ahead log; beyond them a write has to wait until they are settled."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS commands
  (seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, body TEXT NOT NULL, link TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS snapshots
  (seq INTEGER PRIMARY KEY, link TEXT NOT NULL, hash TEXT NOT NULL, state BLOB);
"""
# One statement is one transaction and lets go of the interpreter's lock once, not once a row.
_INSERT: Final = """
INSERT INTO commands SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'),
  json_extract(value, '$[2]'), json_extract(value, '$[3]') FROM json_each(?)
"""
_READ: Final = "SELECT seq, time, body, link FROM commands WHERE seq > ? AND seq <= ? ORDER BY seq"
_ONE: Final = "SELECT seq, time, body, link FROM commands WHERE seq = ?"


class JournalFile:
    """The journal on disk, one connection to it; whoever opens it closes it."""

    def __init__(
        self, path: Path, *, synchronous: Synchronous = "full", read_only: bool = False
    ) -> None:
        """Open the journal; raise JournalError when it is no journal or somebody writes it."""
        self.path = path
        self._lock = None if read_only else locked(path)
        self._synchronous = synchronous
        try:
            with self._translated():
                self._connection = self._connected(read_only)
        except JournalError:
            self._unlock()
            raise

    def _connected(self, read_only: bool) -> sqlite3.Connection:
        if read_only and not self.path.is_file():
            raise JournalError(f"{self.path}: there is no journal")
        uri = f"{self.path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        made = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        try:
            made.execute("PRAGMA writable_schema = ON")  # else none of a shortened file is read
            if not read_only:
                made.execute("PRAGMA journal_mode = WAL")
                made.execute(f"PRAGMA synchronous = {self._synchronous}")
                made.execute(f"PRAGMA wal_autocheckpoint = {MOST_LOG_PAGES}")
                made.executescript(_SCHEMA)
            made.execute("SELECT count(*) FROM snapshots")
        except sqlite3.Error:
            made.close()
            raise
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; closing twice is once."""
        self._connection.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def is_full_length(self) -> bool:
        """Whether nothing of the file is missing; from here on SQLite sees to that itself."""
        try:
            self._connection.execute("PRAGMA writable_schema = OFF")
            self._connection.execute("SELECT count(*) FROM snapshots").fetchone()
        except sqlite3.Error:
            return False
        return True

    def write(self, records: Sequence[Record]) -> None:
        """Put records on disk, all or none; raise JournalError when the disk will not."""
        with self._translated():
            self._connection.execute(_INSERT, (msgspec.json.encode(records).decode(),))

    def settle(self) -> None:
        """Move what the write-ahead log holds into the file; writes go on meanwhile.

        It has a connection of its own: moving waits for the disk, and a write must not wait for it.
        """
        with self._translated(), closing(sqlite3.connect(self.path)) as apart:
            apart.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def records(self, after: int = 0, until: int = 2**62) -> Iterator[Record]:
        """Yield the records in (after, until], unchecked; sqlite3.Error where it is torn."""
        if after >= until:  # nothing is asked for: it does not matter whether it could be read
            return
        made = Record._make
        try:
            for row in self._connection.execute(_READ, (after, until)):
                after = row[0]
                yield made(row)
                if after == until:  # what follows may be torn, and is not asked for
                    return
        except sqlite3.Error:  # the driver reads a row ahead: the one before the damage is good
            row = self._connection.execute(_ONE, (after + 1,)).fetchone()
            if row is None or after + 1 > until:
                raise
            yield Record(*row)
            if after + 1 < until:
                raise

    def first(self) -> Record | None:
        """Return the oldest record, None when there is none or it cannot be read."""
        try:
            return next(self.records(), None)
        except sqlite3.Error:
            return None

    def newest(self, count: int = 1) -> list[Record]:
        """Return the last records, newest first; none when they cannot be read."""
        ask = "SELECT seq, time, body, link FROM commands ORDER BY seq DESC LIMIT ?"
        try:
            return [Record(*row) for row in self._connection.execute(ask, (count,))]
        except sqlite3.Error:
            return []

    def save(self, snapshot: Saved, *, states: int = 2) -> None:
        """Keep a snapshot, and the states of only the newest ``states`` of them."""
        self.save_packed(snapshot, packed(snapshot.state), states=states)

    def save_packed(self, snapshot: Saved, state: bytes | None, *, states: int = 2) -> None:
        """Do what `save` does, with the state `packed` before."""
        old = (
            "UPDATE snapshots SET state = NULL WHERE state IS NOT NULL AND seq NOT IN "
            "(SELECT seq FROM snapshots WHERE state IS NOT NULL ORDER BY seq DESC LIMIT ?)"
        )
        with self._translated(), self._transaction():
            ask = "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?)"
            self._connection.execute(ask, (*snapshot[:3], state))
            self._connection.execute(old, (states,))

    def snapshots(self) -> Iterator[Saved]:
        """Yield the snapshots, newest first; a state that cannot be unpacked is None."""
        ask = "SELECT seq, link, hash FROM snapshots ORDER BY seq DESC"
        with self._translated():
            for seq, link, digest in self._connection.execute(ask).fetchall():
                yield Saved(seq, link, digest, self._unpacked(seq))

    def _unpacked(self, seq: int) -> bytes | None:
        ask = "SELECT state FROM snapshots WHERE seq = ?"
        try:
            (state,) = self._connection.execute(ask, (seq,)).fetchone()
            return None if state is None else zlib.decompress(state)
        except (sqlite3.Error, zlib.error, TypeError):
            return None

    def prune(self, keep: int) -> int:
        """Forget the records up to the last snapshot but one, if ``keep`` newer ones are left.

        Return how many went. What goes can never be replayed again; the snapshot stands for it.
        """
        ask = "SELECT seq FROM snapshots WHERE state IS NOT NULL ORDER BY seq DESC LIMIT 1 OFFSET 1"
        with self._translated(), self._transaction():
            row = self._connection.execute(ask).fetchone()
            (head,) = self._connection.execute("SELECT max(seq) FROM commands").fetchone()
            if row is None or head is None or head - row[0] < keep:
                return 0
            gone = self._connection.execute("DELETE FROM commands WHERE seq <= ?", row)
            self._connection.execute("DELETE FROM snapshots WHERE seq < ?", row)
            return gone.rowcount

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise JournalError(f"{self.path}: {error}") from error


def packed(state: bytes | None) -> bytes | None:
    """Return a state as it is kept on disk."""
    return None if state is None else zlib.compress(state, 1)


def locked(path: Path) -> IO[bytes]:
    """Return the open lock of a journal; raise JournalError when somebody else has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f"{path.name}.lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise JournalError(f"{path}: another exchange is writing this journal") from error
    return lock
