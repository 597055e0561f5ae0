"""Journals for tests: written whole, then damaged; a process that writes one until it is killed.

``python -m tests.exchange.journals PATH SEED`` goes on where the journal ends. It prints
``sent <command>`` before it carries a command out, and ``answered <seq> <answer>`` once that is
on disk.
"""

import asyncio
import sqlite3
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from exchange.commands import AnyCommand, decode, encode
from exchange.journal import (
    DiskJournal,
    Head,
    JournalFile,
    Record,
    Saved,
    linked,
    microseconds,
    moment,
)
from exchange.recovery import opened
from exchange.venue import Outcome, Venue
from market import wire
from tests.exchange.venues import NOON, random_commands


class Written(NamedTuple):
    """A journal on disk, and what it should come back to."""

    path: Path
    records: list[Record]
    state: str


def written(folder: Path, *, seed: int = 7, count: int = 300, every: int = 100) -> Written:
    """Write a journal of random commands, with a snapshot ``every`` so many records."""
    path, venue, head, records = folder / "journal.db", Venue(), Head(), list[Record]()
    with JournalFile(path, synchronous="normal") as file:
        for number, command in enumerate(random_commands(seed, count)):
            time = NOON + timedelta(seconds=number)
            if not venue.handle(command, time).changed:
                continue
            record = following(head, command, time)
            records.append(record)
            head = Head(record.seq, record.link)
            if record.seq % every == 0:
                file.save(Saved(*head, venue.state_hash(), venue.snapshot()))
        file.write(records)
    return Written(path, records, venue.state_hash())


def following(head: Head, command: AnyCommand, time: datetime) -> Record:
    """Return the record of a command after ``head``."""
    seq, when, body = head.seq + 1, microseconds(time), encode(command).decode()
    return Record(seq, when, body, linked(head.link, seq, when, body))


def damage(path: Path, *statements: str) -> None:
    """Change a journal behind its back."""
    connection = sqlite3.connect(path)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def replayed(records: Iterable[Record]) -> Venue:
    """Return the venue that carried out all of these."""
    venue = Venue()
    for record in records:
        venue.handle(decode(record.body), moment(record.time))
    return venue


def answer(outcome: Outcome) -> str:
    """Return what whoever sent a command is told, on one line."""
    return wire.encode(outcome.orders).decode()


async def trade(path: Path, seed: int) -> None:
    """Send commands for ever, eight at a time, and say which were answered, and how."""
    file, found = opened(path, synchronous="normal")
    async with DiskJournal(file, found.head) as journal:
        time = found.venue.time if found.head.seq else NOON
        batch: list[asyncio.Future[None]] = []
        for command in random_commands(seed, 10**9):
            time += timedelta(milliseconds=1)
            sys.stdout.write(f"sent {encode(command).decode()}\n")
            sys.stdout.flush()  # before the journal can have it
            outcome = found.venue.handle(command, time)
            if not outcome.changed:
                continue
            kept = journal.append(encode(command), time)
            line = f"answered {journal.head.seq} {answer(outcome)}\n"
            kept.add_done_callback(lambda _, line=line: sys.stdout.write(line))  # type: ignore[misc]
            batch.append(kept)
            if len(batch) == 8:
                await asyncio.gather(*batch)
                batch.clear()
                sys.stdout.flush()
                if journal.head.seq % 50 < 8:
                    journal.save(found.venue.snapshot(), found.venue.state_hash())


if __name__ == "__main__":
    asyncio.run(trade(Path(sys.argv[1]), int(sys.argv[2])))
