import asyncio
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from market.events import Fact, Gap, Snapshot, SourceState, State, Tick
from market.feed import Feed, FeedLost
from tests.e2e.processes import PATIENCE_S, Market, market, until_healthy
from tests.streams import a_client

DECIMALS = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


async def account(client: httpx.AsyncClient, running: Market, name: str) -> dict[str, Any]:
    answer = await client.get(f"{running.exchange}/accounts/{name}")
    return DECIMALS.decode(answer.content)


def realized(view: dict[str, Any]) -> Decimal:
    return Decimal(view["realized_pnl"])


async def a_day_is_over(client: httpx.AsyncClient, running: Market) -> None:
    """Return when the slowest symbol has had ticks enough for skill to outweigh luck.

    Skill is to hear of a turn while it is one: an order may be late by five ticks, not by more.
    """
    async with asyncio.timeout(2 * PATIENCE_S):
        for symbol in ("BTC", "TCS", "META"):
            seq = 0
            while seq < 450:
                await asyncio.sleep(0.1)
                seq = (await client.get(f"{running.exchange}/market-data/{symbol}")).json()["seq"]


@pytest.mark.no_cover
async def test_the_investor_wins_and_the_hamster_loses(tmp_path: Path) -> None:
    with market(tmp_path, TICK_INTERVAL_S="0.04", SEED="22", STATUS_S="1") as running:
        running.start()
        async with a_client() as client:
            await until_healthy(client, running.exchange)
            await a_day_is_over(client, running)
            for name in ("investor", "hamster"):
                view = await account(client, running, name)
                held = sum(Decimal(p["quantity"]) * Decimal(p["mark"]) for p in view["positions"])
                pnl = Decimal(view["realized_pnl"]) + Decimal(view["unrealized_pnl"])
                assert view["equity"] == view["cash"] + held == 1_000_000 + pnl
            investor = await account(client, running, "investor")
            hamster = await account(client, running, "hamster")
            await until_healthy(client, running.risk)
            report = (await client.get(f"{running.risk}/risk?account=investor")).json()
        ends = running.stop()

    assert realized(investor) > 0 > realized(hamster)
    assert report["portfolio"].endswith("investor")
    assert set(ends.values()) == {0}
    assert running.complaints() == []
    for bot in ("bot-investor", "bot-hamster"):
        assert "account_mismatch" not in running.log(bot)
        assert re.search(r" fill .*realized_pnl=", running.log(bot))
        assert re.search(r" status .*equity=.*value_at_risk_99=.*drawdown=", running.log(bot))
    assert " risk " in running.log("risk")


class Proof:
    """Reads the exchange's stream for ever, and proves that nothing was missed or came twice."""

    def __init__(self) -> None:
        self.seq: dict[str, int] = {}
        self.facts: list[Fact] = []
        self.states: list[tuple[str, State]] = []
        self.lost = 0
        self._news = asyncio.Event()

    async def read(self, client: httpx.AsyncClient, url: str) -> None:
        async for fact in Feed(f"{url}/stream", client=client, retry_cap_s=0.2):
            self.take(fact)
            self._news.set()

    def take(self, fact: Fact) -> None:
        self.facts.append(fact)
        match fact:
            case Snapshot(ticks=ticks):
                self.seq = {tick.symbol: tick.seq for tick in ticks}
            case Tick(symbol=symbol, seq=seq):
                assert seq == self.seq.get(symbol, 0) + 1, f"{symbol}: {seq} after {self.seq}"
                self.seq[symbol] = seq
            case SourceState(symbol=symbol, state=state):
                self.states.append((symbol, state))
            case FeedLost():
                self.lost += 1
            case Gap():
                raise AssertionError(f"a restart left a gap: {fact}")

    async def hears(self, symbol: str, more: int = 20) -> None:
        """Return when so many more ticks of a symbol have come."""
        wanted = self.seq.get(symbol, 0) + more
        await self._until(lambda: self.seq.get(symbol, 0) >= wanted)

    async def knows(self, symbol: str, state: State) -> None:
        """Return when a source's new state is on the stream."""
        already = self.states.count((symbol, state))
        await self._until(lambda: self.states.count((symbol, state)) > already)

    async def _until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not done():
                self._news.clear()
                await self._news.wait()


async def kill_the_sources(client: httpx.AsyncClient, running: Market, proof: Proof) -> None:
    for name, symbol in (("source-btc", "BTC"), ("source-tcs", "TCS")):
        running.kill(name)
        await proof.knows(symbol, State.DOWN)
        await until_healthy(client, running.exchange, healthy=False)
        await proof.hears("META")
        running.start(name)
        await proof.knows(symbol, State.UP)
        await proof.hears(symbol)


async def kill_the_readers(client: httpx.AsyncClient, running: Market, proof: Proof) -> None:
    for name in ("bot-investor", "bot-hamster", "risk"):
        running.kill(name)
        await proof.hears("BTC")
        running.start(name)
    await until_healthy(client, running.risk)


async def kill_the_exchange(client: httpx.AsyncClient, running: Market, proof: Proof) -> None:
    lost = proof.lost
    running.kill("exchange")
    running.start("exchange")
    await proof.hears("META", 50)
    await proof.hears("BTC", 50)
    await until_healthy(client, running.exchange)
    await until_healthy(client, running.risk)
    assert proof.lost > lost


@pytest.mark.no_cover
async def test_each_process_may_die_and_the_others_go_on(tmp_path: Path) -> None:
    with market(tmp_path, TICK_INTERVAL_S="0.01", STATUS_S="1", HEARTBEAT_S="1") as running:
        running.start()
        proof = Proof()
        async with a_client() as client, asyncio.TaskGroup() as tasks:
            await until_healthy(client, running.exchange)
            reading = tasks.create_task(proof.read(client, running.exchange))
            await proof.hears("BTC")

            await kill_the_sources(client, running, proof)
            await kill_the_readers(client, running, proof)
            await kill_the_exchange(client, running, proof)
            reading.cancel()
        running.stop()

    assert running.complaints() == []
    for bot in ("bot-investor", "bot-hamster"):
        assert "account_mismatch" not in running.log(bot)
