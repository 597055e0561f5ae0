from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from charts.candles import INTERVALS, Candle
from charts.exchange_client import Archive, ExchangeAwayError, ExchangeClient
from charts.indicators import over
from market.wire import encode
from tests.charts.builders import START

Handler = Callable[[httpx.Request], httpx.Response]


def a_candle(minute: int, *, closed: bool = True) -> dict[str, Any]:
    prices = dict.fromkeys(("open", "high", "low", "close"), 100 + minute)
    return {"time": START + timedelta(minutes=minute), **prices, "volume": 3, "closed": closed}


def a_tick_at(second: float, seq: int, price: int = 7) -> dict[str, Any]:
    time = START + timedelta(seconds=second)
    return {"symbol": "BTC", "price": price, "volume": 1, "time": time, "seq": seq}


def answer(value: object, *, status: int = 200, following: str = "") -> httpx.Response:
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    return httpx.Response(status, content=encode(value), headers=headers)


def asking(handler: Handler) -> ExchangeClient:
    client = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    return ExchangeClient(client, "http://exchange", timeout_s=1.0)


def archive(handler: Handler) -> Archive:
    return Archive(asking(handler))


def minute_of(time: int) -> int:
    return int((datetime.fromtimestamp(time, UTC) - START).total_seconds() // 60)


async def test_pages_are_joined_in_the_order_of_time() -> None:
    pages = {None: [4, 5], "a": [2, 3], "b": [0, 1]}

    def exchange(request: httpx.Request) -> httpx.Response:
        cursor = request.url.params.get("cursor")
        following = {None: "/candles?cursor=a", "a": "/candles?cursor=b"}.get(cursor, "")
        return answer([a_candle(minute) for minute in pages[cursor]], following=following)

    found = await archive(exchange).candles("BTC", "1m", 5)
    assert [minute_of(candle.time) for candle in found] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("interval", "first_s"), [("1s", 3630), ("1m", 3600), ("5m", 3600)])
async def test_vwap_is_since_midnight_wherever_the_candles_begin(
    interval: str, first_s: int
) -> None:
    midnight = START.replace(hour=0)

    def exchange(request: httpx.Request) -> httpx.Response:
        query, step_s = request.url.params, INTERVALS[request.url.params["interval"]]
        begin, end = (
            (datetime.fromisoformat(query[name]) - midnight).total_seconds()
            for name in ("from", "to")
        )
        assert step_s >= 60
        return answer([a_flat(midnight, at, step_s) for at in range(int(begin), int(end), step_s)])

    step_s, base = INTERVALS[interval], int(midnight.timestamp())
    window = [Candle(base + at, 7, 7, 7, 7, step_s) for at in range(first_s, 4200, step_s)]
    vwap = await archive(exchange).vwap("BTC", interval, window)
    found = over(window, vwap)["vwap"]
    assert found[-1] == pytest.approx((3600 * 1 + 600 * 7) / 4200)


def a_flat(midnight: datetime, at: int, step_s: int) -> dict[str, Any]:
    """A candle at 1 in the first hour and at 7 then, of one unit a second."""
    prices = dict.fromkeys(("open", "high", "low", "close"), 1 if at < 3600 else 7)
    return {"time": midnight + timedelta(seconds=at), **prices, "volume": step_s}


async def test_vwap_of_a_market_younger_than_the_candles_begins_with_them() -> None:
    base = int(START.timestamp())
    window = [Candle(base + at, 7, 7, 7, 7, 1) for at in range(30, 90)]
    vwap = await archive(lambda _: answer([a_candle(0)])).vwap("BTC", "1s", window)
    assert over(window, vwap)["vwap"] == [7.0] * 60


async def test_the_candle_that_forms_is_built_from_ticks_and_is_there_once() -> None:
    ticks = [a_tick_at(30, 1), a_tick_at(70, 2, 8), a_tick_at(100, 3, 9), a_tick_at(130, 4, 5)]

    def exchange(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/ticks":
            return answer(ticks[::-1])
        return answer([a_candle(0), a_candle(1), a_candle(2)])  # it has closed in between

    found = await archive(exchange).history("BTC", "1m", 10)
    assert [minute_of(candle.time) for candle in found.closed] == [0, 1]
    assert [candle.close for candle in found.closed] == [100, 9]
    assert found.forming is not None
    assert minute_of(found.forming.time) == 2
    assert (found.forming.close, found.seq) == (5, 4)


async def test_a_long_candle_is_taken_while_no_tick_comes() -> None:
    seq, asked = [1, 2, 2], list[str]()

    def exchange(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if request.url.path == "/ticks":
            return answer([a_tick_at(0, seq.pop(0))])
        return answer([a_candle(-1440), a_candle(0, closed=False)])

    found = await archive(exchange).history("BTC", "1d", 10)
    assert asked[-3:] == ["/ticks", "/candles", "/ticks"]
    assert found.seq == 2
    assert found.forming is not None
    assert found.forming.close == 100


async def test_an_exchange_that_keeps_no_candles_is_asked_for_ticks() -> None:
    def exchange(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/candles":
            return answer({"type": "not-found"}, status=404)
        return answer([a_tick_at(second, second + 1) for second in (0, 60, 120)])

    found = await archive(exchange).candles("BTC", "1m", 10)
    assert [minute_of(candle.time) for candle in found] == [1, 2]


async def test_a_symbol_that_is_unknown_is_no_missing_archive() -> None:
    def exchange(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("symbol") == "NONE":
            return answer({"type": "unknown-symbol"}, status=404)
        return answer([a_candle(0)])

    kept = archive(exchange)
    with pytest.raises(ExchangeAwayError) as caught:
        await kept.candles("NONE", "1m", 10)
    assert caught.value.said.type == "unknown-symbol"
    assert len(await kept.candles("BTC", "1m", 10)) == 1


@pytest.mark.parametrize("content", [b"<html>", b'{"not":"a list"}'])
async def test_an_answer_that_makes_no_sense_is_an_error(content: bytes) -> None:
    with pytest.raises(ExchangeAwayError):
        await archive(lambda _: httpx.Response(200, content=content)).candles("BTC", "1m", 1)


@pytest.mark.parametrize(
    ("status", "content"), [(200, b'[{"symbol":"\xff"}]'), (404, b'{"type":"\xff"}')]
)
async def test_an_answer_that_is_no_text_is_an_error(status: int, content: bytes) -> None:
    with pytest.raises(ExchangeAwayError):
        await asking(lambda _: httpx.Response(status, content=content)).instruments()
