"""The real market as a source, against a server that cuts, stalls, lies and shuts down."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from websockets.asyncio.server import ServerConnection

from market.errors import MarketError, SettingsError
from market.events import Tick
from market.feed import Feed
from market.server import ServerSettings, serving
from market.settings import Environment
from market.values import Instrument, Symbol
from sources.__main__ import main
from sources.app import RealSource, create_app, real
from sources.binance import BinanceFeed, BinanceSettings
from sources.binance_frames import Closing, FrameError, Kline, Print, Quotes, Reply, decode
from sources.settings import Settings
from tests.sources.binance_server import (
    BEGIN_MS,
    SHUTDOWN,
    a_kline,
    a_trade,
    binance,
    combined,
    cuts,
    sends,
    stays,
)
from tests.streams import PATIENCE_S, a_client, eventually

BTC = Symbol("BTC")
OF = Instrument(symbol=BTC, name="Bitcoin", tick_size=Decimal(1), lot_size=Decimal("0.00001"))
Market = Callable[..., Environment]


def settings(market: Market, url: str, **others: Any) -> BinanceSettings:
    made = BinanceSettings.from_env(market(BTC_PROCESS="binance", BINANCE_WS_URL=url), BTC)
    quick: dict[str, Any] = {"retry_s": (0.001, 0.01), "stall_s": 5.0}
    return replace(made, **quick | others)


class Reading:
    """A feed that runs, and the ticks that it has published."""

    def __init__(self, of: BinanceSettings) -> None:
        self.feed, self.ticks = BinanceFeed(of, Random(1)), list[Tick]()

    async def until(self, count: int) -> list[int]:
        """Return the numbers of milliseconds after the beginning of so many ticks."""
        await eventually(lambda: len(self.ticks) >= count)
        begin = datetime.fromtimestamp(BEGIN_MS / 1000, UTC)
        return [round((tick.time - begin).total_seconds() * 1000) for tick in self.ticks]


@asynccontextmanager
async def reading(of: BinanceSettings) -> AsyncIterator[Reading]:
    made = Reading(of)
    running = asyncio.create_task(made.feed.run(made.ticks.append))
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


# -- frames ------------------------------------------------------------------------------------


def taken(frames: list[str], **options: Any) -> list[Tick]:
    quotes = Quotes(OF, "BTCUSDT", **options)
    found = [
        quotes.take(frame) for frame in map(decode, frames) if isinstance(frame, Print | Kline)
    ]
    return [tick for tick in found if tick is not None]


def test_a_trade_makes_a_tick_of_its_price_quantity_and_time() -> None:
    (tick,) = taken([a_trade(5, "70400.00", "0.06100000")])

    assert tick == Tick(
        symbol=BTC,
        price=Decimal(70400),
        volume=Decimal("0.06100"),
        time=datetime.fromtimestamp((BEGIN_MS + 5) / 1000, UTC),
        seq=1,
    )
    assert (str(tick.price), str(tick.volume)) == ("70400", "0.06100")


def test_recorded_frames_make_the_same_ticks_each_time() -> None:
    rng = Random(3)
    frames = [a_trade(n, f"{rng.uniform(7e4, 8e4):.2f}", f"{rng.random():.8f}") for n in range(200)]

    assert taken(frames) == taken(frames)
    assert taken([combined("btcusdt@trade", frame) for frame in frames]) == taken(frames)
    assert [tick.seq for tick in taken(frames)] == list(range(1, 201))


@pytest.mark.parametrize(
    ("price", "quantity", "expected"),
    [
        ("70400.50", "0.000015", ("70400", "0.00002")),
        ("70401.50", "0.000025", ("70402", "0.00002")),
        ("0.01", "0.00000001", ("1", "0.00001")),
    ],
)
def test_numbers_are_put_on_our_grids_half_to_even_and_at_least_one_step(
    price: str, quantity: str, expected: tuple[str, str]
) -> None:
    (tick,) = taken([a_trade(1, price, quantity)])

    assert (str(tick.price), str(tick.volume)) == expected


def test_a_time_may_be_in_microseconds() -> None:
    (tick,) = taken([a_trade(1, T=BEGIN_MS * 1000 + 123)])

    assert tick.time.microsecond == 123


def test_a_time_far_ahead_of_the_clock_is_not_believed_nor_what_it_would_hide() -> None:
    quotes, now = Quotes(OF, "BTCUSDT"), datetime.fromtimestamp(BEGIN_MS / 1000, UTC)
    far, hour = BEGIN_MS + 10**12, 3_600_000
    ticks = [
        quotes.take(frame, now)
        for frame in map(
            decode,
            [a_trade(10**9, T=far), a_trade(2, T=BEGIN_MS + hour), a_trade(3, T=BEGIN_MS + hour)],
        )
        if isinstance(frame, Print)
    ]

    found = [(tick.time - now).total_seconds() for tick in ticks if tick is not None]
    assert found == [0, 3600, 3600]


def test_a_trade_that_comes_again_is_left_out_whatever_its_time() -> None:
    quotes, now = Quotes(OF, "BTCUSDT"), datetime.fromtimestamp(BEGIN_MS / 1000, UTC)
    frame = decode(a_trade(7, T=BEGIN_MS + 10**12))
    assert isinstance(frame, Print)

    assert quotes.take(frame, now) is not None
    assert quotes.take(frame, now + timedelta(seconds=1)) is None
    assert (quotes.made, quotes.repeated) == (1, 1)


def test_a_candle_makes_a_tick_whenever_its_volume_has_grown() -> None:
    frames = [
        a_kline("70400", "1.0", at_ms=100),
        a_kline("70400", "1.0", at_ms=200),
        a_kline("70410", "1.5", at_ms=300),
        a_kline("70390", "0.2", minute=1, at_ms=100),
        a_kline("70300", "9.0", at_ms=400),
        a_kline("70380", "0.0", minute=2, at_ms=0),
    ]

    ticks = taken(frames, of_trades=False)

    assert [(str(tick.price), str(tick.volume)) for tick in ticks] == [
        ("70400", "1.00000"),
        ("70410", "0.50000"),
        ("70390", "0.20000"),
    ]


def test_where_there_are_trades_candles_make_no_ticks() -> None:
    assert len(taken([a_trade(1), a_kline("70400", "1.0"), a_trade(2)])) == 2


def test_missing_numbers_are_counted_and_repeated_trades_left_out() -> None:
    quotes = Quotes(OF, "BTCUSDT")
    gaps = []
    for trade_id in (10, 11, 15, 14, 15, 16):
        frame = decode(a_trade(trade_id))
        assert isinstance(frame, Print)
        quotes.take(frame)
        gaps.append(quotes.gap)

    assert gaps == [0, 0, 3, 0, 0, 0]
    assert (quotes.missed, quotes.repeated, quotes.made) == (3, 2, 4)


def test_a_server_that_numbers_anew_is_followed() -> None:
    frames = [a_trade(1000), a_trade(1, T=BEGIN_MS + 5000), a_trade(2, T=BEGIN_MS + 5001)]

    assert len(taken(frames)) == 3


def test_the_time_of_ticks_never_goes_back() -> None:
    ticks = taken([a_trade(1, T=BEGIN_MS + 900), a_trade(2, T=BEGIN_MS + 100)])

    assert ticks[0].time == ticks[1].time


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "42", "{", '"trade"', "{}", '{"e":"trade"}', '{"e":"depthUpdate"}',
        '{"data":{}}', '{"e":"trade","s":"BTCUSDT","t":"x","p":"1","q":"1","T":1}',
        "\ud800", a_trade(1).replace("70400.00", "cheap"),
    ],
)  # fmt: skip
def test_what_is_no_frame_of_theirs_is_an_error_of_ours(text: str) -> None:
    with pytest.raises(FrameError):
        decode(text)


def test_binary_frames_are_none_of_theirs() -> None:
    with pytest.raises(FrameError):
        decode(a_trade(1).encode())


MEMBERS = st.sampled_from(["e", "s", "t", "p", "q", "T", "k", "data", "event", "error", "result"])
LEAVES = st.none() | st.text() | st.integers() | st.sampled_from(["trade", "kline", "BTCUSDT"])
OBJECTS = st.recursive(LEAVES, lambda inner: st.dictionaries(MEMBERS, inner), max_leaves=12)


@given(st.text(max_size=40) | OBJECTS.map(json.dumps))
def test_whatever_comes_only_frames_and_errors_come_out(text: str) -> None:
    try:
        frame = decode(text)
        if isinstance(frame, Print | Kline):
            Quotes(OF, "BTCUSDT").take(frame)
    except MarketError:
        pass


@pytest.mark.parametrize(
    "wrong",
    [{"p": "NaN"}, {"p": "-1"}, {"p": "0"}, {"q": "Infinity"}, {"q": "1e40"}, {"s": "ETHUSDT"},
     {"T": 10**30}, {"T": 10**18}, {"T": -1}],
)  # fmt: skip
def test_a_trade_that_cannot_be_makes_no_tick(wrong: dict[str, Any]) -> None:
    with pytest.raises(FrameError):
        taken([a_trade(1, **wrong)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SHUTDOWN, Closing()),
        (json.dumps({"event": json.loads(SHUTDOWN)}), Closing()),
        (combined("x", SHUTDOWN), Closing()),
        ('{"result":null,"id":1}', Reply()),
        ('{"code":2,"msg":"Invalid request"}', Reply("2 Invalid request")),
        ('{"error":{"code":-1,"msg":"no"},"id":1}', Reply('{"code":-1,"msg":"no"}')),
    ],
)
def test_frames_about_the_connection_are_understood(text: str, expected: object) -> None:
    assert decode(text) == expected


# -- the connection ----------------------------------------------------------------------------


async def test_ticks_come_as_the_server_sends_them(market: Market) -> None:
    async with (
        binance(sends(a_trade(n) for n in range(1, 51))) as server,
        reading(settings(market, server.url)) as read,
    ):
        assert await read.until(50) == list(range(1, 51))
        assert read.feed.is_live

    assert server.paths == ["/ws/btcusdt@trade"]
    assert server.keys == [None]


async def test_several_streams_are_one_combined_stream(market: Market) -> None:
    frames = [combined("btcusdt@kline_1m", a_kline("1", "1")), combined("x", a_trade(7))]
    async with (
        binance(sends(frames)) as server,
        reading(settings(market, server.url, streams=("trade", "kline_1m"))) as read,
    ):
        assert await read.until(1) == [7]

    assert server.paths == ["/stream?streams=btcusdt@trade/btcusdt@kline_1m"]


async def test_a_key_is_sent_only_if_there_is_one(market: Market) -> None:
    async with (
        binance(sends([a_trade(1)])) as server,
        reading(settings(market, server.url, api_key="secret")) as read,
    ):
        await read.until(1)

    assert server.keys == ["secret"]


async def test_a_line_that_is_cut_is_made_again_and_what_was_missed_is_told(
    market: Market,
) -> None:
    with capture_logs() as logs:
        async with (
            binance(
                sends([a_trade(1), a_trade(2)], cuts), sends([a_trade(2), a_trade(9)])
            ) as server,
            reading(settings(market, server.url)) as read,
        ):
            assert await read.until(3) == [1, 2, 9]

    assert (read.feed.connections, read.feed.quotes.missed, read.feed.quotes.repeated) == (2, 6, 1)
    told = {log["event"]: log for log in logs}
    assert told["trades_missed"]["missing"] == 6
    assert "feed_lost" in told


async def test_a_server_that_will_shut_down_is_left_at_once(market: Market) -> None:
    async with (
        binance(sends([a_trade(1), SHUTDOWN]), sends([a_trade(2)])) as server,
        reading(settings(market, server.url)) as read,
    ):
        assert await read.until(2) == [1, 2]

    assert len(server.paths) == 2


async def test_the_connection_is_changed_before_its_day_is_over(market: Market) -> None:
    async with (
        binance(sends([a_trade(1)]), sends([a_trade(2)])) as server,
        reading(settings(market, server.url, life_s=2.0)) as read,
    ):
        assert (await read.until(2))[:2] == [1, 2]


async def test_a_silent_symbol_is_asked_for_again_and_then_connected_to_again(
    market: Market,
) -> None:
    async def pings(connection: ServerConnection) -> None:
        while True:  # the line is alive; only the symbol is not
            await connection.ping()
            await asyncio.sleep(0.005)

    with capture_logs() as logs:
        async with (
            binance(sends([a_trade(1)], pings), sends([a_trade(2)])) as server,
            reading(settings(market, server.url, stall_s=1.0)) as read,
        ):
            await read.until(1)
            await eventually(lambda: bool(server.requests))
            assert not read.feed.is_live
            assert (await read.until(2))[:2] == [1, 2]

    assert server.requests[0] == {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1}
    assert {"feed_stalled", "feed_lost"} <= {log["event"] for log in logs}


async def test_a_symbol_that_only_needed_to_be_asked_for_again_keeps_its_line(
    market: Market,
) -> None:
    async def answers(connection: ServerConnection) -> None:
        await eventually(lambda: bool(server.requests))
        await connection.send('{"result":null,"id":1}')
        for n in range(2, 200):
            await connection.send(a_trade(n))
            await asyncio.sleep(0.04)

    async with (
        binance(sends([a_trade(1)], answers)) as server,
        reading(settings(market, server.url, stall_s=1.0)) as read,
    ):
        await read.until(70)

    assert read.feed.connections == 1


async def test_servers_pings_are_answered(market: Market) -> None:
    answered = asyncio.Event()

    async def pings(connection: ServerConnection) -> None:
        await (await connection.ping())
        answered.set()
        await stays(connection)

    async with binance(pings) as server, reading(settings(market, server.url)):
        await asyncio.wait_for(answered.wait(), PATIENCE_S)


async def test_garbage_is_counted_and_passed_over(market: Market) -> None:
    garbage: list[str | bytes] = [
        "",
        "null",
        "{",
        b"\x00\xff",
        a_trade(1, s="ETHUSDT"),
        a_trade(1, p="NaN"),
        "[" * 9,
    ]
    with capture_logs() as logs:
        async with (
            binance(sends([*garbage, *["x"] * 100, a_trade(5)])) as server,
            reading(settings(market, server.url)) as read,
        ):
            assert await read.until(1) == [5]

    assert read.feed.garbled == len(garbage) + 100
    assert read.feed.connections == 1
    assert sum(log["event"] == "frame_garbled" for log in logs) < 20


async def test_a_frame_out_of_all_size_ends_the_connection_and_nothing_else(
    market: Market,
) -> None:
    async with (
        binance(sends([a_trade(1), "x" * 2**20]), sends([a_trade(2)])) as server,
        reading(settings(market, server.url)) as read,
    ):
        assert await read.until(2) == [1, 2]


async def test_a_server_that_refuses_is_asked_again_when_it_says(market: Market) -> None:
    refusals = [HTTPStatus.TOO_MANY_REQUESTS]

    def refuse(connection: ServerConnection, _: Any) -> Any:
        if refusals:
            response = connection.respond(refusals.pop(), "slowly")
            response.headers["Retry-After"] = "1"
            return response
        return None

    began = asyncio.get_running_loop().time()
    with capture_logs() as logs:
        async with (
            binance(sends([a_trade(1)]), process_request=refuse) as server,
            reading(settings(market, server.url)) as read,
        ):
            await read.until(1)

    assert asyncio.get_running_loop().time() - began >= 1
    assert logs[0]["reason"] == "refused with 429"


async def test_a_server_that_is_not_there_is_tried_ever_more_slowly(market: Market) -> None:
    feed = BinanceFeed(settings(market, "ws://127.0.0.1:9", retry_s=(1.0, 30.0)), Random(1))
    waits = []
    for failures in range(12):
        feed._failures = failures
        waits.append([feed._wait_s() for _ in range(50)])

    assert all(0.5 * 2**n <= min(some) < max(some) <= 2**n for n, some in enumerate(waits[:5]))
    assert all(15 <= min(some) < max(some) <= 30 for some in waits[5:])


# -- the source --------------------------------------------------------------------------------


async def test_the_real_market_is_a_source_like_any_other(market: Market) -> None:
    async with binance(sends([a_trade(n) for n in range(1, 21)])) as server:
        source = RealSource(settings(market, server.url), lambda: None)
        app = create_app(source, source.feed._settings.source.stream)
        async with (
            serving(app, ServerSettings(farewell_s=0.05)) as base,
            a_client() as client,
        ):
            await eventually(lambda: source.hub.published == 20)
            last_id = f"{source.hub.epoch}-5"
            ticks = []
            async for fact in Feed(f"{base}/stream", client=client, last_id=last_id):
                if isinstance(fact, Tick):
                    ticks.append(fact.seq)
                if len(ticks) == 15:
                    break
            health = await client.get(f"{base}/health")

    assert ticks == list(range(6, 21))
    assert health.status_code == 200
    assert health.json() == {
        "status": "up", "symbol": "BTC", "process": "binance", "ticks": 20, "connections": 1,
        "stalls": 0, "garbled": 0, "missed_trades": 0, "repeated_trades": 0,
    }  # fmt: skip


async def test_a_real_market_that_is_not_heard_is_down(market: Market) -> None:
    source = real(settings(market, "ws://127.0.0.1:9"))
    app = create_app(source, settings(market, "ws://127.0.0.1:9").source.stream)
    async with (
        serving(app, ServerSettings(farewell_s=0.05)) as base,
        a_client() as client,
    ):
        health = await client.get(f"{base}/health")

    assert (health.status_code, health.json()["status"]) == (503, "down")


# -- settings ----------------------------------------------------------------------------------


def test_nothing_is_reached_unless_the_settings_say_so(
    market: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["BTC"], market(BTC_PROCESS="binance")) == 2
    assert "BINANCE_WS_URL" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BINANCE_WS_URL", "https://stream.binance.com"),
        ("BINANCE_WS_URL", "stream.binance.com:9443"),
        ("BTC_BINANCE_SYMBOL", "BTC/USDT"),
        ("BTC_BINANCE_STREAMS", "depth"),
        ("BTC_BINANCE_STREAMS", "trade,trade"),
        ("BINANCE_STALL_S", "0"),
    ],
)
def test_a_setting_that_will_not_do_is_named(market: Market, name: str, value: str) -> None:
    given = {"BTC_PROCESS": "binance", "BINANCE_WS_URL": "ws://127.0.0.1:1", name: value}
    with pytest.raises(SettingsError, match=name):
        BinanceSettings.from_env(market(**{"BINANCE_STALL_S": "30"} | given), BTC)


def test_the_symbol_there_is_ours_and_the_quote_unless_given(market: Market) -> None:
    url = "ws://127.0.0.1:1/ws/"

    assert settings(market, url).address == "ws://127.0.0.1:1/ws/btcusdt@trade"
    assert settings(market, url, name="ETHBTC").address == "ws://127.0.0.1:1/ws/ethbtc@trade"


def test_a_real_market_is_not_drawn_from_a_seed(market: Market) -> None:
    with pytest.raises(SettingsError, match="BTC_PROCESS"):
        Settings.from_env(market(BTC_PROCESS="binance"), BTC)
