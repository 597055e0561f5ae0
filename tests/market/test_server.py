"""Requests are bounded in size and time, whoever sends them; the end is clean."""

import asyncio
import gc
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from weakref import ref

import pytest
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from market.connection import MAX_HEAD_BYTES, MAX_URL_BYTES, OUTLET, Connection
from market.errors import MarketError
from market.problems import HANDLERS
from market.server import PortTakenError, ServerSettings, listening, run_to_end, serving
from market.settings import Environment
from tests.market.unclosed import unclosed
from tests.streams import PATIENCE_S, answer, asked, connected, eventually, request


async def _echo(request: Request) -> Response:
    return PlainTextResponse((await request.body())[:100])


async def _fail(_: Request) -> Response:
    raise RuntimeError("a bug of ours")


@asynccontextmanager
async def site(request_timeout_s: float = 10.0) -> AsyncIterator[str]:
    routes = [Route("/echo", _echo, methods=["GET", "POST"]), Route("/fail", _fail)]
    app = Starlette(routes=routes, exception_handlers=HANDLERS)
    limits = ServerSettings(request_timeout_s=request_timeout_s, farewell_s=0.2)
    async with serving(app, limits) as url:
        yield url


async def said(url: str, raw: bytes) -> bytes:
    """Return everything that is answered to these bytes until the server hangs up."""
    async with connected(url) as (reader, writer):
        writer.write(raw)
        return bytes(await asyncio.wait_for(reader.read(), PATIENCE_S))


BAD = {
    b"GET /%ff%fe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n": 404,
    b"GET /%zz%1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n": 404,
    b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n": 400,
    b"GET /echo HTTP/1.1\r\n\r\n": 400,
    b"GET /echo HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n": 400,
    b"GET /echo HTTP/1.1\r\nHost: [::bad\r\n\r\n": 400,
    b"GET /echo HTTP/1.1\r\nHost: a/b\r\n\r\n": 400,
    b"GET /echo HTTP/1.1\r\nHost: [::1]:8080\r\nConnection: close\r\n\r\n": 200,
    b"GET /echo HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n": 200,
    b"GET /echo HTTP/1.0\r\n\r\n": 200,
    b"GET //[::bad/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n": 404,
    b"GET /echo?%ff=%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n": 200,
    b"PATCH /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n": 405,
    b"\x16\x03\x01\x02\x00\x01\x00 a TLS greeting\r\n\r\n": 400,
    b"GET / SPDY/9\r\n\r\n": 400,
    b"GET /echo\r\n\r\n": 505,
    b"GET /echo HTTP/2.0\r\nHost: x\r\n\r\n": 505,
    b"rubbish\r\n\r\n": 400,
    b"GET /echo HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n": 400,
    b"GET /echo HTTP/1.1\r\nHost: x\r\nbad\x00name: 1\r\n\r\n": 400,
}


async def test_a_bad_request_is_a_clean_refusal_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with site() as url:
        for raw, status in BAD.items():
            said_back = await said(url, raw)

            assert said_back.startswith(b"HTTP/1.1 %d " % status), raw

    assert not [record for record in caplog.records if record.exc_info]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_bug_is_answered_as_a_problem_and_logged_with_its_cause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with site() as url, asked(f"{url}/fail") as failed:
        problem = json.loads(await failed.body())

    assert (failed.status, problem["type"]) == (500, "internal-error")
    assert "a bug of ours" not in str(problem)
    assert any(record.exc_info for record in caplog.records)


async def test_a_connection_is_kept_after_a_refusal() -> None:
    async with site() as url, connected(url) as (reader, writer):
        statuses = []
        for path in ("/nothing", "/echo", "/nothing", "/echo"):
            writer.write(request(url + path))
            one = await answer(reader, writer)
            await one.body()
            statuses.append(one.status)

    assert statuses == [404, 200, 404, 200]


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with site() as url, connected(url) as (reader, writer):
        writer.write(b"".join(request(url + path) for path in ("/nothing", "/echo", "/nothing")))
        statuses = []
        for _ in range(3):
            one = await answer(reader, writer)
            await one.body()
            statuses.append(one.status)

    assert statuses == [404, 200, 404]


async def test_a_url_or_a_head_that_is_too_long_is_refused() -> None:
    long_head = b"X-Long: " + b"x" * MAX_HEAD_BYTES + b"\r\n"
    many = b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(8000))
    async with site() as url:
        long_url = await said(url, request(url + "/echo?" + "x" * (MAX_URL_BYTES + 1)))
        long_line = await said(url, b"GET /echo HTTP/1.1\r\n" + long_head + b"\r\n")
        unfinished = await said(url, b"GET /echo HTTP/1.1\r\n" + long_head * 2)
        many_lines = await said(url, b"GET /echo HTTP/1.1\r\n" + many + b"\r\n")

    assert long_url.startswith(b"HTTP/1.1 414 ")
    for said_back in (long_line, unfinished, many_lines):
        assert said_back.startswith(b"HTTP/1.1 431 ")
        assert b"application/problem+json" in said_back


async def test_what_comes_behind_a_refused_request_is_not_heard(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with site() as url:
        refused = request(url + "/echo?" + "x" * (MAX_URL_BYTES + 1))
        followed = await said(url, refused + request(f"{url}/echo") * 3)
        garbled = await said(url, refused + b"\x00 rubbish\r\n\r\n")

    assert followed.count(b"HTTP/1.1 ") == garbled.count(b"HTTP/1.1 ") == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /echo",
        b"GET /echo HTTP/1.1\r\nHost: x\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
    ],
    ids=["nothing", "half a line", "half a head", "half a body"],
)
async def test_a_request_that_trickles_is_cut_off(begun: bytes) -> None:
    async with site(request_timeout_s=0.3) as url, connected(url) as (reader, writer):
        writer.write(begun)
        told = asyncio.create_task(reader.read())
        while not told.done():
            writer.write(b"X-" if begun else b"")  # a byte or two at a time, for ever
            await asyncio.sleep(0.05)

    assert (await told).startswith(b"HTTP/1.1 408 ")


async def test_a_later_request_on_a_kept_connection_is_timed_too() -> None:
    async with site(request_timeout_s=0.3) as url, connected(url) as (reader, writer):
        writer.write(request(f"{url}/echo"))
        await (await answer(reader, writer)).body()
        writer.write(b"GET /echo HTTP/1.1\r\nX-Slow: ")
        told = await asyncio.wait_for(reader.read(), PATIENCE_S)

    assert told.startswith(b"HTTP/1.1 408 ")


async def test_a_body_may_follow_its_head_later() -> None:
    async with site() as url, connected(url) as (reader, writer):
        writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
        await asyncio.sleep(0.02)
        writer.write(b"body")
        body = await (await answer(reader, writer)).body()

    assert body == b"body"


async def test_an_http_1_0_answer_ends_with_its_connection() -> None:
    async with site() as url:
        plain = await said(url, request(f"{url}/echo", version="1.0"))
        missing = await said(url, request(f"{url}/nothing", version="1.0"))

    assert plain.startswith(b"HTTP/1.1 200 ")
    assert missing.endswith(b"}")
    assert b"chunked" not in plain + missing


async def test_a_client_that_leaves_while_it_is_answered_leaves_nothing_behind() -> None:
    async with site() as url:
        before = len(asyncio.all_tasks())
        for _ in range(20):
            async with connected(url) as (_, writer):
                writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1")
        await eventually(lambda: len(asyncio.all_tasks()) <= before)


async def test_a_connection_that_is_over_is_freed_without_the_collector() -> None:
    seen: list[ref[Connection]] = []

    async def see(request: Request) -> Response:
        seen.append(ref(request.scope["extensions"][OUTLET]))
        return PlainTextResponse("seen")

    async with serving(Starlette(routes=[Route("/", see)]), ServerSettings()) as url:
        gc.disable()
        try:
            for _ in range(3):
                async with connected(url) as (reader, writer):
                    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
                    await asyncio.wait_for(reader.readuntil(b"seen"), PATIENCE_S)
            await eventually(lambda: not any(of() for of in seen))
            assert len(seen) >= 3
        finally:
            gc.enable()


async def test_a_port_that_is_taken_names_the_setting_to_change() -> None:
    async with site() as url:
        port = int(url.rpartition(":")[2])

        with pytest.raises(PortTakenError, match="EXCHANGE_PORT"):
            listening(ServerSettings(port=port, port_setting="EXCHANGE_PORT"))


async def test_an_application_that_does_not_start_is_an_error_and_frees_the_port(
    port: int,
) -> None:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        raise RuntimeError("no")
        yield

    with pytest.raises(MarketError):
        async with serving(Starlette(lifespan=lifespan), ServerSettings(port=port)):
            pass

    listening(ServerSettings(port=port)).close()


async def test_a_connection_that_is_being_accepted_at_the_end_is_closed_with_the_others() -> None:
    app = Starlette(routes=[Route("/echo", _echo)])
    clients: list[socket.socket] = []

    async def connect(address: tuple[str, int], turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        with suppress(ConnectionRefusedError):  # the end was there first
            clients.append(socket.create_connection(address))

    with unclosed() as left:
        for turns in [turn % 10 for turn in range(40)]:
            async with serving(app, ServerSettings(farewell_s=0.2)) as url:
                host, _, port = url.removeprefix("http://").partition(":")
                connecting = asyncio.create_task(connect((host, int(port)), turns))
            await connecting
        for client in clients:
            client.close()

    assert left == []


async def test_an_address_of_ipv6_is_served_and_named_in_brackets() -> None:
    try:
        listening(ServerSettings(host="::1")).close()
    except PortTakenError:
        return  # a machine without IPv6 has nothing to show
    app = Starlette(routes=[Route("/echo", _echo)])
    async with serving(app, ServerSettings(host="::1", farewell_s=0.2)) as url:
        assert url.startswith("http://[::1]:")


def test_the_address_comes_from_the_environment() -> None:
    env = Environment({"HOST": "127.0.0.1", "EXCHANGE_PORT": "8080", "REQUEST_TIMEOUT_S": "7"})

    settings = ServerSettings.from_env(env, "EXCHANGE_PORT")

    assert (settings.port, settings.port_setting) == (8080, "EXCHANGE_PORT")
    assert settings.request_timeout_s == 7


PROGRAM = """
import asyncio, os, signal, sys, threading
from starlette.applications import Starlette
from starlette.routing import Route
from market.hub import Hub
from market.broadcast import Broadcast
from market.streaming import StreamSettings
from market.server import ServerSettings, serve
from tests.builders import a_hub, Market
from tests.stopwatch import Stopwatch

hub = a_hub(history=100_000)
asked = []

def end_when_asked():
    sys.stdin.readline()
    asked.append(Stopwatch())
    os.kill(os.getpid(), signal.SIGTERM)

async def main():
    app = Starlette(routes=[Route("/stream", Broadcast(hub, StreamSettings()), methods=["GET"])])
    async def publish():
        market = Market(hub)
        while not hub.closed:
            market.run(20)
            await asyncio.sleep(0.002)
    publishing = asyncio.create_task(publish())
    threading.Thread(target=end_when_asked, daemon=True).start()
    await serve(app, ServerSettings(port=int(sys.argv[1])), hub.close)
    await publishing
    print("ended by itself after", asked[0].read(), flush=True)

if sys.argv[2] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_sigterm_under_load_bids_every_reader_farewell_and_ends_in_two_seconds(
    loop: str, port: int
) -> None:
    url = f"http://127.0.0.1:{port}/stream"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        str(port),
        loop,
        cwd=Path(__file__).parents[2],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        await _listens(url)
        reading = asyncio.Semaphore(0)
        readers = [asyncio.create_task(_read_to_the_end(url, reading)) for _ in range(10)]
        async with asked(url), asyncio.timeout(PATIENCE_S):  # and one that never reads on
            for _ in readers:
                await reading.acquire()
            said_last, _ = await process.communicate(b"end\n")
        ends = await asyncio.gather(*readers)
    finally:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()

    words, _, lasted_s = said_last.decode().rpartition(" ")
    assert process.returncode == 0
    assert words.endswith("\nended by itself after")
    assert float(lasted_s) < 2
    assert ends == [b"event: shutdown"] * 10


async def _listens(url: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                async with asked(url):
                    return
            except OSError:
                await asyncio.sleep(0.05)


async def _read_to_the_end(url: str, reading: asyncio.Semaphore) -> bytes:
    """Return the last event of a stream; looking at no other, so that it keeps up."""
    async with asked(url) as stream:
        begun = await stream.chunk()
        reading.release()
        body = begun + await stream.reader.read()
    return bytes(body[body.rindex(b"event: ") :].partition(b"\n")[0])


async def _its_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_a_server_runs_on_the_event_loop_in_c() -> None:
    assert isinstance(run_to_end(_its_loop()), uvloop.Loop)
