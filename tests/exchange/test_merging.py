import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from market.events import State
from tests.exchange.markets import BTC, META, NOON, TCS, Market, Source, a_market
from tests.streams import asked, eventually, raw_server

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def a_frame(symbol: str, seq: int, price: str = "33.95", more: str = "") -> bytes:
    time = f"2026-01-02T12:00:{seq % 60:02d}Z"
    data = f'{{"symbol":"{symbol}","price":{price},"volume":1,"time":"{time}","seq":{seq}{more}}}'
    return f"id: 0000000b-{seq}\nevent: tick\ndata: {data}\n\n".encode()


async def heard(market: Market, *symbols: str) -> None:
    """Assert that these sources are still heard and merged, whatever the others do."""
    for symbol in symbols:
        of = market.exchange.merging.sources[symbol]  # type: ignore[index]
        before = of.ticks
        market.sources[symbol].tick()  # type: ignore[index]
        await eventually(lambda of=of, before=before: of.ticks > before)  # type: ignore[misc]


async def until_state(market: Market, symbol: str, state: State) -> None:
    of = market.exchange.merging.sources[symbol]  # type: ignore[index]
    await eventually(lambda: of.state is state)


async def test_a_source_that_dies_is_down_and_up_again_and_the_others_never_notice(
    tmp_path: Path,
) -> None:
    async with a_market(tmp_path) as market, asked(f"{market.base}/stream?events=source") as told:
        await market.sources[TCS].go_off_air()
        await until_state(market, TCS, State.DOWN)
        health = await market.get("/health")
        await heard(market, BTC, META)
        await market.sources[TCS].go_on_air()
        await eventually(lambda: market.exchange.merging.sources[TCS].connected_at is not None)
        market.sources[TCS].tick()
        await until_state(market, TCS, State.UP)
        blocks = await told.until(lambda b: b.event == "source" and b.data["state"] == "up")
        well = await market.get("/health")

    states = [(b.data["symbol"], b.data["state"]) for b in blocks if b.event == "source"]
    assert states == [("TCS", "down"), ("TCS", "up")]
    assert health.status_code == 503
    assert health.json()["status"] == "down"
    assert health.json()["sources"] == {"BTC": "up", "TCS": "down", "META": "up"}
    assert well.status_code == 200


async def test_a_source_that_stalls_is_stale_and_up_with_its_next_tick(tmp_path: Path) -> None:
    async with (
        a_market(tmp_path, TCS, stale_after_s=1.0) as market,
        asked(f"{market.base}/stream?events=source") as told,
    ):
        await told.until(lambda b: b.event == "source" and b.data["state"] == "stale")
        health = await market.get("/health")
        market.sources[TCS].tick()
        await told.until(lambda b: b.event == "source" and b.data["state"] == "up")
    assert health.status_code == 503


async def test_the_stream_is_dense_in_ids_and_in_seq_per_symbol(tmp_path: Path) -> None:
    url = "/stream?events=tick,source,book,trade,trading_state"
    async with a_market(tmp_path) as market, asked(market.base + url) as told:
        for n in range(300):
            market.sources[(BTC, TCS, META)[n % 3]].tick()
            if n % 7 == 0:
                await asyncio.sleep(0)
        blocks = await told.until(
            lambda b: b.event == "tick" and b.data["symbol"] == "META" and b.data["seq"] == 101
        )
    events = [block for block in blocks if block.id and block.event != "snapshot"]
    assert [block.n for block in events] == [*range(events[0].n, events[0].n + len(events))]
    for symbol in (BTC, TCS, META):
        seqs = [b.data["seq"] for b in events if b.event == "tick" and b.data["symbol"] == symbol]
        assert seqs == [*range(2, len(seqs) + 2)]


LIES: dict[str, Callable[[Source], object]] = {
    "another symbol": lambda of: of.tick(symbol="BTC"),
    "no symbol at all": lambda of: of.tick(symbol="x" * 500),
    "a seq out of all reason": lambda of: of.tick(seq=10**40),
    "a seq of zero": lambda of: of.tick(seq=0),
    "a price off the grid": lambda of: of.tick("33.955"),
    "a negative price": lambda of: of.tick("-33.95"),
    "a price of zero": lambda of: of.tick("0"),
    "a price out of all reason": lambda of: of.tick("1e400"),
    "no volume": lambda of: of.tick(volume=Decimal(0)),
    "a volume off the grid": lambda of: of.tick(volume=Decimal("0.5")),
    "a time without a zone": lambda of: of.tick(time=NOON.replace(tzinfo=None)),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_source_that_lies_is_not_believed(tmp_path: Path, lie: str) -> None:
    async with a_market(tmp_path, TCS) as market:
        of = market.exchange.merging.sources[TCS]
        with capture_logs() as logs:
            LIES[lie](market.sources[TCS])
            await eventually(lambda: of.faults == 1)
            market.sources[TCS].tick("34.00")
            await eventually(lambda: of.ticks == 2)
        answer = await market.get("/ticks?symbol=TCS")
    assert [tick["price"] for tick in answer.json()] == [34, 33.95]
    assert [tick["seq"] for tick in answer.json()] == [2, 1]
    warned = [log["event"] for log in logs if log["log_level"] == "warning"]
    assert warned in (["source_lies"], ["source_lies", "ticks_lost"])


GARBAGE = {
    "truncated json": b'event: tick\ndata: {"symbol":"TCS","pri\n\n',
    "not json": b"event: tick\ndata: \xff\xfe\x00\n\n",
    "other types": b'event: tick\ndata: {"symbol":1,"price":"x","volume":[],"seq":"a"}\n\n',
    "nan": a_frame("TCS", 1, "NaN"),
    "a list": b"event: tick\ndata: [1,2,3]\n\n",
    "a deep nest": b"event: tick\ndata: " + b"[" * 5000 + b"\n\n",
    "a wild gap": b'event: gap\ndata: {"from":"x","to":"y","missed":-1,"reason":""}\n\n',
    "a huge seq": a_frame("TCS", 1).replace(b'"seq":1', b'"seq":' + b"9" * 40),
}


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_garbage_from_a_source_is_passed_over(tmp_path: Path, garbage: str) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + GARBAGE[garbage] + a_frame("TCS", 1))
        await asyncio.sleep(60)

    async with raw_server(talk) as url:
        sources = {TCS: _at(TCS, url)}
        async with a_market(tmp_path, sources=sources, opened=False) as market:
            of = market.exchange.merging.sources[TCS]
            await eventually(lambda: of.ticks == 1)
            assert of.faults == 1
            assert of.state is State.UP


REFUSALS = {
    "the wrong type": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n",
    "404": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "no http": b"SSH-2.0-OpenSSH\r\n\r\n",
    "a huge frame": HEAD + b"event: tick\ndata: " + b"x" * (9 * 1024 * 1024),
    "a redirect for ever": b"HTTP/1.1 302 Found\r\nLocation: /stream\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_source_that_gives_no_stream_is_down_and_disturbs_no_other(
    tmp_path: Path, refusal: str
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(REFUSALS[refusal])
        await writer.drain()

    async with Source(BTC) as good:
        with capture_logs() as logs:
            async with raw_server(talk) as url:
                sources = {BTC: good, TCS: _at(TCS, url)}
                async with a_market(tmp_path, sources=sources, opened=False) as market:
                    await eventually(
                        lambda: market.exchange.merging.sources[BTC].connected_at is not None
                    )
                    await heard(market, BTC)
                    assert (await market.get("/health")).status_code == 503
                    assert (await market.get("/market-data/TCS")).status_code == 404
    assert not [log for log in logs if log["log_level"] in ("error", "critical")]


async def test_a_restart_of_the_exchange_misses_no_tick_of_a_source(tmp_path: Path) -> None:
    async with Source(TCS) as source:
        async with a_market(tmp_path, sources={TCS: source}) as market:
            for n in range(20):
                source.tick(f"34.{n:02d}")
            await eventually(lambda: market.exchange.merging.sources[TCS].ticks == 21)
        for n in range(20):  # nobody listens
            source.tick(f"35.{n:02d}")
        async with a_market(tmp_path, sources={TCS: source}, opened=False) as market:
            await eventually(lambda: market.exchange.merging.sources[TCS].ticks == 20)
            ticks = (await market.get("/ticks?symbol=TCS")).json()
            assert market.exchange.merging.sources[TCS].faults == 0
    assert [tick["seq"] for tick in ticks] == [*range(41, 0, -1)]
    assert [tick["price"] for tick in ticks[:20]] == [
        float(f"35.{n:02d}") for n in range(19, -1, -1)
    ]


async def test_a_reader_that_resumes_after_a_restart_hears_that_a_source_is_down(
    tmp_path: Path,
) -> None:
    async with Source(TCS) as source:
        async with a_market(tmp_path, sources={TCS: source}) as market:
            head = market.exchange.market.hub.id
        await source.go_off_air()
        async with (
            a_market(tmp_path, sources={TCS: source}, opened=False) as market,
            asked(f"{market.base}/stream", headers={"Last-Event-ID": head}) as told,
        ):
            blocks = await told.until(lambda b: b.event == "source")
        assert blocks[-1].data["state"] == "down"


async def test_a_new_process_of_a_source_is_taken_up_where_it_begins(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        of, source = market.exchange.merging.sources[TCS], market.sources[TCS]
        for _ in range(5):
            source.tick()
        await eventually(lambda: of.ticks == 6)
        await source.go_off_air()
        await source.go_on_air(epoch="0000000c")
        await eventually(lambda: of.connected_at is not None)
        source.tick()
        await eventually(lambda: of.ticks == 7)
        assert of.tick is not None
        assert of.tick.seq == 7
        assert of.lost_ticks == 0


async def test_ticks_that_a_source_numbered_and_never_sent_are_counted(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        of = market.exchange.merging.sources[TCS]
        market.sources[TCS].tick(seq=5)
        await eventually(lambda: of.ticks == 2)
        assert of.lost_ticks == 3


async def test_a_time_of_another_zone_is_told_in_utc(tmp_path: Path) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + a_frame("TCS", 1).replace(b"12:00:01Z", b"12:00:01.5+03:00"))
        await asyncio.sleep(60)

    async with (
        raw_server(talk) as url,
        a_market(tmp_path, sources={TCS: _at(TCS, url)}, opened=False) as market,
    ):
        await eventually(lambda: market.exchange.merging.sources[TCS].ticks == 1)
        tick = (await market.get("/market-data/TCS")).json()
    assert tick["time"] == "2026-01-02T09:00:01.500000Z"


def _at(symbol: str, base: str) -> Source:
    source = Source(symbol)  # type: ignore[arg-type]
    source.url = f"{base}/stream"
    return source
