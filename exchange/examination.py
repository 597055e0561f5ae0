"""How whole a journal is, and what would be lost by cutting it."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from exchange.chain import (
    BadRecordError,
    Head,
    JournalError,
    Record,
    Saved,
    checked,
    linked,
    moment,
)
from exchange.journal_file import JournalFile
from exchange.venue_state import digest

_SHOWN: Final = 20


class CorruptJournalError(JournalError):
    """The journal is damaged where good records follow; it takes a repair to start again."""


class Examination(NamedTuple):
    """How whole a journal is: its links hold from ``start`` to ``head``."""

    start: Head
    head: Head
    problem: BadRecordError | None = None
    torn: bool = False  # nothing good comes after the bad record


class Lost(NamedTuple):
    """What a cut takes away: the readable records from ``seq`` on, and what they asked for."""

    seq: int
    problem: str
    commands: int
    kinds: dict[str, int]
    bodies: tuple[str, ...]
    kept: Path | None = None  # the journal as it was found

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.kinds.items()) or "none"
        return (
            f"record {self.seq}: {self.problem}; lost from there on: "
            f"{self.commands} readable commands ({kinds})"
        )


def examine(file: JournalFile) -> Examination:
    """Check every link; return how far they hold."""
    start = head = start_of(file)
    try:
        for record in checked(file.records(start.seq), start):
            head = Head(record.seq, record.link)
    except BadRecordError as error:
        return Examination(start, head, error, not _good_after(file, error.seq))
    return Examination(start, head)


def start_of(file: JournalFile) -> Head:
    """Return the place before the first record: a snapshot's, where the older ones are gone."""
    first = file.first()
    before = 0 if first is None else first.seq - 1
    for snapshot in file.snapshots():
        if snapshot.seq == before or first is None:
            return Head(snapshot.seq, snapshot.link)
    return Head()


def _good_after(file: JournalFile, bad: int) -> bool:
    """Whether any record beyond the bad one is the true successor of the one before it."""
    before: Record | None = None
    try:
        for record in file.records(bad - 1):
            if before is not None and _follows(before, record):
                return True
            before = record
    except sqlite3.Error:
        newest = file.newest(2)
        return len(newest) == 2 and newest[0].seq > bad and _follows(newest[1], newest[0])
    return False


def _follows(before: Record, record: Record) -> bool:
    link = linked(before.link, record.seq, record.time, record.body)
    return record.seq == before.seq + 1 and record.link == link


def lost_from(file: JournalFile, bad: BadRecordError) -> Lost:
    """Return what can still be read from the bad record on."""
    kinds: Counter[str] = Counter()
    bodies: list[str] = []
    try:
        for record in file.records(bad.seq - 1):
            kinds[_kind(record.body)] += 1
            if len(bodies) < _SHOWN:
                bodies.append(f"{record.seq} {moment(record.time).isoformat()} {record.body}")
    except (sqlite3.Error, TypeError, OverflowError):  # unreadable from here on
        pass
    return Lost(bad.seq, bad.problem, kinds.total(), dict(kinds), tuple(bodies))


def _kind(body: object) -> str:
    try:
        tag = msgspec.json.decode(str(body), type=dict[str, object]).get("command")
    except msgspec.MsgspecError:
        tag = None
    return str(tag) if tag is not None else "unreadable"


def good_states(file: JournalFile) -> Iterator[Saved]:
    """Yield the snapshots whose state is what was hashed, newest first."""
    for snapshot in file.snapshots():
        if snapshot.state is not None and digest(snapshot.state) == snapshot.hash:
            yield snapshot
