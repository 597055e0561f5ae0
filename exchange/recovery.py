"""From the journal back to the venue: recover, verify, repair.

Recovery takes the newest good snapshot and replays what came after it. Every record's link is
checked first. When the last records are torn or changed and nothing good follows them, they are
reported and cut; when something good follows, or nothing at all is good, a start is refused, for
only a person can decide what may be lost: ``repair`` says what it would be.
"""

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from exchange.chain import Head, JournalError, Record, Saved, moment
from exchange.commands import decode
from exchange.examination import (
    CorruptJournalError,
    Examination,
    Lost,
    examine,
    good_states,
    lost_from,
    start_of,
)
from exchange.journal_file import JournalFile, Synchronous
from exchange.outcome import Outcome
from exchange.repairs import Repair, proposed, repair, rewritten
from exchange.venue import Venue
from market.errors import MarketError
from market.events import Fact
from market.wire import encode

__all__ = [
    "Audience",
    "Chain",
    "CorruptJournalError",
    "Examination",
    "Lost",
    "Recovered",
    "Repair",
    "Verification",
    "examine",
    "opened",
    "proposed",
    "recover",
    "repair",
    "verify",
]


class Chain(NamedTuple):
    """What a journal holds, for those who have been told of it before."""

    file: JournalFile
    found: Examination
    since: int  # nothing before it can be carried out again

    def holds(self, place: Head) -> bool:
        """Whether ``place`` is in it, and what came after that can be carried out again."""
        if not self.since <= place.seq <= self.found.head.seq:
            return False
        return place == _place(self.file, self.found, place.seq)


class Audience(Protocol):
    """Those who are told what happened: once, and nothing that the journal does not hold."""

    def heard(self, chain: Chain) -> int | None:
        """Return the last record that everyone was told of, None when that does not count."""
        ...

    def resume(self, at: Head, venue: Venue) -> None:
        """Get ready for what followed the record ``at``, which left the venue as it is now."""
        ...

    def tell(self, at: Head, facts: Sequence[Fact]) -> None:
        """Hear what the record ``at`` led to."""
        ...


class Recovered(NamedTuple):
    """A venue as its journal left it."""

    venue: Venue
    head: Head
    snapshot: int  # the record that the snapshot stood at, 0 without one
    replayed: int
    lost: Lost | None = None


class Verification(NamedTuple):
    """What a replay from the beginning gave: hashes that are the same on every machine."""

    commands: int
    since: int
    events: int
    events_hash: str
    state_hash: str
    snapshots: dict[int, bool]
    problem: str | None

    @property
    def good(self) -> bool:
        """Whether the journal is whole and every snapshot is what the replay gave."""
        return self.problem is None and all(self.snapshots.values())


def opened(
    path: Path, *, synchronous: Synchronous = "full", audience: Audience | None = None
) -> tuple[JournalFile, Recovered]:
    """Open a journal, new or not, to write on; return the venue that it holds.

    A torn tail is cut: the good records are copied into a new file, and the old one is kept.

    Args:
        audience: hears what it has not heard yet.

    Raises:
        CorruptJournalError: it is damaged, and not only at its end.
        JournalError: it cannot be read, or another exchange writes it.
    """
    file = JournalFile(path, synchronous=synchronous)
    try:
        found = recover(file, audience)
        if found.lost is not None or not file.is_full_length():
            start = start_of(file)
            file.close()
            aside = rewritten(path, start.seq, found.head.seq)
            lost = found.lost or Lost(found.head.seq + 1, "the file was cut short", 0, {}, ())
            found = found._replace(lost=lost._replace(kept=aside))
            file = JournalFile(path, synchronous=synchronous)
    except BaseException:
        file.close()
        raise
    return file, found


def recover(file: JournalFile, audience: Audience | None = None) -> Recovered:
    """Return the venue after the last good record; raise as `opened` does. Nothing is cut."""
    found = examine(file)
    lost = None
    if found.problem is not None:
        if not found.torn or not found.head.seq:
            why = "nothing before it is good" if found.torn else "good records follow it"
            raise CorruptJournalError(
                f"{file.path}: {found.problem}, and {why}; "
                f"`python -m exchange repair` says what would be lost"
            )
        lost = lost_from(file, found.problem)
    usable, end = [*_usable(file, found)], found.head.seq
    upto: int | None = end
    if audience is not None:
        since = usable[-1].seq if usable and found.start.seq else found.start.seq
        upto = audience.heard(Chain(file, found, since))
    venue, start = _restored(file, found, usable, upto)
    upto = start if upto is None else max(upto, start)
    with _without_collector():
        count = sum(1 for _ in _replay(venue, file.records(start, upto)))
        if audience is not None:
            audience.resume(_place(file, found, upto), venue)
            for record, outcome in _replay(venue, file.records(upto, end)):
                audience.tell(Head(record.seq, record.link), outcome.facts)
                count += 1
    return Recovered(venue, found.head, start, count, lost)


def verify(file: JournalFile) -> Verification:
    """Replay from the beginning (of what was kept) and compare with every snapshot on the way."""
    found = examine(file)
    saved = {s.seq: s.hash for s in file.snapshots() if s.seq <= found.head.seq}
    venue, since = _oldest_good(file, found)
    checks = {since: True} if since else {}
    hashed, events, commands = sha256(), 0, 0
    with _without_collector():
        for record, outcome in _replay(venue, file.records(since, found.head.seq)):
            commands += 1
            events += len(outcome.facts)
            for fact in outcome.facts:
                hashed.update(b"%d %b %b\n" % (record.seq, fact.kind.encode(), encode(fact)))
            if record.seq in saved:
                checks[record.seq] = venue.state_hash() == saved[record.seq]
    return Verification(
        commands=commands,
        since=since,
        events=events,
        events_hash=hashed.hexdigest(),
        state_hash=venue.state_hash(),
        snapshots=checks,
        problem=None if found.problem is None else str(found.problem),
    )


def _on_chain(file: JournalFile, found: Examination, snapshot: Saved) -> bool:
    if snapshot.seq == found.start.seq:
        return snapshot.link == found.start.link
    record = next(file.records(snapshot.seq - 1, snapshot.seq), None)
    return record is not None and record.link == snapshot.link


def _usable(file: JournalFile, found: Examination) -> Iterator[Saved]:
    for snapshot in good_states(file):
        if found.start.seq <= snapshot.seq <= found.head.seq and _on_chain(file, found, snapshot):
            yield snapshot


def _place(file: JournalFile, found: Examination, seq: int) -> Head:
    """Return the place of a record that is there, or of the start."""
    if seq == found.start.seq:
        return found.start
    record = next(file.records(seq - 1, seq))
    return Head(record.seq, record.link)


def _restored(
    file: JournalFile, found: Examination, usable: Sequence[Saved], upto: int | None
) -> tuple[Venue, int]:
    """Return the venue of the newest snapshot that is no later than ``upto``, and its record."""
    early = [snapshot for snapshot in usable if upto is None or snapshot.seq <= upto]
    later = usable if found.start.seq else ()  # where the first records are, they will do
    return _first_restored([*early, *later]) or _from_nothing(file, found)


def _oldest_good(file: JournalFile, found: Examination) -> tuple[Venue, int]:
    if not found.start.seq:
        return Venue(), 0
    return _first_restored([*_usable(file, found)][::-1]) or _from_nothing(file, found)


def _first_restored(snapshots: Iterable[Saved]) -> tuple[Venue, int] | None:
    """Return the first venue that can be restored: a state may be of another version."""
    for snapshot in snapshots:
        try:
            return Venue.restored(snapshot.state or b""), snapshot.seq
        except (msgspec.MsgspecError, MarketError, ValueError):
            continue
    return None


def _from_nothing(file: JournalFile, found: Examination) -> tuple[Venue, int]:
    if not found.start.seq:
        return Venue(), 0
    raise CorruptJournalError(
        f"{file.path}: it begins at record {found.start.seq + 1}, and no snapshot can be read"
    )


def _replay(venue: Venue, records: Iterable[Record]) -> Iterator[tuple[Record, Outcome]]:
    for record in records:
        try:
            outcome = venue.handle(decode(record.body), moment(record.time))
        except Exception as error:
            raise JournalError(f"record {record.seq} cannot be carried out: {error!r}") from error
        if not outcome.changed:  # none is written that changes nothing: what follows would differ
            why = outcome.refusal.reason if outcome.refusal else "it says again what was said"
            raise JournalError(f"record {record.seq} was taken once and is refused now: {why}")
        yield record, outcome


@contextmanager
def _without_collector() -> Iterator[None]:
    """Replay makes no cycles: looking for them would only take time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
