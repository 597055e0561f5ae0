"""The records of the journal, each chained to the one before, and the snapshots among them."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final, NamedTuple

from market.errors import MarketError

FIRST_LINK: Final = "0" * 32

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class JournalError(MarketError):
    """The journal cannot be read or written; the message says which file and why."""


class BadRecordError(JournalError):
    """The record ``seq`` is missing, unreadable, or not what was written."""

    def __init__(self, seq: int, problem: str) -> None:
        super().__init__(f"record {seq} is bad: {problem}")
        self.seq, self.problem = seq, problem


class Record(NamedTuple):
    """One command as it is on disk; ``time`` is in microseconds since 1970."""

    seq: int
    time: int
    body: str
    link: str


class Saved(NamedTuple):
    """A snapshot on disk: the state after the command ``seq``; older ones keep only their hash."""

    seq: int
    link: str
    hash: str
    state: bytes | None


class Head(NamedTuple):
    """A place in the journal: the number of a record, and its link."""

    seq: int = 0
    link: str = FIRST_LINK


def microseconds(time: datetime) -> int:
    """Return the whole microseconds since 1970."""
    return (time - _EPOCH) // _MICROSECOND


def moment(time: int) -> datetime:
    """Return the time that `microseconds` counted."""
    return _EPOCH + timedelta(microseconds=time)


def linked(previous: str, seq: int, time: int, body: str) -> str:
    """Return the link of a record after the one whose link is ``previous``."""
    return blake2b(f"{previous} {seq} {time} {body}".encode(), digest_size=16).hexdigest()


def checked(records: Iterator[Record], start: Head) -> Iterator[Record]:
    """Yield the records after ``start`` while each is the true successor of the one before.

    Raises:
        BadRecordError: one is missing, unreadable or changed; nothing after it is yielded.
    """
    seq, link = start
    try:
        for record in records:
            seq += 1
            found, time, body, its = record
            if found != seq:
                raise BadRecordError(seq, f"it is missing; the next is {found}")
            if its != linked(link, seq, time, body):
                raise BadRecordError(seq, "its link does not match what it says")
            link = its
            yield record
    except sqlite3.Error as error:
        raise BadRecordError(seq + 1, f"SQLite cannot read it: {error}") from error
