"""The exchange as a process of its own, for tests that end it by force."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Self

import httpx

from market.settings import ROOT
from tests.exchange.markets import TCS, Source
from tests.streams import PATIENCE_S

CHILD: Final = ROOT / "supervision" / "child.py"
"""Becomes a command, and lets the kernel end it when the tests are killed (Linux)."""


class Process:
    """``python -m exchange`` with settings of its own; ``async with`` ends it with the block."""

    def __init__(self, data: Path, source: Source, port: int, **more: str) -> None:
        self._lock = str(data / "process.lock")
        self.base = f"http://127.0.0.1:{port}"
        self.variables = os.environ | {
            "DATA_DIR": str(data),
            "LOG_DIR": str(data / "logs"),
            "EXCHANGE_PORT": str(port),
            "SYMBOLS": "TCS",
            "TCS_SOURCE_URL": source.url,
            "HOUSE_QUANTITY": "1000000",
            "JOURNAL_SNAPSHOT_EVERY": "200",
            **more,
        }
        self.running: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.running is not None:
            await self.end()

    async def start(self) -> None:
        self.running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(CHILD), "exchange", self._lock, str(os.getpid())),
            *(sys.executable, "-m", "exchange"),
            cwd=ROOT,
            env=self.variables,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def end(self, how: signal.Signals = signal.SIGKILL) -> int:
        assert self.running is not None
        if self.running.returncode is None:
            self.running.send_signal(how)
        return await self.running.wait()


async def command(variables: dict[str, str], *words: str) -> tuple[int | None, str]:
    """Run ``python -m exchange`` with words; return its status and what it says."""
    ran = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "exchange", *words),
        cwd=ROOT,
        env=variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        told, _ = await ran.communicate()
    finally:
        if ran.returncode is None:
            ran.kill()
    return ran.returncode, told.decode()


async def _ticking(source: Source) -> None:
    while True:
        source.tick()
        await asyncio.sleep(0.02)


@asynccontextmanager
async def a_source() -> AsyncIterator[Source]:
    """Give a source that ticks all the time."""
    async with Source(TCS) as source:
        ticking = asyncio.create_task(_ticking(source))
        try:
            yield source
        finally:
            ticking.cancel()


async def open_for_orders(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                if (await client.get("/health")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.02)
