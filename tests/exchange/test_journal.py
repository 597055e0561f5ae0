import asyncio
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exchange.journal import (
    BACKLOG,
    FIRST_LINK,
    BadRecordError,
    DiskJournal,
    Head,
    JournalError,
    JournalFile,
    NullJournal,
    Record,
    Saved,
    checked,
    linked,
    microseconds,
    moment,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def records(count: int, *, start: Head = Head()) -> list[Record]:  # noqa: B008 - it is frozen
    made: list[Record] = []
    seq, link = start
    for number in range(seq + 1, seq + count + 1):
        body = f'{{"n":{number}}}'
        link = linked(link, number, number * 10, body)
        made.append(Record(number, number * 10, body, link))
    return made


def a_journal(path: Path, count: int) -> Path:
    with JournalFile(path / "journal.db") as file:
        file.write(records(count))
    return path / "journal.db"


def damaged(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(sql)
    connection.close()


def good(path: Path) -> Sequence[int]:
    with JournalFile(path, read_only=True) as file:
        return [record.seq for record in checked(file.records(), Head())]


async def opened(path: Path, head: Head = Head()) -> DiskJournal:  # noqa: B008 - it is frozen
    return DiskJournal(JournalFile(path / "journal.db", synchronous="normal"), head)


def test_time_is_kept_to_the_microsecond() -> None:
    time = NOON + timedelta(microseconds=123457)
    assert moment(microseconds(time)) == time


def test_what_was_written_is_read_in_order(tmp_path: Path) -> None:
    assert good(a_journal(tmp_path, 5)) == [1, 2, 3, 4, 5]


def test_records_are_written_all_or_none(tmp_path: Path) -> None:
    path = a_journal(tmp_path, 2)
    with JournalFile(path) as file, pytest.raises(JournalError, match="UNIQUE"):
        file.write([records(3)[2], records(1)[0]])
    assert good(path) == [1, 2]


@pytest.mark.parametrize(
    "damage",
    [
        """UPDATE commands SET body = '{"n":9}' WHERE seq = 3""",
        "UPDATE commands SET time = 1 WHERE seq = 3",
        "UPDATE commands SET link = 'x' WHERE seq = 3",
        "DELETE FROM commands WHERE seq = 3",
        "UPDATE commands SET body = x'ff' WHERE seq = 3",
    ],
)
def test_a_changed_or_missing_record_breaks_the_chain(tmp_path: Path, damage: str) -> None:
    path = a_journal(tmp_path, 5)
    damaged(path, damage)
    with pytest.raises(BadRecordError) as caught:
        good(path)
    assert caught.value.seq == 3


def test_an_invented_record_breaks_the_chain(tmp_path: Path) -> None:
    path = a_journal(tmp_path, 2)
    damaged(path, f"INSERT INTO commands VALUES (3, 30, '{{}}', '{FIRST_LINK}')")
    with pytest.raises(BadRecordError):
        good(path)


def test_only_one_may_write_and_many_may_read(tmp_path: Path) -> None:
    path = a_journal(tmp_path, 2)
    with JournalFile(path) as _:
        with pytest.raises(JournalError, match="another exchange"):
            JournalFile(path)
        assert good(path) == [1, 2]
    JournalFile(path).close()


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(JournalError, match="not a database"):
        JournalFile(tmp_path / "journal.db")
    with pytest.raises(JournalError, match="no journal"):
        JournalFile(tmp_path / "nothing.db", read_only=True)


def test_only_the_newest_snapshots_keep_their_state(tmp_path: Path) -> None:
    with JournalFile(a_journal(tmp_path, 3)) as file:
        for record in file.records():
            file.save(Saved(record.seq, record.link, f"h{record.seq}", b"state"))
        found = [(s.seq, s.hash, s.state) for s in file.snapshots()]
    assert found == [(3, "h3", b"state"), (2, "h2", b"state"), (1, "h1", None)]


def test_a_snapshot_that_cannot_be_unpacked_has_no_state(tmp_path: Path) -> None:
    with JournalFile(a_journal(tmp_path, 1)) as file:
        file.save(Saved(1, FIRST_LINK, "h", b"state"))
        damaged(file.path, "UPDATE snapshots SET state = x'00'")
        assert [s.state for s in file.snapshots()] == [None]


def test_pruning_stops_at_the_last_snapshot_but_one(tmp_path: Path) -> None:
    path = a_journal(tmp_path, 9)
    with JournalFile(path) as file:
        assert file.prune(0) == 0
        for seq in (4, 8):
            file.save(Saved(seq, records(seq)[-1].link, "h", b"state"))
        assert file.prune(6) == 0
        assert file.prune(5) == 4
        assert file.prune(0) == 0
        assert [r.seq for r in file.records()] == [5, 6, 7, 8, 9]


async def test_what_is_answered_is_on_disk(tmp_path: Path) -> None:
    async with await opened(tmp_path) as journal:
        await asyncio.gather(*(journal.append(b"{}", NOON) for _ in range(100)))
        assert good(tmp_path / "journal.db") == list(range(1, 101))
        assert journal.head == Head(100, journal.head.link)
        assert journal.backlog == 0


async def test_a_journal_goes_on_where_it_ended(tmp_path: Path) -> None:
    async with await opened(tmp_path) as journal:
        await journal.append(b"{}", NOON)
    async with await opened(tmp_path, journal.head) as journal:
        await journal.append(b"{}", NOON)
    assert good(tmp_path / "journal.db") == [1, 2]


async def test_closing_writes_what_still_waits(tmp_path: Path) -> None:
    async with await opened(tmp_path) as journal:
        for _ in range(10):
            journal.append(b"{}", NOON)
        journal.save(b"state", "h")
        journal.append(b"{}", NOON)
    assert len(good(tmp_path / "journal.db")) == 11
    with JournalFile(tmp_path / "journal.db") as file:
        assert [(s.seq, s.state) for s in file.snapshots()] == [(10, b"state")]


async def test_one_who_gave_up_waiting_harms_nobody(tmp_path: Path) -> None:
    async with await opened(tmp_path) as journal:
        journal.append(b"{}", NOON).cancel()
        await journal.append(b"{}", NOON)
    assert good(tmp_path / "journal.db") == [1, 2]


async def test_flushed_means_that_all_that_came_before_is_on_disk(tmp_path: Path) -> None:
    async with await opened(tmp_path) as journal:
        await journal.flushed()
        for _ in range(3):
            journal.append(b"{}", NOON)
        journal.flushed().cancel()
        await journal.flushed()
        journal.append(b"{}", NOON)
        await asyncio.sleep(0)  # it is on its way
        await journal.flushed()
        assert good(tmp_path / "journal.db") == [1, 2, 3, 4]


async def test_after_a_failed_write_nothing_is_answered(tmp_path: Path) -> None:
    a_journal(tmp_path, 1)
    async with await opened(tmp_path) as journal:  # its head is wrong: record 1 is there
        with pytest.raises(JournalError, match="UNIQUE"):
            await journal.append(b"{}", NOON)
        with pytest.raises(JournalError, match="UNIQUE"):
            journal.append(b"{}", NOON)
        with pytest.raises(JournalError, match="UNIQUE"):
            journal.flushed()
    assert good(tmp_path / "journal.db") == [1]


async def test_a_journal_for_nothing_numbers_all_the_same() -> None:
    journal = NullJournal()
    await journal.append(b"{}", NOON)
    await journal.flushed()
    journal.save(b"", "")
    assert journal.head.seq == 1


async def test_the_disk_may_lag_only_so_far(tmp_path: Path) -> None:
    async with await opened(tmp_path) as journal:
        for _ in range(BACKLOG):
            journal.append(b"{}", NOON)
        with pytest.raises(JournalError, match="wait for the disk"):
            journal.append(b"{}", NOON)
        await journal.flushed()
        await journal.append(b"{}", NOON)
    assert len(good(tmp_path / "journal.db")) == BACKLOG + 1


async def test_a_journal_that_may_forget_does_so_at_its_snapshots(tmp_path: Path) -> None:
    file = JournalFile(tmp_path / "journal.db", synchronous="normal")
    async with DiskJournal(file, Head(), keep=3) as journal:
        for _ in range(3):
            for _ in range(5):
                await journal.append(b"{}", NOON)
            journal.save(b"state", "h")
    with JournalFile(tmp_path / "journal.db") as file:
        assert [r.seq for r in file.records()] == [11, 12, 13, 14, 15]
        assert [s.seq for s in file.snapshots()] == [15, 10]
