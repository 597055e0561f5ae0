import asyncio
import logging
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import structlog

from market.events import Gap, Tick
from market.feed import Feed
from market.settings import Environment
from sources.__main__ import main
from tests.ports import held_port
from tests.streams import a_client

Market = Callable[..., Environment]
ROOT = Path(__file__).resolve().parents[2]


def a_recording(folder: Path, length: int, bad_line: int | None = None) -> Path:
    lines = ["timestamp,close,volume"]
    for n in range(length):
        price = "cheap" if n + 2 == bad_line else 46_000 + n % 500
        lines.append(f"2022-01-01 {n // 60 % 24:02}:{n % 60:02}:00,{price},{n % 7}")
    path = folder / "prices.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@asynccontextmanager
async def started(
    folder: Path, *arguments: str, **variables: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, httpx.AsyncClient]]:
    """Run a source for the length of the block; give its process and address once it answers."""
    with held_port() as port:
        async with started_at(port, folder, *arguments, **variables) as given:
            yield given


@asynccontextmanager
async def started_at(
    port: int, folder: Path, *arguments: str, **variables: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, httpx.AsyncClient]]:
    env = {"LOG_DIR": str(folder / "logs"), "BTC_PORT": str(port), **variables}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sources", *arguments, cwd=ROOT, env=env, stdout=PIPE, stderr=PIPE
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with a_client() as client:
            while not await answers(client, url):
                assert process.returncode is None
                await asyncio.sleep(0.02)
            yield process, url, client
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(f"{url}/health")).status_code == 200
    except httpx.TransportError:
        return False


async def test_a_source_starts_says_its_seed_and_ends_well_on_a_signal(tmp_path: Path) -> None:
    async with started(tmp_path, "btc", TICK_INTERVAL_S="0.01", SEED="") as (process, url, client):
        async with client.stream("GET", f"{url}/stream") as response:
            process.send_signal(signal.SIGTERM)
            body = (await response.aread()).decode()
        code = await process.wait()

    assert code == 0
    assert body.count("event: shutdown") == 1
    assert re.search(r"market_drawn .*seed=\d+", (tmp_path / "logs/source-btc.log").read_text())


async def test_a_replay_at_full_speed_arrives_whole_and_then_says_204(tmp_path: Path) -> None:
    recording = a_recording(tmp_path, 1400)
    arguments = ("replay", str(recording), "--symbol", "BTC", "--speed", "0")
    async with started(tmp_path, *arguments, HISTORY="500") as (process, url, client):
        facts = [fact async for fact in Feed(f"{url}/stream", client=client, retry_cap_s=0.01)]
        fresh = await client.get(f"{url}/stream")
        process.send_signal(signal.SIGTERM)
        code = await process.wait()

    ticks = [fact for fact in facts if isinstance(fact, Tick)]
    assert [tick.seq for tick in ticks] == list(range(1, 1401))
    assert [int(tick.price) for tick in ticks] == [46_000 + n % 500 for n in range(1400)]
    assert not any(isinstance(fact, Gap) for fact in facts)
    assert (fresh.status_code, code) == (204, 0)


async def test_a_replay_stops_at_a_bad_row_with_its_line_and_code_2(tmp_path: Path) -> None:
    recording = a_recording(tmp_path, 100, bad_line=50)
    arguments = ("replay", str(recording), "--symbol", "BTC", "--speed", "0")
    async with started(tmp_path, *arguments) as (process, url, client):
        async with client.stream("GET", f"{url}/stream") as response:
            body = (await response.aread()).decode()
        said = (await process.communicate())[1].decode()

    assert body.count("event: tick") == 48
    assert "the source failed" in body
    assert f"{recording}: line 50: close 'cheap': not a number" in said
    assert "Traceback" not in (tmp_path / "logs/source-btc.log").read_text()
    assert process.returncode == 2


async def test_a_replay_leaves_bad_rows_out_when_told_to(tmp_path: Path) -> None:
    recording = a_recording(tmp_path, 100, bad_line=50)
    arguments = ("replay", str(recording), "--symbol", "BTC", "--speed", "0", "--skip-bad")
    async with (
        started(tmp_path, *arguments) as (_, url, client),
        client.stream("GET", f"{url}/stream") as response,
    ):
        body = (await response.aread()).decode()

    assert body.count("event: tick") == 99
    assert "row_skipped line=50" in (tmp_path / "logs/source-btc.log").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["DOGE"], "there is no DOGE, only BTC, TCS, META"),
        (["b@d"], "not a symbol"),
        (["replay", "none.csv", "--symbol", "BTC"], "none.csv: No such file"),
        (["replay", "{file}", "--symbol", "DOGE"], "there is no DOGE"),
        (["replay", "{file}", "--symbol", "BTC", "--column", "open"], "no column 'open'"),
        (["replay", "{file}", "--symbol", "BTC", "--time-column", "at"], "no column 'at'"),
        (["replay", "{file}", "--symbol", "BTC", "--speed", "-1"], "speed -1"),
        (["replay", "{empty}", "--symbol", "BTC"], "--time-column or --interval"),
        (["replay", "{empty}", "--symbol", "BTC", "--interval", "60"], "has no rows"),
        (["facts", "--csv", "{file}"], "too few"),
        (["facts", "--steps", "0"], "--steps 0"),
        (["facts", "--symbol", "DOGE"], "there is no DOGE"),
    ],
)
def test_what_cannot_be_done_is_said_and_the_code_is_2(
    arguments: list[str],
    said: str,
    market: Market,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text("time,close\n")
    files = {"file": a_recording(tmp_path, 5), "empty": empty}
    given = [argument.format(**files) for argument in arguments]

    code = main(given, market(LOG_DIR=str(tmp_path / "logs")))

    assert code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["replay", "--help"], ["facts", "--help"]])
def test_help_says_how_to_call_it(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)

    assert stop.value.code == 0
    assert "python -m sources" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "title"),
    [
        (["--process", "gjr", "--seed", "5", "--steps", "20000"], "gjr, seed 5: 20000 returns"),
        (["--symbol", "META", "--steps", "20000"], "META, seed 1: 20000 returns"),
        (["--csv", "{file}", "--column", "close"], "prices.csv, close: 5999 returns"),
    ],
)
def test_the_facts_are_a_table_of_gates(
    arguments: list[str],
    title: str,
    market: Market,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = {"file": a_recording(tmp_path, 6000)}

    code = main(["facts", *(argument.format(**files) for argument in arguments)], market())

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert lines[0] == title
    assert [line[:2] for line in lines[2:]] == ["g1", "g2", "g3", "g4", "g5"]


def test_volumes_and_arrivals_have_gates_of_their_own(
    market: Market, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(a_recording(tmp_path, 6000))
    in_bursts = market(META_ARRIVALS="hawkes")

    assert main(["facts", "--csv", file, "--volume-column", "volume"], market()) == 0
    assert main(["facts", "--symbol", "META", "--steps", "20000"], in_bursts) == 0
    assert main(["facts", "--volume-column", "volume"], market()) == 2

    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in told if line[0] in {"g6", "g7"}] == ["g6", "g7"]
    assert told[-1][-1] == "pass"


async def test_a_taken_port_is_named_with_its_setting(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        env = {"LOG_DIR": str(tmp_path), "BTC_PORT": port}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sources", "BTC", cwd=ROOT, env=env, stdout=PIPE, stderr=PIPE
        )
        said, _ = await process.communicate()

    assert process.returncode == 1
    assert f"127.0.0.1:{port} is taken" in said.decode()
    assert "BTC_PORT" in said.decode()
