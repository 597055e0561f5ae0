import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from exchange.commands import OpenVenue, decode, encode
from exchange.journal import (
    FIRST_LINK,
    DiskJournal,
    Head,
    JournalError,
    JournalFile,
    checked,
    linked,
    moment,
)
from exchange.recovery import (
    Chain,
    CorruptJournalError,
    Recovered,
    examine,
    opened,
    proposed,
    recover,
    repair,
    verify,
)
from exchange.upkeep import main
from exchange.venue import Outcome, Venue, digest
from market.events import Fact
from market.settings import ROOT
from tests.exchange.journals import Written, answer, damage, following, replayed, written
from tests.exchange.venues import NOON, a_charter, an_order


def recovered(path: Path) -> Recovered:
    file, found = opened(path)
    file.close()
    return found


def whole(path: Path) -> bool:
    with JournalFile(path, read_only=True) as file:
        return verify(file).good


def test_a_new_journal_is_a_venue_that_was_never_opened(tmp_path: Path) -> None:
    found = recovered(tmp_path / "journal.db")
    assert (found.head.seq, found.replayed, found.venue.symbols) == (0, 0, ())


def test_a_snapshot_and_its_tail_are_the_full_replay(tmp_path: Path) -> None:
    journal = written(tmp_path, every=50)
    found = recovered(journal.path)
    assert found.snapshot == len(journal.records) // 50 * 50 > 0
    assert found.replayed == len(journal.records) - found.snapshot
    assert found.venue.state_hash() == journal.state == replayed(journal.records).state_hash()
    damage(journal.path, "DELETE FROM snapshots")
    found = recovered(journal.path)
    assert (found.snapshot, found.venue.state_hash()) == (0, journal.state)


class Listener:
    """Somebody who has been told of the first records, and hears the rest."""

    def __init__(self, upto: int | None) -> None:
        self.upto, self.told = upto, list[int]()
        self.resumed = Head(-1), ""

    def heard(self, chain: Chain) -> int | None:
        assert chain.holds(chain.found.head)
        assert not chain.holds(chain.found.head._replace(link="another"))
        assert not chain.holds(chain.found.head._replace(seq=chain.found.head.seq + 1))
        return self.upto

    def resume(self, at: Head, venue: Venue) -> None:
        self.resumed = at, venue.state_hash()

    def tell(self, at: Head, facts: Sequence[Fact]) -> None:
        self.told.append(at.seq)


@pytest.mark.parametrize(("upto", "snapshot"), [(None, 100), (7, 0), (150, 100), (100, 100)])
def test_an_audience_is_told_of_every_record_that_it_has_not_heard(
    tmp_path: Path, upto: int | None, snapshot: int
) -> None:
    journal, listener = written(tmp_path), Listener(upto)
    file, found = opened(journal.path, audience=listener)
    file.close()
    since = snapshot if upto is None else upto
    assert found.snapshot == snapshot
    assert listener.told == [*range(since + 1, len(journal.records) + 1)]
    before = journal.records[:since]
    assert listener.resumed[0] == Head(since, before[-1].link)
    assert listener.resumed[1] == replayed(before).state_hash()


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE snapshots SET state = x'0102'",
        "UPDATE snapshots SET hash = 'other'",
        "UPDATE snapshots SET link = 'other'",
    ],
)
def test_a_snapshot_that_is_not_what_was_hashed_is_passed_over(tmp_path: Path, harm: str) -> None:
    journal = written(tmp_path)
    damage(journal.path, harm)
    found = recovered(journal.path)
    assert (found.snapshot, found.venue.state_hash()) == (0, journal.state)


def test_a_snapshot_of_another_version_is_passed_over(tmp_path: Path) -> None:
    journal = written(tmp_path)
    with JournalFile(journal.path) as file:
        for snapshot in list(file.snapshots()):
            file.save(snapshot._replace(state=b"{}", hash=digest(b"{}")))
        found = recover(file)
    assert (found.snapshot, found.venue.state_hash()) == (0, journal.state)


def test_a_bad_tail_is_reported_and_cut_at_the_last_good_record(tmp_path: Path) -> None:
    journal = written(tmp_path)
    last = len(journal.records)
    damage(journal.path, f"UPDATE commands SET body = '{{' WHERE seq = {last}")
    found = recovered(journal.path)
    assert found.lost is not None
    assert (found.lost.seq, found.lost.commands, found.head.seq) == (last, 1, last - 1)
    assert found.lost.kept == tmp_path / "journal.db.damaged-1"
    assert "its link does not match" in str(found.lost)
    assert found.venue.state_hash() == replayed(journal.records[:-1]).state_hash()
    assert whole(journal.path)
    assert recovered(journal.path).lost is None


def test_a_snapshot_beyond_the_cut_goes_with_it(tmp_path: Path) -> None:
    journal = written(tmp_path, every=100)
    damage(
        journal.path,
        "DELETE FROM commands WHERE seq > 100",
        "UPDATE commands SET link = 'x' WHERE seq = 100",
    )
    found = recovered(journal.path)
    assert (found.head.seq, found.snapshot) == (99, 0)
    assert found.venue.state_hash() == replayed(journal.records[:99]).state_hash()


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE commands SET body = replace(body, 'ann', 'bob') WHERE seq = 9",
        "UPDATE commands SET link = 'x' WHERE seq = 9",
        "DELETE FROM commands WHERE seq = 9",
        "DELETE FROM commands WHERE seq = 1",
        "UPDATE commands SET body = 7 WHERE seq = 9",
    ],
)
def test_a_bad_middle_refuses_to_start_and_names_the_record(tmp_path: Path, harm: str) -> None:
    journal = written(tmp_path)
    damage(journal.path, "UPDATE commands SET body = body || ' ' WHERE seq = 9", harm)
    with pytest.raises(CorruptJournalError, match=r"record [19] is bad.*exchange repair"):
        recovered(journal.path)
    with JournalFile(journal.path) as file:
        assert examine(file).problem is not None
        assert len(list(file.records())) >= len(journal.records) - 1


def test_a_repair_with_a_good_snapshot_beyond_the_damage_loses_no_command(tmp_path: Path) -> None:
    journal = written(tmp_path, every=100)
    damage(journal.path, "UPDATE commands SET link = 'x' WHERE seq = 9")
    assert main(["repair"], journal.path) == 1
    assert main(["repair", "--yes"], journal.path) == 0
    found = recovered(journal.path)
    assert (found.venue.state_hash(), found.lost) == (journal.state, None)
    assert main(["verify"], journal.path) == 0


def test_a_repair_says_what_is_lost_and_keeps_the_damaged_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = written(tmp_path)
    damage(journal.path, "UPDATE commands SET link = 'x' WHERE seq = 9", "DELETE FROM snapshots")
    assert main(["verify", str(journal.path)], tmp_path / "other.db") == 1
    assert main(["repair"], journal.path) == 1
    said = capsys.readouterr().out
    assert "keeps records 1 to 8" in said
    assert f"{len(journal.records) - 8} readable commands" in said
    assert f"9 {moment(journal.records[8].time).isoformat()} {journal.records[8].body}" in said
    assert "nothing was changed" in said
    assert main(["repair", "--yes"], journal.path) == 0
    assert recovered(journal.path).venue.state_hash() == replayed(journal.records[:8]).state_hash()
    assert (tmp_path / "journal.db.damaged-1").exists()
    assert main(["repair"], journal.path) == 0


def torn(journal: Written, keep: float) -> None:
    size = journal.path.stat().st_size
    os.truncate(journal.path, int(size * keep))


def scribbled(journal: Written, at: float) -> None:
    size = journal.path.stat().st_size
    with journal.path.open("r+b") as file:
        file.seek(int(size * at))
        file.write(b"\xff" * 3000)


@pytest.mark.parametrize("harm", [torn, scribbled])
@pytest.mark.parametrize("at", [0.3, 0.6, 0.95])
def test_a_torn_file_starts_at_a_good_record_or_refuses_in_words(
    tmp_path: Path, harm: Callable[[Written, float], None], at: float
) -> None:
    journal = written(tmp_path, count=600, every=10_000)
    harm(journal, at)
    try:
        found = recovered(journal.path)
    except CorruptJournalError:
        assert main(["repair", "--yes"], journal.path) == 0
        found = recovered(journal.path)
    good = journal.records[: found.head.seq]
    assert found.venue.state_hash() == replayed(good).state_hash()
    assert whole(journal.path)


def test_a_journal_of_which_nothing_is_good_does_not_start_as_a_new_one(tmp_path: Path) -> None:
    journal = written(tmp_path, count=40, every=10_000)
    page = journal.path.read_bytes().index(journal.records[0].body.encode()) // 4096 * 4096
    os.truncate(journal.path, page)  # and with it the first records, but not the tables
    with pytest.raises(CorruptJournalError, match=r"record 1 is bad.*nothing before it is good"):
        recovered(journal.path)
    assert main(["verify"], journal.path) == 1
    assert main(["repair", "--yes"], journal.path) == 0
    assert main(["verify"], journal.path) == 0
    assert recovered(journal.path).head.seq == 0


def test_a_repair_waits_until_nobody_writes(tmp_path: Path) -> None:
    journal = written(tmp_path)
    damage(journal.path, "UPDATE commands SET link = 'x' WHERE seq = 9")
    with JournalFile(journal.path) as file:
        plan = proposed(file)
        assert plan is not None
        with pytest.raises(JournalError, match="another exchange"):
            repair(journal.path, plan)


def test_a_pruned_journal_stands_on_its_oldest_snapshot(tmp_path: Path) -> None:
    journal = written(tmp_path, every=50)
    with JournalFile(journal.path) as file:
        assert file.prune(0) > 0
        first = file.first()
        assert first is not None
        found = verify(file)
        assert (found.good, found.since) == (True, first.seq - 1)
        assert recover(file).venue.state_hash() == journal.state
    damage(journal.path, "UPDATE snapshots SET state = NULL")
    with pytest.raises(CorruptJournalError, match="no snapshot can be read"):
        recovered(journal.path)


def test_a_command_of_another_version_is_named(tmp_path: Path) -> None:
    record = written(tmp_path, count=20).records[0]
    body = record.body.replace('"open"', '"dance"')
    with JournalFile(tmp_path / "other.db") as file:
        file.write([record._replace(body=body, link=linked(FIRST_LINK, 1, record.time, body))])
        with pytest.raises(JournalError, match="record 1 cannot be carried out"):
            recover(file)


def test_a_command_that_was_taken_and_is_refused_now_is_named(tmp_path: Path) -> None:
    opening = OpenVenue(charter=a_charter())
    first = following(Head(), opening, NOON)
    order = an_order("ann", "buy", "1001", "1", display_quantity=Decimal(1))
    second = following(Head(first.seq, first.link), order, NOON)
    with JournalFile(tmp_path / "older.db") as file:
        file.write([first, second])
        for read in (recover, verify):
            with pytest.raises(JournalError, match=r"record 2 was taken once.*1000 slices"):
                read(file)


def test_verify_finds_a_snapshot_that_the_commands_do_not_lead_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = written(tmp_path)
    assert main(["verify"], journal.path) == 0
    damage(journal.path, "UPDATE snapshots SET hash = 'other' WHERE seq = 100")
    assert main(["verify"], journal.path) == 1
    assert "differ [100]" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [[], ["dance"], ["verify", "a", "b"], ["repair", "--no"]])
def test_words_that_are_not_understood_get_the_usage(
    argv: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv, tmp_path / "journal.db") == 2
    assert "usage" in capsys.readouterr().out


def test_a_journal_that_is_not_there_cannot_be_verified(tmp_path: Path) -> None:
    assert main(["verify"], tmp_path / "journal.db") == 1
    assert not (tmp_path / "journal.db").exists()


def test_one_journal_gives_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    journal = written(tmp_path)
    call = (
        f"import sys; from exchange.upkeep import main; main({['verify', str(journal.path)]}, None)"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", call],
            env={"PYTHONHASHSEED": seed, "PATH": os.environ["PATH"]},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=50,
        ).stdout.splitlines()[:5]
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    assert said[0][2].startswith("events hash  ")


async def test_the_first_answer_to_a_name_survives_a_restart(tmp_path: Path) -> None:
    file, found = opened(tmp_path / "journal.db", synchronous="normal")
    order = an_order("ann", "buy", "5", "10", client_order_id="mine")
    outcome = Outcome()
    async with DiskJournal(file, found.head) as journal:
        for command in (OpenVenue(charter=a_charter()), order):
            outcome = found.venue.handle(command, NOON)
            await journal.append(encode(command), NOON)
    again = recovered(tmp_path / "journal.db").venue.handle(order, NOON)
    assert again.repeated
    assert again.orders == outcome.orders


def killed(path: Path, seed: int, answers: int) -> list[str]:
    """Let a process trade until it has answered so often, kill it, and return what it said."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.exchange.journals", str(path), str(seed)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        while sum(line.startswith("answered") for line in lines) < answers:
            lines.append(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.read().splitlines(keepends=True)
    return [line[:-1] for line in lines if line.endswith("\n")]


def test_a_killed_exchange_loses_no_answer_and_invents_no_order(tmp_path: Path) -> None:
    path, head = tmp_path / "journal.db", 0
    for seed, answers in enumerate((1, 40, 93, 160)):
        said = killed(path, seed, answers)
        sent = [line.removeprefix("sent ") for line in said if line.startswith("sent")]
        told = dict(line.split(" ", 2)[1:] for line in said if line.startswith("answered"))
        found = recovered(path)
        assert found.lost is None
        assert found.head.seq >= max(int(seq) for seq in told)
        head = check_history(path, head, sent, told)
        assert found.head.seq == head
        assert whole(path)


def check_history(path: Path, since: int, sent: list[str], told: dict[str, str]) -> int:
    """Replay a journal: whatever was answered is there, and nothing that was not sent."""
    venue, seq = Venue(), 0
    with JournalFile(path, read_only=True) as file:
        for record in checked(file.records(), examine(file).start):
            outcome, seq = venue.handle(decode(record.body), moment(record.time)), record.seq
            if seq > since:
                sent.remove(record.body)
                assert told.get(str(seq), answer(outcome)) == answer(outcome)
    assert all(int(number) <= seq for number in told)
    return seq
