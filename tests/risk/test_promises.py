"""What risk promises over a long stream, a dirty one, and a killed process."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from market.events import Tick
from market.settings import ROOT
from risk.backtests import kupiec
from risk.forecasts import FILTERED
from risk.market_state import Estimators
from risk.portfolio import Portfolio
from tests.risk.builders import a_monitor, a_settings, a_tick
from tests.risk.exchange import an_exchange
from tests.risk.test_app import a_risk, events, healthy, is_halted, until
from tests.streams import PATIENCE_S, a_client, eventually

NAME = f"{FILTERED} 0.99"


def garch_ticks(seed: int, count: int) -> Iterator[Tick]:
    """Yield a price a second whose returns are GARCH(1,1) with Student t shocks."""
    rng = np.random.default_rng(seed)
    variance, price = 1e-6, 70_000.0
    for k in range(count):
        shock = float(rng.standard_t(6)) * (4 / 6) ** 0.5 * variance**0.5
        price *= float(np.exp(shock))
        yield a_tick("BTC", round(price, 6), t=float(k), seq=k + 1)
        variance = 2e-8 + 0.08 * shock**2 + 0.90 * variance


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", [1, 2])
def test_filtered_forecasts_of_the_running_engine_keep_their_promise(seed: int) -> None:
    monitor = a_monitor(Portfolio.of("default", {"BTC": 1}), clock_s=1.0)
    hits: list[bool] = []

    def score(loss: float, forecasts: Mapping[str, float]) -> None:
        if NAME in forecasts:
            hits.append(loss > forecasts[NAME])

    monitor.contexts["default"].book.forecasts.on_score = score
    for tick in garch_ticks(seed, 1600):
        monitor.take(tick)
        monitor.contexts[
            "default"
        ].book.forecasts.on_score = score  # the first price begins a new book
    assert len(hits) > 1400
    assert kupiec(len(hits), sum(hits), 0.01).p_value > 0.05


@pytest.mark.no_cover
async def test_filtered_forecasts_of_the_live_service_keep_their_promise(tmp_path: Path) -> None:
    settings = a_settings(
        "",
        tmp_path,
        portfolio=Portfolio.of("default", {"BTC": 1}),
        estimators=Estimators(half_lives_s=(60.0,), headline=0, clock_s=1.0),
    )
    async with (
        an_exchange() as (exchange, url),
        a_risk(replace(settings, exchange_url=url)) as client,
    ):
        await healthy(client)
        for tick in garch_ticks(3, 500):
            exchange.tick(_later(tick))
        answer = await until(
            lambda: client.get("/risk"),
            lambda answer: answer.json()["time"].startswith("2026-01-01T00:09:59"),
        )
    backtest = answer.json()["backtest"][NAME]
    assert backtest["observations"] == 250
    assert backtest["kupiec_p"] > 0.05
    assert backtest["zone"] == "green"


def _later(tick: Tick) -> Tick:
    return a_tick("BTC", float(tick.price), t=tick.seq + 99.0, seq=tick.seq + 100)


async def test_a_dirty_stream_is_told_by_its_rules(tmp_path: Path) -> None:
    async with an_exchange() as (exchange, url), a_risk(a_settings(url, tmp_path)) as client:
        await healthy(client)
        reading = asyncio.create_task(events(client, "/stream?events=price_gap", 1))
        await until(lambda: client.get("/health"), lambda answer: answer.json()["streams"] == 1)
        again = a_tick("BTC", 70_500.0, t=60.0, seq=51)
        exchange.tick(again, again)  # a duplicate
        exchange.tick(a_tick("TCS", 34.0, t=60.0, seq=51), a_tick("META", 505.0, t=60.0, seq=51))
        exchange.tick(a_tick("BTC", 71_500.0, t=700.0, seq=60))  # over a gap, numbers missing
        exchange.tick(a_tick("TCS", 34.0, t=700.0, seq=52, volume=0))  # no volume, and a tie
        exchange.tick(a_tick("META", -3.5, t=700.0, seq=52))  # a price below zero
        ((kind, gap),) = await reading
        assert kind == "price_gap"
        assert gap["seconds"] > 600
        answer = await until(
            lambda: client.get("/risk"), lambda answer: answer.json()["weighted_risk"] is None
        )
        report = answer.json()
        assert report["unavailable"]["weighted_risk"] == "zero volume in TCS"
        exchange.tick(a_tick("META", -3.0, t=701.0, seq=53))
        answer = await until(lambda: client.get("/risk"), lambda answer: answer.json()["flags"])
        assert "META" in answer.json()["flags"][0]
        assert not _wrong(answer.json())
        health = (await client.get("/health")).json()
        assert health["replayed"] >= 1
        assert health["missed"] == 8


def _wrong(value: Any) -> bool:
    """Tell whether a number in there is none."""
    if isinstance(value, dict):
        return any(map(_wrong, value.values()))
    if isinstance(value, list):
        return any(map(_wrong, value))
    return isinstance(value, float) and not np.isfinite(value)


@asynccontextmanager
async def a_process(url: str, folder: Path, port: int) -> AsyncIterator[int]:
    """Run the service as a process of its own, and kill it as nothing else does."""
    given = {"EXCHANGE_URL": url, "DATA_DIR": str(folder), "LOG_DIR": str(folder)}
    given |= {"RISK_PORT": str(port), "RISK_INTERVAL_MS": "20"}
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "risk",
        cwd=ROOT,
        env=os.environ | given,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield running.pid
    finally:
        running.send_signal(signal.SIGKILL)
        await running.wait()


async def _up(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                if (await client.get("/health")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.05)


@pytest.mark.no_cover
async def test_a_killed_process_comes_back_with_what_it_was_told_and_what_it_halted(
    tmp_path: Path, port: int
) -> None:
    base = f"http://127.0.0.1:{port}"
    async with an_exchange() as (exchange, url), a_client(base) as client:
        async with a_process(url, tmp_path, port):
            await _up(client)
            body = {"quantities": {"BTC": 1}, "limits": {"max_drawdown": 0.01}}
            assert (await client.put("/portfolios/mine", json=body)).status_code == 201
            for k in range(3):
                exchange.tick(a_tick("BTC", 50_000.0, t=60.0 + k, seq=51 + k))
            await until(
                lambda: client.get("/standings"),
                lambda answer: answer.json()[0]["standing"] == "halted",
            )
            await eventually(lambda: is_halted(tmp_path / "risk.sqlite3", "mine"))
        async with a_process(url, tmp_path, port):
            await _up(client)
            (stands,) = (await client.get("/standings")).json()
            assert (stands["portfolio"], stands["standing"]) == ("mine", "halted")
            report = (await client.get("/risk/mine")).json()
            assert report["state"] == "live"
            assert report["value"] == 50_000.0
            assert report["samples"] >= 50
