"""The history over HTTP and its candles on the stream."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.builders import NOON
from tests.exchange.markets import TCS, Source, a_market
from tests.streams import asked, eventually


@asynccontextmanager
async def a_traded_market(folder: Path, count: int = 90) -> AsyncIterator[Any]:
    async with a_market(folder, TCS, candle_interval_s=0.02) as market:
        source: Source = market.sources[TCS]
        begin = NOON + timedelta(days=1)
        for n in range(count):
            source.tick(f"33.{n % 10}0", time=begin + timedelta(seconds=n))
        await eventually(lambda: market.exchange.merging.sources[TCS].ticks == count + 1)
        yield market


async def pages(market: Any, path: str) -> list[list[dict[str, Any]]]:
    found = []
    while path:
        answer = await market.get(path)
        assert answer.status_code == 200
        found.append(answer.json())
        path = answer.links["next"]["url"] if "next" in answer.links else ""
    return found


async def test_candles_are_asked_for_by_span_and_paged_by_link(tmp_path: Path) -> None:
    async with a_traded_market(tmp_path) as market:
        newest = await market.get("/candles?symbol=TCS&interval=1s&limit=3")
        back = await pages(market, "/candles?symbol=TCS&interval=15s&limit=4")
        forth = await pages(
            market,
            "/candles?symbol=TCS&interval=15s&limit=4"
            "&from=2026-01-03T12:00:00Z&to=2026-01-03T15:01:00%2B03:00",
        )

    assert [each["closed"] for each in newest.json()] == [True, True, False]
    assert newest.json()[-1] == {
        "symbol": "TCS", "interval": "1s", "time": "2026-01-03T12:01:29.000000Z", "open": 33.9,
        "high": 33.9, "low": 33.9, "close": 33.9, "volume": 1, "trades": 1, "closed": False,
    }  # fmt: skip
    assert [len(page) for page in back] == [4, 3]
    assert [page[0]["time"] for page in back] == [
        "2026-01-03T12:00:30.000000Z",
        "2026-01-02T12:00:00.000000Z",
    ]
    assert [[each["time"][14:19] for each in page] for page in forth] == [
        ["00:00", "00:15", "00:30", "00:45"]
    ]


async def test_ticks_go_back_from_the_newest_or_forth_from_a_time(tmp_path: Path) -> None:
    async with a_traded_market(tmp_path) as market:
        back = await pages(market, "/ticks?symbol=TCS&limit=40")
        forth = await pages(market, "/ticks?symbol=TCS&limit=40&from=2026-01-03T12:00:00Z")
        until = await pages(market, "/ticks?symbol=TCS&limit=500&to=2026-01-03T12:00:10Z")

    assert [len(page) for page in back] == [40, 40, 11]
    assert [each["seq"] for page in back for each in page] == list(range(91, 0, -1))
    assert [each["seq"] for page in forth for each in page] == list(range(2, 92))
    assert [each["seq"] for page in until for each in page] == list(range(11, 0, -1))


async def test_trades_are_in_the_history_too(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        for _ in range(5):
            await market.order(quantity=1)
        plain_answer = await market.get("/trades?symbol=TCS")
        paged = await pages(market, "/trades?symbol=TCS&limit=2&from=2026-01-01T00:00:00Z")

    newest_first = plain_answer.json()
    assert len(newest_first) == 5
    assert [each for page in paged for each in page] == newest_first[::-1]


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("interval=1m", 422, "symbol"),
        ("symbol=TCS", 422, "interval"),
        ("symbol=TCS&interval=2m", 422, "interval"),
        ("symbol=NONE&interval=1m", 404, None),
        ("symbol=TCS&interval=1m&from=yesterday", 422, "from"),
        ("symbol=TCS&interval=1m&from=2026-13-01T00:00:00Z", 422, "from"),
        ("symbol=TCS&interval=1m&from=2026-01-01T00:00:00", 422, "from"),
        ("symbol=TCS&interval=1m&to=0001-01-01T00:00:00%2B14:00", 422, "to"),
        ("symbol=TCS&interval=1m&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", 422, "to"),
        ("symbol=TCS&interval=1m&limit=0", 422, "limit"),
        ("symbol=TCS&interval=1m&limit=1001", 422, "limit"),
        ("symbol=TCS&interval=1m&cursor=mine", 422, "cursor"),
        ("symbol=TCS&interval=1m&cursor=%ff", 422, "cursor"),
        ("symbol=TCS&interval=1m&cursor=", 422, "cursor"),
    ],
)
async def test_a_wrong_query_is_told_which_part_of_it_is_wrong(
    tmp_path: Path, query: str, status: int, field: str | None
) -> None:
    async with a_market(tmp_path, TCS) as market:
        answer = await market.get(f"/candles?{query}")

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json().get("field") == field


async def test_a_history_that_cannot_be_read_is_a_problem_of_its_own(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        await market.get("/candles?symbol=TCS&interval=1m")
        with sqlite3.connect(tmp_path / "history.sqlite") as file:
            file.execute("DROP TABLE candles")
        with capture_logs() as logs:
            answer = await market.get("/candles?symbol=TCS&interval=1m")
            health = await market.get("/health")
        metrics = (await market.get("/metrics")).text

    assert (answer.status_code, answer.json()["type"]) == (503, "no-history")
    assert [log["event"] for log in logs] == ["history_not_read"]
    assert health.status_code == 200
    assert "sandpit_history_lost_total 0.0" in metrics


async def test_candles_come_over_the_stream_as_they_form_and_once_they_close(
    tmp_path: Path,
) -> None:
    async with a_market(tmp_path, TCS, candle_interval_s=0.02) as market:
        url = f"{market.base}/stream?events=candle&interval=1s,1m"
        async with asked(url) as answer:
            await answer.until(lambda block: block.event == "candle")
            source = market.sources[TCS]
            for n in range(3):
                source.tick(f"33.{n}0", time=NOON + timedelta(seconds=5 + n))
            blocks = await answer.until(
                lambda block: (
                    block.event == "candle" and block.data["time"] == "2026-01-02T12:00:07.000000Z"
                )
            )

    candles = [block.data for block in blocks if block.event == "candle"]
    assert {each["interval"] for each in candles} <= {"1s", "1m"}
    closed = [each["time"][17:19] for each in candles if each["closed"]]
    assert closed == ["00", "05", "06"]
    assert all(block.id for block in blocks if block.event == "candle")


async def test_without_an_interval_the_candles_are_of_a_minute(tmp_path: Path) -> None:
    async with (
        a_market(tmp_path, TCS, candle_interval_s=0.02) as market,
        asked(f"{market.base}/stream?events=candle") as answer,
    ):
        blocks = await answer.until(lambda block: block.event == "candle")
        wrong = await market.get("/stream?events=candle&interval=2m")

    assert blocks[-1].data["interval"] == "1m"
    assert (wrong.status_code, wrong.json()["field"]) == (422, "interval")


async def test_a_reader_that_resumes_gets_every_close_it_missed(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        url = f"{market.base}/stream?events=candle&interval=1s"
        head = market.exchange.market.hub.id
        source = market.sources[TCS]
        for n in range(50):
            source.tick(time=NOON + timedelta(seconds=10 + n))
        await eventually(lambda: market.exchange.merging.sources[TCS].ticks == 51)
        async with asked(url, headers={"Last-Event-ID": head}) as answer:
            blocks = await answer.until(
                lambda block: block.event == "candle" and "12:00:58" in block.data["time"]
            )

    closed = [b.data for b in blocks if b.event == "candle"]
    assert [each["time"][17:19] for each in closed if each["closed"]] == [
        "00",
        *[f"{n}" for n in range(10, 59)],
    ]
