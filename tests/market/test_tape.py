"""The history on disk: whatever happens to the process, no hole and no number given twice."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.errors import GarbledEventError
from market.events import Snapshot
from market.hub import Hub
from market.tape import Recovered, Tape, TapeInUseError, recorded
from market.wire import Decoder, EventId, encode, frame
from tests.builders import Market, a_hub
from tests.streams import PATIENCE_S, Proof, asked, eventually

ROOT = Path(__file__).parents[2]


def a_taped_hub(folder: Path, history: int = 100) -> tuple[Hub, Tape, Recovered | None]:
    tape = Tape(folder, history)
    hub = a_hub(epoch=tape.epoch, history=history, log=tape)
    found = tape.restore(hub)
    tape.begin(hub.head, lambda: opening(hub))
    return hub, tape, found


def opening(hub: Hub) -> bytes:
    snapshot = Snapshot(id=hub.id, ticks=())
    return frame("snapshot", encode(snapshot), id=EventId(hub.epoch, hub.head))


def lived(folder: Path, count: int, *, closed: bool = True, history: int = 100) -> Hub:
    """Return the hub of a process that published so many ticks, and was then closed or killed."""
    hub, tape, _ = a_taped_hub(folder, history)
    market = Market(hub)
    for _ in range(count):
        market.run(1)
        hub.commit()
    if closed:
        tape.close()
    else:
        killed(tape)
    return hub


def killed(tape: Tape) -> None:
    """Let go of the files as a killed process does: without a last word."""
    if tape._segment is not None:
        os.close(tape._segment)
    os.close(tape._lock)


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.sse"))


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "killed"])
def test_a_restart_keeps_the_epoch_and_numbers_go_on(tmp_path: Path, closed: bool) -> None:
    first = lived(tmp_path, 42, closed=closed)

    second, tape, found = a_taped_hub(tmp_path)
    tape.close()

    assert found is not None
    assert second.id == first.id
    assert [second.ring.frames[n] for n in range(1, 43)] == [
        first.ring.frames[n] for n in range(1, 43)
    ]
    assert second.ring.topics == first.ring.topics


def test_many_restarts_are_one_history(tmp_path: Path) -> None:
    epochs = {lived(tmp_path, 7, closed=bool(n % 2)).epoch for n in range(12)}

    hub, tape, _ = a_taped_hub(tmp_path)
    tape.close()

    assert len(epochs) == 1
    assert hub.head == 12 * 7


def test_a_restart_that_published_nothing_changes_nothing(tmp_path: Path) -> None:
    first = lived(tmp_path, 5)
    for closed in (True, False, False, True):
        assert lived(tmp_path, 0, closed=closed).id == first.id


def test_an_empty_folder_begins_an_epoch_of_its_own(tmp_path: Path) -> None:
    hub, tape, found = a_taped_hub(tmp_path / "made" / "here")
    tape.close()

    assert found is None
    assert re.fullmatch("[0-9a-f]{8}", hub.epoch)
    assert hub.head == 0


def test_what_was_taken_by_a_reader_is_in_the_hands_of_the_kernel(tmp_path: Path) -> None:
    hub, tape, _ = a_taped_hub(tmp_path)
    reader = hub.reader(hub.filter())
    reader.take()
    Market(hub).run(3)
    due = reader.take()

    assert segments(tmp_path)[-1].read_bytes().endswith(due)
    tape.close()


@given(cut=st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_a_torn_tail_is_cut_and_the_frames_before_it_stay(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("tape")
    first = lived(folder, 20, closed=False)
    last = segments(folder)[-1]
    size = last.stat().st_size
    os.truncate(last, max(size - cut, 0))

    second = lived(folder, 3)
    third = lived(folder, 0)

    assert third.id == second.id
    if second.epoch == first.epoch:
        kept = second.head - 3
        assert kept <= 20
        assert [second.ring.frames[n] for n in range(1, kept + 1)] == first.ring.frames[
            1 : kept + 1
        ]


def damaged(folder: Path, what: str) -> None:
    """Spoil the middle of a tape."""
    middle = segments(folder)[1]
    raw = middle.read_bytes()
    if what == "a frame lost":
        frames = raw.split(b"\n\n")
        middle.write_bytes(b"\n\n".join(frames[:4] + frames[5:]))
    elif what == "a segment lost":
        middle.unlink()
    elif what == "a segment cut":
        middle.write_bytes(raw[: len(raw) // 2])
    elif what == "a segment emptied":
        middle.write_bytes(b"")
    else:
        middle.write_bytes(raw.replace(b'"symbol"', b'"sym\xffbo'))


@pytest.mark.parametrize(
    "what",
    ["a frame lost", "a segment lost", "a segment cut", "a segment emptied", "data spoiled"],
)
def test_a_damaged_middle_begins_a_new_epoch(tmp_path: Path, what: str) -> None:
    first = lived(tmp_path, 90)
    damaged(tmp_path, what)

    second = lived(tmp_path, 2)

    assert second.epoch != first.epoch
    assert second.head == 2
    assert not list(tmp_path.glob(f"{first.epoch}-*"))


@pytest.mark.parametrize(("closed", "kept"), [(True, True), (False, False)])
def test_after_a_crash_of_the_machine_only_a_closed_tape_is_relied_on(
    tmp_path: Path, closed: bool, kept: bool
) -> None:
    first = lived(tmp_path, 60, closed=closed)
    for path in segments(tmp_path):
        path.write_bytes(re.sub(rb": boot \S+", b": boot another-boot", path.read_bytes()))

    second = lived(tmp_path, 1)

    assert (second.epoch == first.epoch) == kept


def test_a_killed_start_of_a_segment_leaves_the_history_whole(tmp_path: Path) -> None:
    first = lived(tmp_path, 20, closed=False)
    (tmp_path / "new").write_bytes(b": boot half a he")

    assert lived(tmp_path, 0).id == first.id


def test_the_tape_holds_what_it_must_and_not_much_more(tmp_path: Path) -> None:
    hub = lived(tmp_path, 1000, history=100)

    again, tape, found = a_taped_hub(tmp_path)
    tape.close()

    assert found is not None
    assert 100 <= len(found.events) <= 150
    assert again.ring.frames == hub.ring.frames
    assert len(segments(tmp_path)) <= 7


def test_a_history_may_be_made_longer_or_shorter(tmp_path: Path) -> None:
    lived(tmp_path, 300, history=100)
    shorter = lived(tmp_path, 0, history=10)
    longer = lived(tmp_path, 0, history=1000)

    assert shorter.head == longer.head == 300
    assert shorter.oldest == 291
    assert longer.oldest < 250


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    _, tape, _ = a_taped_hub(tmp_path)

    with pytest.raises(TapeInUseError, match="in use by another process"):
        Tape(tmp_path, 100)

    tape.close()
    Tape(tmp_path, 100).close()


def test_a_footnote_is_found_again_as_it_was_with_the_last_event(tmp_path: Path) -> None:
    tape, place = Tape(tmp_path, 100), ["a-1"]
    hub = a_hub(epoch=tape.epoch, log=tape)
    tape.begin(0, bytes, lambda: place[0])
    market = Market(hub)
    for n in range(60):
        place[0] = f"a-{n}"
        market.run(1)
        hub.commit()
    killed(tape)

    found = Tape(tmp_path, 100).recover()

    assert found is not None
    assert found.footnote == "a-59"
    assert found.head.n == 60


@pytest.mark.parametrize("short_by", range(0, 600, 7))
def test_a_write_that_a_kill_cut_short_leaves_nothing(tmp_path: Path, short_by: int) -> None:
    tape = Tape(tmp_path, 100)
    hub = a_hub(epoch=tape.epoch, log=tape)
    tape.begin(0, bytes, lambda: f"upto {hub.head}")
    market = Market(hub)
    for count in (3, 4):
        market.run(count)
        hub.commit()
    killed(tape)
    (segment,) = segments(tmp_path)
    os.truncate(segment, segment.stat().st_size - short_by)

    found = Tape(tmp_path, 100).recover()

    assert found is not None
    assert found.head.n in {0, 3, 7}
    assert found.footnote == f"upto {found.head.n}"


def test_a_tape_that_is_renewed_holds_what_came_after_alone(tmp_path: Path) -> None:
    first = lived(tmp_path, 42, history=20)
    tape = Tape(tmp_path, 20)
    hub = a_hub(epoch=tape.epoch, history=20, log=tape)
    tape.restore(hub)
    tape.renew()
    hub.begin(0)
    hub.epoch = tape.epoch
    assert segments(tmp_path), "until there is something in its place"
    tape.begin(0, lambda: opening(hub))
    Market(hub).run(3)
    hub.commit()
    tape.close()

    second, tape, found = a_taped_hub(tmp_path)
    tape.close()
    assert found is not None
    assert (found.start.n, found.head.n) == (0, 3)
    assert second.epoch == hub.epoch != first.epoch
    assert all(path.name.startswith(hub.epoch) for path in segments(tmp_path))


FULL = """
import resource, signal, sys
from pathlib import Path
from tests.market.test_tape import a_taped_hub
from tests.builders import Market

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
hub, tape, _ = a_taped_hub(Path(sys.argv[1]))
reader = hub.reader(hub.filter())
market = Market(hub)
for _ in range(100):
    market.run(1)
    reader.take()
tape.close()
print(hub.epoch, hub.head, reader.cursor)
"""


async def test_a_disk_that_is_full_ends_the_tape_and_not_the_stream(tmp_path: Path) -> None:
    epoch, head, cursor = (await output(FULL, str(tmp_path))).decode().split()[-3:]

    second = lived(tmp_path, 1)

    assert head == cursor == "100"
    assert second.epoch != epoch
    assert second.head == 1


async def output(program: str, *arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE_S):
        said, _ = await process.communicate()
    assert process.returncode == 0
    return said


LIFE = """
import asyncio, sys
from pathlib import Path
from starlette.applications import Starlette
from starlette.routing import Route
from market.broadcast import Broadcast
from market.server import ServerSettings, serve
from market.streaming import StreamSettings
from market.tape import Tape
from tests.builders import a_hub, a_tick
from tests.market.test_tape import opening

async def main():
    # a thousand a second: a reader that is held up is not overtaken as long as the test may take
    tape = Tape(Path(sys.argv[1]), 200_000)
    tape._per_segment = 100  # so that some kill comes between two
    hub = a_hub(epoch=tape.epoch, history=200_000, log=tape)
    tape.restore(hub)
    tape.begin(hub.head, lambda: opening(hub))
    async def publish():
        while True:
            for _ in range(10):
                hub.publish(a_tick(seq=hub.head + 1))
            await asyncio.sleep(0.01)
    publishing = asyncio.create_task(publish())
    app = Starlette(routes=[Route("/stream", Broadcast(hub, StreamSettings()), methods=["GET"])])
    await serve(app, ServerSettings(port=int(sys.argv[2])), hub.close)

asyncio.run(main())
"""


async def read_until(url: str, proof: Proof, stop: Callable[[], bool]) -> None:
    """Read a stream and resume it, whatever becomes of its server."""
    while not stop():
        headers = {"Last-Event-ID": proof.last_id} if proof.last_id else {}
        try:
            async with asked(url, headers=headers) as answer:
                async for block in answer.events():
                    proof.see(block.event, block.id, block.fields["data"])
                    assert block.event != "tick" or block.data["seq"] == block.n
                    if stop():
                        return
        except (OSError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.01)


@pytest.mark.no_cover
async def test_readers_lose_nothing_when_the_process_is_killed_while_it_publishes(
    tmp_path: Path, port: int
) -> None:
    proofs, done = [Proof() for _ in range(5)], asyncio.Event()
    url = f"http://127.0.0.1:{port}/stream"
    epochs: set[str] = set()
    async with asyncio.TaskGroup() as readers:
        for proof in proofs:
            readers.create_task(read_until(url, proof, done.is_set))
        for _ in range(2):
            await one_life(tmp_path, port, proofs)
            epochs |= {proof.last_id[:8] for proof in proofs}
        done.set()

    assert len(epochs) == 1
    for proof in proofs:
        assert proof.reasons == []
        first = min(proof.got)
        assert proof.got == list(range(first, first + len(proof.got)))


def has(proof: Proof, count: int) -> bool:
    return len(proof.got) >= count


async def one_life(folder: Path, port: int, proofs: list[Proof]) -> None:
    """Run a server until each reader has a good deal more, and kill it there and then."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        LIFE,
        str(folder),
        str(port),
        cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL,
    )
    before = [len(proof.got) for proof in proofs]
    try:
        wanted = [had + 300 for had in before]
        await eventually(lambda: all(map(has, proofs, wanted)))
    finally:
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()


def test_what_is_on_tape_can_be_read_again_while_it_runs(tmp_path: Path) -> None:
    hub, tape, _ = a_taped_hub(tmp_path, history=40)
    market = Market(hub)
    for _ in range(95):
        market.run(1)
        hub.commit()
    market.run(1)  # nobody was told of it yet: it is not on tape

    numbers = [kept.id.n for kept in tape.following(70)]
    facts = [kept.fact for kept in tape.following(93)]
    oldest = next(tape.following(0)).id.n
    tape.close()

    assert numbers == list(range(71, 96))
    assert facts == market.ticks[93:95]
    assert oldest <= 95 - 40


# --- read by others while it is written ---


def test_a_tape_in_use_is_read_without_a_trace(tmp_path: Path) -> None:
    hub, tape, _ = a_taped_hub(tmp_path, 100)
    market = Market(hub)
    for _ in range(60):
        market.run(1)
        hub.commit()
    last = segments(tmp_path)[-1]
    with last.open("ab") as file:
        file.write(b"id: 0000")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    facts = list(recorded(tmp_path))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert [fact.kind for fact in facts] == ["snapshot"] + ["tick"] * 60
    tape.close()


def test_a_tape_with_a_hole_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    lived(tmp_path, 60)
    segments(tmp_path)[1].unlink()
    with pytest.raises(GarbledEventError, match="does not follow"):
        list(recorded(tmp_path))


def test_kinds_that_a_reader_does_not_know_are_passed_over(tmp_path: Path) -> None:
    lived(tmp_path, 10)
    assert [fact.kind for fact in recorded(tmp_path, Decoder((Snapshot,)))] == ["snapshot"]
