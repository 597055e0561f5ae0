"""A damaged journal made whole: what of it can be kept, written into a new file."""

from pathlib import Path
from typing import Final, NamedTuple

from exchange.chain import BadRecordError, Head, Record, Saved, checked
from exchange.examination import Lost, examine, good_states, lost_from
from exchange.journal_file import JournalFile, locked

_CHUNK: Final = 10_000


class Repair(NamedTuple):
    """How a damaged journal can be made whole: what it keeps, and what is lost for good."""

    keeps: str
    lost: Lost
    start: Head
    until: int


def proposed(file: JournalFile) -> Repair | None:
    """Return how the journal can be repaired, None when it is whole."""
    found = examine(file)
    if found.problem is None:
        return None
    lost = lost_from(file, found.problem)
    for snapshot in good_states(file):
        if snapshot.seq >= found.problem.seq and (end := _whole_from(file, snapshot)):
            keeps = f"every command: the snapshot at record {snapshot.seq} stands for all before it"
            past = lost._replace(commands=0, kinds={}, bodies=())
            return Repair(keeps, past, Head(snapshot.seq, snapshot.link), end)
    return Repair(
        f"records {found.start.seq + 1} to {found.head.seq}", lost, found.start, found.head.seq
    )


def repair(path: Path, plan: Repair) -> Path:
    """Write a whole journal in place of a damaged one; return where the damaged one is kept."""
    return rewritten(path, plan.start.seq, plan.until)


def rewritten(path: Path, since: int, until: int) -> Path:
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
