import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from charts.board import Board
from charts.catch_up import CatchUp, book_shown, trade_shown
from charts.exchange_client import Archive, ExchangeClient
from charts.trends import Trends
from market.events import BookUpdate
from market.values import Symbol
from market.wire import encode
from tests.charts.builders import START, a_tick, a_trade
from tests.streams import PATIENCE_S, eventually

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)


def a_book(price: int, time: datetime) -> BookUpdate:
    return BookUpdate(
        symbol=Symbol("BTC"), bids=((Decimal(price), Decimal(1)),), asks=(), time=time
    )


@dataclass(slots=True)
class Exchange:
    """Answers by path; what it does before an answer leaves is up to the test."""

    answers: dict[str, Any] = field(
        default_factory=lambda: {
            "/instruments": [{"symbol": "BTC"}],
            "/book/BTC": a_book(99, START),
            "/trades": [],
            "/candles": [],
            "/ticks": [],
        }
    )
    failures: dict[str, list[int]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    meanwhile: dict[str, Callable[[], None]] = field(default_factory=dict)

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.asked.append(path)
        if path in self.meanwhile:
            self.meanwhile[path]()
        if failures := self.failures.get(path):
            return httpx.Response(failures.pop(0))
        return httpx.Response(200, content=encode(self.answers[path]))


@dataclass(slots=True)
class Table:
    board: Board
    trends: Trends
    catch_up: CatchUp


@asynccontextmanager
async def table(exchange: Exchange) -> AsyncIterator[Table]:
    board = Board("0000beef")
    trends = Trends(board)
    async with httpx.AsyncClient(transport=httpx.MockTransport(exchange.answer)) as client:
        asking = ExchangeClient(client, "http://exchange", timeout_s=1.0)
        catch_up = CatchUp(board, asking, Archive(asking), trends, again_s=0.0)
        async with catch_up.asking():
            yield Table(board, trends, catch_up)


def a_day(open: float, *, days_ago: int = 0) -> dict[str, Any]:
    midnight = NOON.replace(hour=0) - timedelta(days=days_ago)
    prices = {"open": open, "high": 200, "low": 1, "close": 100}
    return {"time": midnight, **prices, "volume": 1, "closed": False}


async def test_what_was_not_answered_is_asked_for_until_it_is() -> None:
    exchange = Exchange(failures={"/instruments": [503, 500], "/book/BTC": [429]})
    async with table(exchange) as at:
        at.catch_up.begin()
        await eventually(lambda: at.board.get("book", "BTC") is not None)
    assert at.board.get("instrument", "BTC")["symbol"] == "BTC"
    assert exchange.asked.count("/instruments") >= 3


async def test_what_was_answered_is_not_asked_for_again_with_what_was_not() -> None:
    exchange = Exchange(failures={"/book/BTC": [429, 503]})
    async with table(exchange) as at:
        at.catch_up.begin()
        await eventually(lambda: at.board.get("book", "BTC") is not None)
    counts = {path: exchange.asked.count(path) for path in exchange.asked}
    assert counts == {"/instruments": 1, "/book/BTC": 3, "/trades": 1, "/candles": 1, "/ticks": 1}


async def test_a_trouble_that_comes_back_with_another_beginning_is_told_again() -> None:
    exchange = Exchange(failures={"/book/BTC": [503]})
    async with table(exchange) as at:
        with capture_logs() as logs:
            at.catch_up.begin()
            await eventually(lambda: exchange.asked.count("/book/BTC") == 2)
            exchange.failures["/book/BTC"] = [503]
            at.catch_up.begin()
            await eventually(lambda: exchange.asked.count("/book/BTC") == 4)
    told = [entry["problem"] for entry in logs if entry["event"] == "not_caught_up"]
    assert told == ["HTTP status 503"] * 2


async def test_a_bug_in_it_ends_the_reader_that_it_asks_for() -> None:
    empty = dict[str, None]()
    exchange = Exchange(meanwhile={"/book/BTC": lambda: empty["nothing"]})

    async def read() -> None:
        async with table(exchange) as at, asyncio.timeout(PATIENCE_S):
            at.catch_up.begin()
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as failed:
        await read()
    assert failed.group_contains(KeyError)


async def test_what_the_exchange_has_not_is_not_asked_for_again_and_hides_nothing_else() -> None:
    exchange = Exchange(failures={"/book/BTC": [404]})
    exchange.answers["/ticks"] = [a_tick()]
    async with table(exchange) as at:
        at.catch_up.begin()
        await eventually(lambda: at.trends.has_past("BTC"))
        for _ in range(5):
            await asyncio.sleep(0)
    assert exchange.asked.count("/book/BTC") == 1


async def test_a_book_that_the_stream_told_of_meanwhile_stays() -> None:
    exchange, newer = Exchange(), a_book(101, START + timedelta(seconds=1))
    async with table(exchange) as at:
        told = book_shown(newer)
        exchange.meanwhile["/book/BTC"] = lambda: at.board.put("book", "BTC", told)
        at.catch_up.begin()
        await eventually(lambda: "/ticks" in exchange.asked)
    assert at.board.get("book", "BTC") == told


async def test_a_halt_that_the_stream_told_of_meanwhile_stays() -> None:
    exchange = Exchange()
    async with table(exchange) as at:
        exchange.meanwhile["/instruments"] = lambda: at.board.put("trading", "BTC", "halted")
        at.catch_up.begin()
        await eventually(lambda: at.board.get("instrument", "BTC") is not None)
    assert at.board.get("trading", "BTC") == "halted"


async def test_trades_that_the_stream_did_not_tell_of_are_put_among_those_that_it_did() -> None:
    exchange = Exchange()
    exchange.answers["/trades"] = [a_trade(trade_id=number) for number in (4, 3, 2, 1)]
    async with table(exchange) as at:
        for number in (1, 4):
            at.board.append("trade", "BTC", trade_shown(a_trade(trade_id=number)), 60)
        at.catch_up.begin()
        await eventually(lambda: "/ticks" in exchange.asked)
    assert [each["trade_id"] for each in at.board.entries("trade", "BTC")] == [1, 2, 3, 4]


async def test_the_change_counts_from_the_open_of_the_day_though_a_beat_came_first() -> None:
    exchange = Exchange()
    exchange.answers["/candles"] = [a_day(50.0)]
    exchange.answers["/ticks"] = [a_tick(price=str(90 + seq), seq=seq) for seq in range(5)]
    async with table(exchange) as at:
        at.trends.show(replace(a_tick(price="100", seq=9), time=NOON))
        at.trends.beat()
        at.catch_up.begin()
        await eventually(lambda: at.trends.has_past("BTC"))
        at.trends.beat()
    assert at.board.get("tick", "BTC")["reference"] == 50
    assert at.board.get("spark", "BTC") == [90, 91, 92, 93, 94, 100]
