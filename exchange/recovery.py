"""From the journal back to the venue: recover, verify, repair.

Recovery takes the newest good snapshot and replays what came after it. Every record's link is
checked first. When the last records are torn or changed and nothing good follows them, they are
reported and cut; when something good follows, a start is refused, for only a person can decide what
may be lost: ``repair`` says what it would be.
"""

import gc
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from exchange.commands import decode
from exchange.journal import (
    BadRecordError,
    Head,
    JournalError,
    JournalFile,
    Record,
    Saved,
    Synchronous,
    checked,
    linked,
    locked,
    moment,
)
from exchange.venue import Outcome, Venue, digest
from market.events import Fact
from market.wire import encode

_CHUNK: Final = 10_000
_SHOWN: Final = 20


class CorruptJournalError(JournalError):
    """The journal is damaged where good records follow; it takes a repair to start again."""


class Told(NamedTuple):
    """The facts of the records up to ``upto`` were told; ``tell`` hears those of each later one."""

    upto: int
    tell: Callable[[int, Sequence[Fact]], None]


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


class Repair(NamedTuple):
    """How a damaged journal can be made whole: what it keeps, and what is lost for good."""

    keeps: str
    lost: Lost
    start: Head
    until: int


def examine(file: JournalFile) -> Examination:
    """Check every link; return how far they hold."""
    start = head = _start(file)
    try:
        for record in checked(file.records(start.seq), start):
            head = Head(record.seq, record.link)
    except BadRecordError as error:
        return Examination(start, head, error, not _good_after(file, error.seq))
    return Examination(start, head)


def opened(
    path: Path, *, synchronous: Synchronous = "full", told: Told | None = None
) -> tuple[JournalFile, Recovered]:
    """Open a journal, new or not, to write on; return the venue that it holds.

    A torn tail is cut: the good records are copied into a new file, and the old one is kept.

    Args:
        told: how far the facts were told before, and who must hear what came after.

    Raises:
        CorruptJournalError: it is damaged, and not only at its end.
        JournalError: it cannot be read, or another exchange writes it.
    """
    file = JournalFile(path, synchronous=synchronous)
    try:
        found = recover(file, told)
        if found.lost is not None or not file.is_full_length():
            start = _start(file)
            file.close()
            aside = _rewrite(path, start.seq, found.head.seq)
            lost = found.lost or Lost(found.head.seq + 1, "the file was cut short", 0, {}, ())
            found = found._replace(lost=lost._replace(kept=aside))
            file = JournalFile(path, synchronous=synchronous)
    except BaseException:
        file.close()
        raise
    return file, found


def recover(file: JournalFile, told: Told | None = None) -> Recovered:
    """Return the venue after the last good record; raise as `opened` does. Nothing is cut."""
    found = examine(file)
    lost = None
    if found.problem is not None:
        if not found.torn:
            raise CorruptJournalError(
                f"{file.path}: {found.problem}, and good records follow it; "
                f"`python -m exchange repair` says what would be lost"
            )
        lost = _lost(file, found.problem)
    venue, seq = _newest_good(file, found, found.head.seq if told is None else told.upto)
    count = 0
    with _without_collector():
        for record, outcome in _replay(venue, file.records(seq, found.head.seq)):
            count += 1
            if told is not None and record.seq > told.upto:
                told.tell(record.seq, outcome.facts)
    return Recovered(venue, found.head, seq, count, lost)


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


def proposed(file: JournalFile) -> Repair | None:
    """Return how the journal can be repaired, None when it is whole."""
    found = examine(file)
    if found.problem is None:
        return None
    lost = _lost(file, found.problem)
    for snapshot in _good_states(file):
        if snapshot.seq >= found.problem.seq and (end := _whole_from(file, snapshot)):
            keeps = f"every command: the snapshot at record {snapshot.seq} stands for all before it"
            past = lost._replace(commands=0, kinds={}, bodies=())
            return Repair(keeps, past, Head(snapshot.seq, snapshot.link), end)
    return Repair(
        f"records {found.start.seq + 1} to {found.head.seq}", lost, found.start, found.head.seq
    )


def repair(path: Path, plan: Repair) -> Path:
    """Write a whole journal in place of a damaged one; return where the damaged one is kept."""
    return _rewrite(path, plan.start.seq, plan.until)


def _rewrite(path: Path, since: int, until: int) -> Path:
    """Keep only the records in (since, until], in a new file; return where the old one is."""
    made, aside = path.with_name(f"{path.name}.repaired"), _aside(path)
    with locked(path):
        _remove(made)
        with JournalFile(path, read_only=True) as old, JournalFile(made) as new:
            _copy(old, new, since, until)
        for end in ("", "-wal", "-shm"):
            part = path.with_name(path.name + end)
            if part.exists():
                part.rename(aside.with_name(aside.name + end))
        made.rename(path)
        _remove(made)
    return aside


def _start(file: JournalFile) -> Head:
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


def _lost(file: JournalFile, bad: BadRecordError) -> Lost:
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


def _good_states(file: JournalFile) -> Iterator[Saved]:
    """Yield the snapshots whose state is what was hashed, newest first."""
    for snapshot in file.snapshots():
        if snapshot.state is not None and digest(snapshot.state) == snapshot.hash:
            yield snapshot


def _on_chain(file: JournalFile, found: Examination, snapshot: Saved) -> bool:
    if snapshot.seq == found.start.seq:
        return snapshot.link == found.start.link
    record = next(file.records(snapshot.seq - 1, snapshot.seq), None)
    return record is not None and record.link == snapshot.link


def _usable(file: JournalFile, found: Examination) -> Iterator[Saved]:
    for snapshot in _good_states(file):
        if found.start.seq <= snapshot.seq <= found.head.seq and _on_chain(file, found, snapshot):
            yield snapshot


def _newest_good(file: JournalFile, found: Examination, upto: int) -> tuple[Venue, int]:
    """Return the newest snapshot's venue, of those no later than ``upto`` if there is one."""
    usable = [*_usable(file, found)]
    for snapshot in [s for s in usable if s.seq <= upto] or usable:
        return Venue.restored(snapshot.state or b""), snapshot.seq
    return _from_nothing(file, found)


def _oldest_good(file: JournalFile, found: Examination) -> tuple[Venue, int]:
    if not found.start.seq:
        return Venue(), 0
    for snapshot in reversed([*_usable(file, found)]):
        return Venue.restored(snapshot.state or b""), snapshot.seq
    return _from_nothing(file, found)


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
        yield record, outcome


def _whole_from(file: JournalFile, snapshot: Saved) -> int:
    """Return the last record when all after the snapshot are good, 0 when they are not."""
    end = snapshot.seq
    try:
        for record in checked(file.records(snapshot.seq), Head(snapshot.seq, snapshot.link)):
            end = record.seq
    except BadRecordError:
        return 0
    return end


def _copy(old: JournalFile, new: JournalFile, since: int, until: int) -> None:
    chunk: list[Record] = []
    for record in old.records(since, until):
        chunk.append(record)
        if len(chunk) == _CHUNK:
            new.write(chunk)
            chunk = []
    if chunk:
        new.write(chunk)
    kept = [s for s in old.snapshots() if since <= s.seq <= until]
    for snapshot in reversed(kept):
        new.save(snapshot)


def _aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return aside


def _remove(path: Path) -> None:
    for end in ("", "-wal", "-shm", ".lock"):
        path.with_name(path.name + end).unlink(missing_ok=True)


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
