"""What the broadcast adds: shared bytes, slow readers that cost nobody, nothing left behind."""

import asyncio
import gc
import socket
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvloop

from market.batch import KEPT_BYTES
from market.broadcast import Broadcast, Outlet
from market.connection import Connection
from market.hub import Hub
from market.server import ServerSettings
from market.spool import LENT_BYTES, Spool
from market.streaming import StreamSettings
from tests.builders import EPOCH, Market, a_hub, a_trade
from tests.stopwatch import Stopwatch
from tests.streams import (
    PATIENCE_S,
    Block,
    Served,
    answer,
    asked,
    connected,
    eventually,
    request,
    served,
)

PATIENT = StreamSettings(send_timeout_s=60)


@asynccontextmanager
async def sleeping(url: str) -> AsyncIterator[socket.socket]:
    """Ask for a stream and never read it, as a client with a small buffer does."""
    parts, loop = urlsplit(url), asyncio.get_running_loop()
    sleeper = socket.socket()
    sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    sleeper.setblocking(False)
    try:
        await loop.sock_connect(sleeper, (parts.hostname, parts.port))
        await loop.sock_sendall(sleeper, request(url))
        yield sleeper
    finally:
        sleeper.close()


def endpoint(on: Served) -> Broadcast:
    assert isinstance(on.endpoint, Broadcast)
    return on.endpoint


def is_tick(n: int) -> Callable[[Block], bool]:
    return lambda block: block.event == "tick" and block.n == n


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def publish(market: Market, count: int, burst: int = 200) -> None:
    for _ in range(count // burst):
        market.run(burst)
        await asyncio.sleep(0)


def test_readers_at_one_place_with_one_filter_are_handed_the_very_same_chunk() -> None:
    hub = a_hub()
    readers = [hub.reader(hub.filter(), f"{EPOCH}-0") for _ in range(3)]
    hub.ring.keep(("tick", "BTC"), b"id: 1\nevent: tick\ndata: {}\n\n")
    for reader in readers:
        reader.take()

    first, second, third = (reader.take_batch().chunk for reader in readers)

    assert first is second is third
    assert first.endswith(b"data: {}\n\n\r\n")


@pytest.mark.parametrize("count", [1, 100, 512, 513, 1500])
async def test_a_burst_is_one_write(count: int) -> None:
    hub = a_hub(history=10_000)
    async with served(hub) as on, asked(on.url()) as one:
        await one.chunk()
        Market(hub).run(count)
        chunk = await one.chunk()

    assert chunk.count(b"event: tick\n") == count


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_readers_that_are_lent_the_same_bytes_get_each_event_once_however_they_keep_up(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def read() -> list[list[int]]:
        hub = a_hub(history=100_000)
        async with served(hub, settings=PATIENT) as on, AsyncExitStack() as held:
            answers = [await held.enter_async_context(asked(on.url())) for _ in range(6)]
            await eventually(lambda: len(endpoint(on)._outlets) == 6)
            await publish(Market(hub), 24_000, burst=600)
            # those that come last have been slow for long
            read = [await one.until(is_tick(24_000)) for one in answers]
            assert endpoint(on)._spool.lent > 0
        return [[block.n for block in blocks if block.event == "tick"] for blocks in read]

    with asyncio.Runner(loop_factory=loop) as runner:
        got = runner.run(read())

    assert got == [[*range(1, 24_001)]] * 6


@asynccontextmanager
async def outlet_of(hub: Hub) -> AsyncIterator[tuple[Outlet, asyncio.StreamReader]]:
    """Give the outlet of a reader, and what its client gets."""
    made = asyncio.get_running_loop().create_future()

    class Line(Connection):
        def __init__(self) -> None:
            """It is asked for nothing."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            self.transport = transport
            made.set_result(self)

        def connection_lost(self, exc: Exception | None) -> None:
            """Nobody waits for it."""

    server = await asyncio.get_running_loop().create_server(Line, "127.0.0.1", 0)
    async with server:
        client, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        yield Outlet(hub.reader(hub.filter()), await made), client
        writer.close()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_is_lent_follows_what_was_written_and_goes_to_nobody_who_has_left(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    data, spool = b"a" * LENT_BYTES.start, Spool()
    spool.send(data, -1)  # the first who gets them takes none

    async def write() -> tuple[bytes, int, int]:
        async with outlet_of(a_hub()) as (outlet, client):
            outlet.write(b"head")
            outlet.send(data, spool)
            first = await client.readexactly(4 + len(data))
            outlet.send(data, spool)
            lent = spool.lent
            await client.readexactly(len(data))
            outlet.transport.abort()
            outlet.send(data, spool)
            return first, lent, spool.lent

    with asyncio.Runner(loop_factory=loop) as runner, closing(spool):
        first, before, after = runner.run(write())

    assert first == b"head" + data
    assert after == before >= len(data)


async def test_a_burst_that_is_longer_than_the_history_is_told_as_a_gap() -> None:
    hub = a_hub(history=20)
    async with served(hub) as on, asked(on.url()) as one:
        await one.chunk()
        Market(hub).run(100)
        blocks = await one.until(lambda block: block.event == "snapshot")

    assert blocks[-2].data["reason"] == "slow"
    assert (blocks[-2].data["missed"], blocks[-1].n) == (100, 100)


@pytest.mark.no_cover
async def test_a_reader_that_never_reads_costs_less_than_a_mebibyte_and_nobody_a_moment() -> None:
    hub = a_hub(history=2000)
    market, waits = Market(hub), list[float]()
    async with (
        served(hub, settings=PATIENT) as on,
        sleeping(on.url()),
        asked(on.url()) as awake,
    ):
        await awake.chunk()
        await publish(market, 2000)
        await awake.until(is_tick(2000))
        gc.collect()
        tracemalloc.start()
        for _ in range(25):
            await publish(market, 400)
            sent, head = Stopwatch(), hub.head
            await awake.until(is_tick(head))
            waits.append(sent.read())
        market.ticks.clear()
        awake.chunks.clear()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        blocked = [o for o in endpoint(on)._outlets if o.blocked_since is not None]
        buffered = blocked[0].connection.transport.get_write_buffer_size()

    assert len(blocked) == 1
    assert buffered < 512 * 1024
    assert grown < 2**20
    assert min(waits) < 0.2, "it would cost a moment each time"


async def test_a_hundred_readers_that_never_read_leave_the_others_alone() -> None:
    hub = a_hub(history=100_000)
    market = Market(hub)
    async with served(hub, settings=PATIENT) as on, AsyncExitStack() as sleepers:
        for _ in range(100):
            await sleepers.enter_async_context(sleeping(on.url()))
        async with asked(on.url()) as awake:
            await awake.chunk()
            await publish(market, 20_000)
            blocks = await awake.until(is_tick(20_000))
        outlets = endpoint(on)._outlets
        buffered = [o.connection.transport.get_write_buffer_size() for o in outlets]

    assert [block.n for block in blocks if block.event == "tick"] == list(range(1, 20_001))
    assert max(buffered) < 512 * 1024


async def test_a_slow_reader_that_comes_back_is_told_what_it_missed_and_goes_on() -> None:
    hub = a_hub(history=1000)
    market = Market(hub)
    async with served(hub, settings=PATIENT) as on, sleeping(on.url()) as sleeper:
        await eventually(lambda: bool(endpoint(on)._outlets))
        await publish(market, 20_000)
        reader, writer = await asyncio.open_connection(sock=sleeper)
        slow = await answer(reader, writer)
        blocks = await slow.until(lambda block: block.event == "snapshot" and block.n > 0)
        market.run(1)
        after = await slow.until(lambda block: block.event == "tick")
        writer.transport.abort()

    ticks = [block.n for block in blocks if block.event == "tick"]
    gap = blocks[-2].data
    assert gap["reason"] == "slow"
    assert gap["from"] == f"{EPOCH}-{ticks[-1]}"
    assert gap["missed"] == 20_000 - ticks[-1]
    assert ticks == list(range(1, ticks[-1] + 1))
    assert blocks[-1].id == gap["to"] == f"{EPOCH}-20000"
    assert [block.n for block in after] == [20_001]


async def test_a_slow_reader_is_warned_before_it_loses_anything() -> None:
    hub = a_hub(history=30_000)
    market = Market(hub)
    async with served(hub, settings=PATIENT) as on, sleeping(on.url()) as sleeper:
        await eventually(lambda: bool(endpoint(on)._outlets))
        await publish(market, 28_000)
        reader, writer = await asyncio.open_connection(sock=sleeper)
        slow = await answer(reader, writer)
        blocks = await slow.until(is_tick(28_000))
        writer.transport.abort()

    events = [block.event for block in blocks if block.event]
    assert events.count("lagging") == 1
    assert "gap" not in events
    assert next(block for block in blocks if block.event == "lagging").data["limit"] == 30_000


async def test_a_reader_that_takes_nothing_is_evicted_after_the_send_timeout() -> None:
    hub = a_hub(history=100_000)
    quick = StreamSettings(send_timeout_s=0.2)
    async with served(hub, settings=quick) as on, sleeping(on.url()):
        await eventually(lambda: bool(endpoint(on)._outlets))
        await publish(Market(hub), 20_000)
        await eventually(lambda: not endpoint(on)._outlets)

    assert endpoint(on).admission.evicted == 1


async def test_a_reader_that_takes_a_byte_now_and_then_is_evicted_too() -> None:
    hub, loop = a_hub(history=100_000), asyncio.get_running_loop()
    quick = StreamSettings(send_timeout_s=0.2)
    async with served(hub, settings=quick) as on, sleeping(on.url()) as sleeper:
        await eventually(lambda: bool(endpoint(on)._outlets))
        await publish(Market(hub), 20_000)
        async with asyncio.timeout(20):
            while endpoint(on)._outlets:
                with suppress(ConnectionError):
                    await loop.sock_recv(sleeper, 1)
                await asyncio.sleep(0.01)

    assert endpoint(on).admission.evicted == 1


async def test_stuck_readers_do_not_hold_the_shutdown_up() -> None:
    hub, server = a_hub(history=100_000), ServerSettings(farewell_s=1)
    async with AsyncExitStack() as sleepers:
        async with served(hub, settings=PATIENT, server=server) as on:
            for _ in range(20):
                await sleepers.enter_async_context(sleeping(on.url()))
            await eventually(lambda: len(endpoint(on)._outlets) == 20)
            await publish(Market(hub), 20_000)
            ending = Stopwatch()
        lasted_s = ending.read()

    assert lasted_s < 2


async def test_a_thousand_windows_leave_no_group_behind() -> None:
    async with served(a_hub()) as on:
        for window in range(100, 160):
            async with asked(on.url(f"conflate={window}")) as one:
                await one.chunk()
        await eventually(lambda: not on.endpoint.admission.open)

        assert not endpoint(on)._conflated
        assert not endpoint(on)._timers


@pytest.mark.no_cover
async def test_a_thousand_readers_that_come_and_go_leave_nothing_behind() -> None:
    hub = a_hub()
    async with served(hub) as on:
        async with asked(on.url()) as one:
            await one.chunk()
        await eventually(lambda: not on.endpoint.admission.open)
        files, tasks = open_files(), len(asyncio.all_tasks())

        async def come_and_go() -> None:
            for _ in range(50):
                async with asked(on.url()) as one:
                    await one.chunk()
                    hub.publish(a_trade())

        await asyncio.gather(*(come_and_go() for _ in range(20)))
        await eventually(lambda: not on.endpoint.admission.open)
        await eventually(lambda: open_files() <= files)
        await eventually(lambda: len(asyncio.all_tasks()) <= tasks)

        assert not endpoint(on)._outlets
        assert not endpoint(on)._timers
        assert len(hub._listeners) == 1


async def test_a_request_behind_a_stream_is_not_answered_and_leaves_nothing_behind() -> None:
    async with served(a_hub()) as on:  # whose next heartbeat is far away
        async with connected(on.url()) as (reader, writer):
            writer.write(request(on.url()) * 3)
            await (await answer(reader, writer)).chunk()
        await eventually(lambda: not on.endpoint.admission.open)

        assert not endpoint(on)._outlets
        assert len([t for t in asyncio.all_tasks() if "run_asgi" in repr(t)]) == 0


async def test_garbage_behind_a_stream_ends_it() -> None:
    async with served(a_hub()) as on:
        async with connected(on.url()) as (reader, writer):
            writer.write(request(on.url()))
            await (await answer(reader, writer)).chunk()
            writer.write(b"\x00\xff garbage\r\n\r\n")
            await asyncio.wait_for(reader.read(), PATIENCE_S)
        await eventually(lambda: not on.endpoint.admission.open)


async def test_a_reader_is_written_to_no_more_once_its_connection_is_lost() -> None:
    async with served(a_hub()) as on, asked(on.url()) as one:
        await one.chunk()
        (outlet,) = endpoint(on)._outlets

        outlet.connection.connection_lost(None)

        assert not endpoint(on)._outlets
        outlet.connection.transport.abort()


def test_readers_that_are_cut_off_cost_the_others_nothing_on_uvloop() -> None:
    problems: list[dict[str, object]] = []

    async def cut_off_and_read_on() -> list[int]:
        asyncio.get_running_loop().set_exception_handler(lambda _, of: problems.append(of))
        hub = a_hub(history=100_000)
        market = Market(hub)
        async with served(hub) as on, asked(on.url()) as one:
            await one.chunk()

            async def come_and_go() -> None:
                for _ in range(25):
                    async with asked(on.url()) as other:
                        await other.chunk()

            leaving = asyncio.gather(*(come_and_go() for _ in range(20)))
            while not leaving.done():
                await publish(market, 10, burst=10)
            blocks = await one.until(is_tick(hub.head))
        return [block.n for block in blocks if block.event == "tick"]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        got = runner.run(cut_off_and_read_on())

    assert not problems
    assert got == [*range(1, len(got) + 1)]


def test_readers_that_lag_at_many_places_share_a_bounded_number_of_blocks() -> None:
    hub = a_hub(history=60_000)
    Market(hub).run(50_000)

    for n in range(0, 49_000, 300):
        hub.reader(hub.filter(), f"{EPOCH}-{n}").take()
        reader = hub.reader(hub.filter(), f"{EPOCH}-{n}")
        reader.take()
        assert reader.take_batch().chunk.endswith(b"\n\n\r\n")

    kept = sum(len(batch.data) + len(batch.chunk) for batch in hub._batches._blocks.values())
    assert KEPT_BYTES / 2 < kept <= KEPT_BYTES
