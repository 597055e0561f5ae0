"""The exchange that a test starts as a process ends with it, however that goes."""

import asyncio
import fcntl
import sys
from pathlib import Path

import pytest

from market.settings import ROOT
from tests.exchange.markets import TCS, Source
from tests.exchange.processes import Process
from tests.streams import eventually

STARTS_ONE = """
import asyncio, sys
from pathlib import Path
from tests.exchange.markets import TCS, Source
from tests.exchange.processes import Process

async def main():
    folder = Path(sys.argv[1])
    port = int(sys.argv[2])
    await Process(folder, Source(TCS), port).start()
    while not (lock := folder / "process.lock").exists() or not lock.read_text():
        await asyncio.sleep(0.01)
    print("started", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def is_running(folder: Path) -> bool:
    """Tell whether the process holds its lock."""
    with (folder / "process.lock").open("rb+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


async def test_an_exchange_ends_with_a_test_that_fails(tmp_path: Path, port: int) -> None:
    process = Process(tmp_path, Source(TCS), port)

    async def fails() -> None:
        async with process:
            await process.start()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails()
    assert process.running is not None
    assert process.running.returncode == -9


async def test_an_exchange_ends_when_the_tests_are_killed(tmp_path: Path, port: int) -> None:
    tests = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STARTS_ONE, str(tmp_path), str(port)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert tests.stdout is not None
        assert await tests.stdout.readline() == b"started\n"
        was_running = is_running(tmp_path)
    finally:
        tests.kill()
        await tests.wait()
    assert was_running
    await eventually(lambda: not is_running(tmp_path))
