"""``python -m bots`` as a process: it trades, says what is wrong, and ends when it is told to."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from market.settings import ROOT
from tests.bots.builders import ticks
from tests.bots.paper_exchange import PaperExchange
from tests.streams import PATIENCE_S


async def bots(*arguments: str, **variables: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bots",
        *arguments,
        cwd=ROOT,
        env=os.environ | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def line_with(process: asyncio.subprocess.Process, words: str) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        async for line in process.stdout:
            if words in line.decode():
                return line.decode()
    raise AssertionError(f"no line with {words!r}")


async def test_the_strategies_in_the_box_are_listed() -> None:
    process = await bots("list")
    out, _ = await process.communicate()
    assert [line.split()[0] for line in out.decode().splitlines()] == [
        "investor",
        "hamster",
        "market-maker",
        "noise",
    ]


async def test_a_strategy_that_is_not_there_is_said_in_one_line_and_code_2() -> None:
    process = await bots("run", "nowhere.py:Mine")
    _, err = await process.communicate()
    assert (process.returncode, err) == (2, b"bots: there is no file nowhere.py\n")


async def test_a_users_strategy_trades_logs_and_ends_on_sigterm(tmp_path: Path) -> None:
    code = """
from bots import buy
from market.events import Tick

class Mine:
    def __init__(self, account, symbols):
        self.account, self.symbols = account, symbols

    def decide(self, fact):
        if isinstance(fact, Tick) and fact.price == 12:
            return [buy(symbol, 2.5) for symbol in self.symbols]
"""
    (tmp_path / "mine.py").write_text(code)
    exchange = PaperExchange()
    async with exchange.served() as url:
        process = await bots(
            "run",
            f"{tmp_path}/mine.py:Mine",
            "--account",
            "me",
            "--symbols",
            "BTC",
            EXCHANGE_PORT=url.rpartition(":")[2],
            HOST="127.0.0.1",
            LOG_DIR=str(tmp_path),
            STATUS_S="0.05",
        )
        try:
            await line_with(process, "feed_opened")
            for tick in ticks(10, 11, 12, of="BTC"):
                exchange.publish(tick)
            fill = await line_with(process, " fill ")
            status = await line_with(process, "position=BTC:2.5")
        finally:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE_S):
                _, err = await process.communicate()
    assert "bots.me fill side=buy symbol=BTC quantity=2.5 price=12 realized_pnl=-0.01" in fill
    assert "equity=999999.99 cash=999969.99 realized_pnl=-0.01 unrealized_pnl=0" in status
    assert (process.returncode, err) == (0, b"")
    assert "feed_opened" in (tmp_path / "bot-me.log").read_text()
