"""What the broadcast adds: shared bytes, slow readers that cost nobody, nothing left behind."""

import asyncio
import gc
import os
import socket
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvloop

from market.batch import KEPT_BYTES
from market.broadcast import MANY, Broadcast, Outlet
from market.connection import Connection
from market.filter import Filter
from market.hub import Hub
from market.server import ServerSettings
from market.spool import MOST_FILTERS, PIECE_EVENTS, Lent, Spool
from market.streaming import StreamSettings
from market.wire import chunk
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
LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])


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


def everyone(on: Served) -> list[Outlet]:
    return list(chain(*endpoint(on)._groups.values()))


def has_lent(on: Served) -> bool:
    """Tell whether what readers got was lent to them, at least now and then."""
    return any(endpoint(on)._spool._reels.values())


def ticks_of(blocks: list[Block]) -> list[int]:
    return [block.n for block in blocks if block.event == "tick"]


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
    hub.ring.extend([("tick", "BTC")], [b"id: 1\nevent: tick\ndata: {}\n\n"])
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


@LOOPS
def test_readers_that_are_lent_the_same_bytes_get_each_event_once_however_they_keep_up(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def read() -> list[list[int]]:
        hub = a_hub(history=100_000)
        async with served(hub, settings=PATIENT) as on, AsyncExitStack() as held:
            answers = [await held.enter_async_context(asked(on.url())) for _ in range(MANY)]
            slow = [await held.enter_async_context(sleeping(on.url())) for _ in range(3)]
            await eventually(lambda: len(everyone(on)) == MANY + 3)
            await publish(Market(hub), 24_000, burst=600)
            answers += [await answer(*await asyncio.open_connection(sock=one)) for one in slow]
            # those that come last have been slow for long
            read = [await one.until(is_tick(24_000)) for one in answers]
            assert has_lent(on)
            assert endpoint(on).delivered == 24_000 * (MANY + 3)
            assert endpoint(on).bytes_sent == sum(len(chunk(c)) for a in answers for c in a.chunks)
            for one in answers[MANY:]:
                one.writer.transport.abort()
        return [ticks_of(blocks) for blocks in read]

    with asyncio.Runner(loop_factory=loop) as runner:
        got = runner.run(read())

    assert got == [[*range(1, 24_001)]] * (MANY + 3)


@LOOPS
def test_whoever_is_lent_to_gets_all_that_was_published_before_the_farewell(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def read() -> list[list[Block]]:
        hub = a_hub(history=100_000)
        async with served(hub, settings=PATIENT) as on, AsyncExitStack() as held:
            sleepers = [await held.enter_async_context(sleeping(on.url())) for _ in range(MANY + 2)]
            await eventually(lambda: len(everyone(on)) == MANY + 2)
            await publish(Market(hub), 30_000, burst=1000)
            await eventually(lambda: all(o.blocked_since is not None for o in everyone(on)))
            assert has_lent(on)
            Market(hub).run(100)
            hub.close()
            answers = [await answer(*await asyncio.open_connection(sock=one)) for one in sleepers]
            read = [await one.rest() for one in answers]
            assert all(one.ended_well for one in answers)
            for one in answers:
                one.writer.transport.abort()
        return read

    with asyncio.Runner(loop_factory=loop) as runner:
        got = runner.run(read())

    assert [ticks_of(blocks) for blocks in got] == [[*range(1, 30_101)]] * (MANY + 2)
    assert all(blocks[-1].event == "shutdown" for blocks in got)


async def test_those_who_are_lent_to_are_told_what_they_missed_and_go_on() -> None:
    hub = a_hub(history=2000)
    market = Market(hub)
    async with served(hub, settings=PATIENT) as on, AsyncExitStack() as held:
        sleepers = [await held.enter_async_context(sleeping(on.url())) for _ in range(MANY)]
        await eventually(lambda: len(everyone(on)) == MANY)
        await publish(market, 40_000, burst=200)
        assert has_lent(on)
        answers = [await answer(*await asyncio.open_connection(sock=one)) for one in sleepers]
        told = [await one.until(lambda b: b.event == "snapshot" and b.n > 0) for one in answers]
        market.run(200)
        after = [await one.until(is_tick(40_200)) for one in answers]
        for one in answers:
            one.writer.transport.abort()

    for blocks, later in zip(told, after, strict=True):
        got, gap = ticks_of(blocks), blocks[-2].data
        assert got == [*range(1, len(got) + 1)]
        assert (gap["reason"], gap["from"]) == ("slow", f"{EPOCH}-{len(got)}")
        assert gap["to"] == blocks[-1].id == f"{EPOCH}-40000"
        assert ticks_of(later) == [*range(40_001, 40_201)]


async def test_those_who_could_be_lent_to_are_warned_before_they_lose_anything() -> None:
    hub = a_hub(history=30_000)
    async with served(hub, settings=PATIENT) as on, AsyncExitStack() as held:
        sleepers = [await held.enter_async_context(sleeping(on.url())) for _ in range(MANY)]
        await eventually(lambda: len(everyone(on)) == MANY)
        await publish(Market(hub), 29_000)
        assert has_lent(on)
        answers = [await answer(*await asyncio.open_connection(sock=one)) for one in sleepers]
        told = [await one.until(is_tick(29_000)) for one in answers]
        for one in answers:
            one.writer.transport.abort()

    for blocks in told:
        assert [block.event for block in blocks].count("lagging") == 1
        assert ticks_of(blocks) == [*range(1, 29_001)]


@pytest.mark.parametrize(
    ("readers", "query", "burst"),
    [
        pytest.param(MANY - 1, "", 200, id="too few readers"),
        pytest.param(MANY, "", PIECE_EVENTS - 1, id="too few events"),
        pytest.param(MANY, "conflate=10", 200, id="the latest alone"),
        pytest.param(MANY, "", 2 * PIECE_EVENTS, id="lent"),
    ],
)
async def test_what_many_get_alike_is_lent_to_them_and_nothing_else(
    readers: int, query: str, burst: int
) -> None:
    hub = a_hub()
    market = Market(hub)
    async with served(hub) as on, AsyncExitStack() as held:
        answers = [await held.enter_async_context(asked(on.url(query))) for _ in range(readers)]
        for one in answers:
            await one.chunk()
        few = 3 if query else burst
        for _ in range(5):
            market.run(burst)
            told = [await one.until(is_tick(hub.head)) for one in answers]
            assert [len(ticks_of(blocks)) for blocks in told] == [few] * readers

        assert has_lent(on) == (burst == 2 * PIECE_EVENTS)


async def test_each_of_more_filters_than_are_lent_gets_its_own_and_nothing_is_kept_for_nobody() -> (
    None
):
    hub = a_hub(history=10_000)
    subjects = [f"S{n}" for n in range(MOST_FILTERS + 2)]
    market = Market(hub, subjects)
    async with served(hub, subjects=subjects) as on:
        before = open_files()
        async with AsyncExitStack() as held:
            answers = [
                await held.enter_async_context(asked(on.url(f"symbols={one}")))
                for one in subjects
                for _ in range(MANY)
            ]
            for one in answers:
                await one.chunk()
            market.run(3000)
            told = [await answer.events().__anext__() for answer in answers]
            assert [block.data["symbol"] for block in told] == [
                one for one in subjects for _ in range(MANY)
            ]
            assert len(endpoint(on)._spool._reels) == MOST_FILTERS
        await eventually(lambda: not on.endpoint.admission.open)
        await eventually(lambda: open_files() <= before)


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

        def pause_writing(self) -> None:
            """Nobody is told."""

        def resume_writing(self) -> None:
            """Nobody is told."""

    server = await asyncio.get_running_loop().create_server(Line, "127.0.0.1", 0)
    async with server:
        client, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        yield Outlet(hub.reader(hub.filter()), await made), client
        writer.close()


def is_open(fd: int) -> bool:
    return Path(f"/proc/self/fd/{fd}").exists()


@asynccontextmanager
async def lending(count: int) -> AsyncIterator[tuple[Broadcast, Outlet, asyncio.StreamReader]]:
    """Give one of many readers to whom so many events are due, and what its client gets."""
    hub = a_hub(history=10_000)
    async with outlet_of(hub) as (outlet, client):
        on = Broadcast(hub, PATIENT)
        hub._listeners.clear()  # it lends when it is told to
        others = [Outlet(outlet.reader, outlet.connection) for _ in range(MANY - 1)]
        on._groups[outlet.group] = {outlet, *others}
        outlet.reader.take()  # the greeting
        Market(hub).run(count)
        try:
            yield on, outlet, client
        finally:
            on._spool.close()


@LOOPS
def test_what_is_lent_follows_what_was_written(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def lend() -> None:
        async with lending(2 * PIECE_EVENTS) as (on, outlet, client):
            before = b"before" * 2_000_000  # more than a socket takes
            outlet.write(before)
            assert not on._lend(outlet)
            assert await client.readexactly(len(before)) == before
            await eventually(lambda: outlet.is_direct)
            assert on._lend(outlet)
            wishes = outlet.reader.wishes
            pieces = [on.hub.batch(wishes, n, n + PIECE_EVENTS) for n in (0, PIECE_EVENTS)]
            due = b"".join(piece.chunk for piece in pieces)
            assert await client.readexactly(on.bytes_sent) == due

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(lend())


@LOOPS
def test_nothing_is_lent_to_who_has_left_though_its_number_is_given_to_another(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def lend(near: socket.socket, far: socket.socket) -> None:
        async with lending(2 * PIECE_EVENTS) as (on, outlet, _):
            outlet.transport.abort()
            await eventually(lambda: not is_open(outlet.fd))
            os.dup2(far.fileno(), outlet.fd)
            assert not on._lend(outlet)
            os.close(outlet.fd)
            with pytest.raises(BlockingIOError):
                near.recv(1)
            assert outlet.reader.cursor == 0

    near, far = socket.socketpair()
    with near, far, asyncio.Runner(loop_factory=loop) as runner:
        near.setblocking(False)
        runner.run(lend(near, far))


class Sparing(Spool):
    """A spool that gives one piece at a time, as if the socket took no more, but it does."""

    def send(self, wishes: Filter, after: int, to: int) -> Lent | None:
        lent = super().send(wishes, after, -1)  # to nobody: all of a piece is left as the rest
        assert lent is not None
        assert (lent.sent, lent.upto) == (0, after + PIECE_EVENTS)
        return lent


@LOOPS
def test_who_takes_more_than_is_lent_in_one_go_gets_the_rest_without_other_news(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def lend() -> None:
        async with lending(40 * PIECE_EVENTS) as (on, outlet, client):
            on._spool = Sparing(on.hub.ring)
            on._flush()
            await eventually(lambda: outlet.reader.cursor == 40 * PIECE_EVENTS)
            got = await client.readexactly(on.bytes_sent)
            assert got.count(b"event: tick") == 40 * PIECE_EVENTS

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(lend())


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
        blocked = [o for o in everyone(on) if o.blocked_since is not None]
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
        outlets = everyone(on)
        buffered = [o.connection.transport.get_write_buffer_size() for o in outlets]

    assert [block.n for block in blocks if block.event == "tick"] == list(range(1, 20_001))
    assert max(buffered) < 512 * 1024


async def test_a_slow_reader_that_comes_back_is_told_what_it_missed_and_goes_on() -> None:
    hub = a_hub(history=1000)
    market = Market(hub)
    async with served(hub, settings=PATIENT) as on, sleeping(on.url()) as sleeper:
        await eventually(lambda: bool(everyone(on)))
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
        await eventually(lambda: bool(everyone(on)))
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
        await eventually(lambda: bool(everyone(on)))
        await publish(Market(hub), 20_000)
        await eventually(lambda: not everyone(on))

    assert endpoint(on).admission.evicted == 1


async def test_a_reader_that_takes_a_byte_now_and_then_is_evicted_too() -> None:
    hub, loop = a_hub(history=100_000), asyncio.get_running_loop()
    quick = StreamSettings(send_timeout_s=0.2)
    async with served(hub, settings=quick) as on, sleeping(on.url()) as sleeper:
        await eventually(lambda: bool(everyone(on)))
        await publish(Market(hub), 20_000)
        async with asyncio.timeout(20):
            while everyone(on):
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
            await eventually(lambda: len(everyone(on)) == 20)
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

        assert not endpoint(on)._groups
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

        assert not everyone(on)
        assert not endpoint(on)._timers
        assert len(hub._listeners) == 1


async def test_a_request_behind_a_stream_is_not_answered_and_leaves_nothing_behind() -> None:
    async with served(a_hub()) as on:  # whose next heartbeat is far away
        async with connected(on.url()) as (reader, writer):
            writer.write(request(on.url()) * 3)
            await (await answer(reader, writer)).chunk()
        await eventually(lambda: not on.endpoint.admission.open)

        assert not everyone(on)
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
        (outlet,) = everyone(on)

        outlet.connection.connection_lost(None)

        assert not everyone(on)
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
