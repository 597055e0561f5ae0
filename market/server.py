"""An application on a socket of our own: bounded requests, bounded buffers, a clean end."""

import asyncio
import gc
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import structlog
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from market.errors import MarketError
from market.problems import ProblemError, problem
from market.settings import Environment, port, real

if sys.platform == "win32":  # uvloop is not there
    from asyncio import new_event_loop
else:
    from uvloop import new_event_loop

log = structlog.get_logger("market.server")

T = TypeVar("T")

SEND_BUFFER_BYTES: Final = 64 * 1024
UNSENT_BYTES: Final = 16 * 1024
MAX_URL_BYTES: Final = 16 * 1024
MAX_HEAD_BYTES: Final = 64 * 1024
SPOKEN: Final = frozenset({"1.0", "1.1"})
_HOST: Final = re.compile(
    rb"(\[[\w.:~%!$&'()*+,;=-]+\]|[\w.~%!$&'()*+,;=-]*)(:[0-9]{0,5})?", re.ASCII
)
MAX_PIPELINED: Final = 4
"""Requests that wait behind the one being answered, before the client has to wait."""
ACCEPTING_TURNS: Final = 3
"""Of the loop, from the accepting of a connection until it is there to be ended with the others."""
LAST_S: Final = 5.0
"""After the grace, for answers that go on though nobody is there to hear them."""
OUTLET: Final = "sandpit.outlet"
LINGER_S: Final = 1.0


class PortTakenError(MarketError):
    """Somebody else listens where we should."""

    def __init__(self, host: str, port: int, setting: str) -> None:
        super().__init__(f"{host}:{port} is taken; stop what listens there, or change {setting}")
        self.host, self.port, self.setting = host, port, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where to listen, and for how long to wait for whom."""

    host: str = "127.0.0.1"
    port: int = 0
    port_setting: str = "the port"
    request_timeout_s: float = 10.0
    farewell_s: float = 1.0

    @classmethod
    def from_env(cls, env: Environment, port_setting: str) -> "ServerSettings":
        """Read the address, the port from the variable ``port_setting``."""
        return cls(
            host=env.read("HOST", str),
            port=env.read(port_setting, port),
            port_setting=port_setting,
            request_timeout_s=env.read("REQUEST_TIMEOUT_S", real(0.1, 3600)),
        )


def listening(settings: ServerSettings) -> socket.socket:
    """Return a bound socket whose connections keep little in the kernel for a reader that sleeps.

    Raises:
        PortTakenError: another program has the port.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in (("TCP_NOTSENT_LOWAT", UNSENT_BYTES), ("TCP_USER_TIMEOUT", 20_000)):
        if (option := getattr(socket, name, None)) is not None:
            bound.setsockopt(socket.IPPROTO_TCP, option, value)
    try:
        bound.bind((settings.host, settings.port))
    except OSError as error:
        bound.close()
        raise PortTakenError(settings.host, settings.port, settings.port_setting) from error
    return bound


class Connection(HttpToolsProtocol):
    """One client's connection: its head is bounded in size and time, its body in time.

    An endless answer may take the connection over as its outlet: it writes on ``transport``
    itself, is told through ``on_pause`` and ``on_resume`` how the client keeps up, and through
    ``on_lost`` when nothing may be written any more.
    """

    request_timeout_s = 10.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_pause: Callable[[], None] | None = None
        self.on_resume: Callable[[], None] | None = None
        self.on_lost: Callable[[], None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes: int | None = 0
        self._answering: RequestResponseCycle | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, though not for ever."""
        super().connection_made(transport)
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and tell the answer that is being given."""
        self._request_is_whole()
        if self.on_lost is not None:
            self.on_lost()
        self.on_pause = self.on_resume = self.on_lost = None
        super().connection_lost(exc)  # it tells the last request, which may be one behind a stream
        if (answering := self._answering) is not None and not answering.response_complete:
            answering.disconnected = True
            answering.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head of the request has become too long."""
        if self._refused:
            return
        super().data_received(data)
        if self._head_bytes is not None and self.parser is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431, "request-header-fields-too-large", "The head is too long.")

    def on_message_begin(self) -> None:
        """Begin a request, and lend its answer this connection."""
        super().on_message_begin()
        if self._deadline is None:
            self._expect_request()
        self._head_bytes = 0
        self.scope["extensions"] = {OUTLET: self}  # type: ignore[dict-item]

    def on_headers_complete(self) -> None:
        """Pass the request on, when its head is of a reasonable size."""
        self._head_bytes = None
        if self._refused:
            return
        if self.parser.get_http_version() not in SPOKEN:
            self._refuse(505, "http-version-not-supported", "HTTP/1.1 is spoken here.")
        elif len(self.url) > MAX_URL_BYTES:
            self._refuse(414, "uri-too-long", f"The URL is over {MAX_URL_BYTES} bytes.")
        elif sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            self._refuse(431, "request-header-fields-too-large", "The head is too long.")
        elif not self._is_addressed():
            self._refuse(400, "bad-request", "It takes one Host field, and a proper one.")
        else:
            super().on_headers_complete()
            if 0 < len(self.pipeline) <= MAX_PIPELINED:
                self.flow.resume_reading()  # or nobody hears that the client has left

    def on_body(self, body: bytes) -> None:
        """Take a part of the body, of a request that was not refused."""
        if not self._refused and not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Stop waiting: the request is there as a whole."""
        if self._refused:
            return
        self._request_is_whole()
        if not self.transport.is_closing():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        if not self._refused:
            self._refuse(400, "bad-request", msg)

    def pause_writing(self) -> None:
        """Hear that the client does not keep up."""
        super().pause_writing()
        if self.on_pause is not None:
            self.on_pause()

    def resume_writing(self) -> None:
        """Hear that the client has caught up."""
        super().resume_writing()
        if self.on_resume is not None:
            self.on_resume()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        if cycle.scope["http_version"] == "1.0":
            app = partial(_without_chunks, app, cycle)
        super()._start_asgi_task(cycle, app)

    def _is_addressed(self) -> bool:
        """Tell whether the request says which host it is for, as RFC 9112, 3.2 asks."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if not hosts:
            return bool(self.parser.get_http_version() == "1.0")
        return len(hosts) == 1 and _HOST.fullmatch(hosts[0]) is not None

    def _expect_request(self) -> None:
        self._deadline = self.loop.call_later(self.request_timeout_s, self._too_slow)

    def _request_is_whole(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or not cycle.response_started or cycle.response_complete:
            self._refuse(408, "request-timeout", "The request did not arrive in time.")

    def _refuse(self, status: int, type: str, detail: str) -> None:
        """Answer, and take no more; hang up once the client had a moment to read why."""
        answering, self._refused = self._answering, True
        if answering is not None and not answering.response_complete:
            if answering.response_started:  # nothing else can be said in the middle of an answer
                self.transport.abort()
            answering.disconnected = True
            answering.message_event.set()
        if self.transport.is_closing():
            return
        answer = problem(ProblemError(status, type, detail, headers={"Connection": "close"}))
        lines = [b"%b: %b\r\n" % pair for pair in answer.raw_headers]
        head = b"HTTP/1.1 %d \r\n%b\r\n" % (status, b"".join(lines))
        self.transport.write(head + bytes(answer.body))
        self.transport.write_eof()
        self._request_is_whole()
        self._deadline = self.loop.call_later(LINGER_S, self.transport.abort)


async def _without_chunks(
    app: ASGIApp, cycle: RequestResponseCycle, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer an HTTP/1.0 request, which knows no chunks: the body ends with the connection."""

    async def send_plain(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [each for each in message["headers"] if each[0].lower() != b"connection"]
            names = {name.lower() for name, _ in headers}
            cycle.chunked_encoding = None if b"content-length" in names else False
            await send({**message, "headers": headers})
            return
        if cycle.expected_content_length:
            await send(message)
            return
        cycle.expected_content_length = len(message.get("body", b""))
        await send({**message, "more_body": True})
        if not message.get("more_body", False):
            await send({"type": "http.response.body"})

    await app(scope, receive, send_plain)


async def stop_listening(servers: Collection[asyncio.Server]) -> None:
    """Close servers to new connections, while none is between accepted and served.

    A server of asyncio that is closed just then forgets that connection (python/cpython#109564).
    """
    loop = asyncio.get_running_loop()
    for server in servers:
        for listener in server.sockets:
            loop.remove_reader(listener)
    for _ in range(ACCEPTING_TURNS):
        await asyncio.sleep(0)
    for server in servers:
        server.close()


class Server(uvicorn.Server):
    """A uvicorn server that says goodbye first and hangs up on whoever will not listen."""

    def __init__(
        self, config: uvicorn.Config, farewell: Callable[[], None], grace_s: float
    ) -> None:
        super().__init__(config)
        self._farewell, self._grace_s = farewell, grace_s
        self._asked_to_end = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve; raise MarketError when the application does not start."""
        try:
            await super().startup(sockets)
        except SystemExit as error:
            raise MarketError("the server did not start; its log says why") from error

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End well on SIGINT and SIGTERM, and let the process end by itself after that."""
        loop = asyncio.get_running_loop()
        handled: list[signal.Signals] = []
        try:
            for wanted in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(wanted, self.stop)
                handled.append(wanted)
        except (RuntimeError, ValueError, NotImplementedError):  # not in the main thread
            pass
        try:
            yield
        finally:
            for wanted in handled:
                loop.remove_signal_handler(wanted)

    def stop(self) -> None:
        """Ask the server to end."""
        self.should_exit = True
        self._asked_to_end.set()

    async def main_loop(self) -> None:
        """Serve until asked to end; uvicorn's own loop would notice a tenth of a second later."""
        counter = 0
        while not await self.on_tick(counter):
            counter = (counter + 1) % 10
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked_to_end.wait(), 0.1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Bid every stream farewell; end the connections that are still there after the grace."""
        self._farewell()
        await stop_listening(self.servers)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._emptied()
        for server in self.servers:
            await server.wait_closed()
        for listener in sockets or []:
            listener.close()
        await self.lifespan.shutdown()

    async def _emptied(self) -> None:
        """Return when nobody is served any more."""
        loop = asyncio.get_running_loop()
        hang_up = loop.call_later(self._grace_s, self._hang_up)
        last = loop.time() + self._grace_s + LAST_S
        while self.server_state.connections or self.server_state.tasks:
            if loop.time() > last:
                for task in self.server_state.tasks:
                    task.cancel()
            await asyncio.sleep(0.005)
        hang_up.cancel()

    def _hang_up(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def _server(app: ASGIApp, settings: ServerSettings, farewell: Callable[[], None]) -> Server:
    protocol = type("Connection", (Connection,), {"request_timeout_s": settings.request_timeout_s})
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # an address is what the socket says
        lifespan="on",
    )
    return Server(config, farewell, settings.farewell_s)


@asynccontextmanager
async def serving(
    app: ASGIApp, settings: ServerSettings, farewell: Callable[[], None] = lambda: None
) -> AsyncIterator[str]:
    """Serve ``app`` for the length of the block; give its address, ``http://host:port``."""
    bound = listening(settings)
    host, number = bound.getsockname()[:2]
    server = _server(app, settings, farewell)
    running = asyncio.create_task(server._serve([bound]))  # noqa: SLF001  without its signals
    try:
        while not server.started:
            if running.done():
                await running
                raise MarketError("the server did not start")
            await asyncio.sleep(0.005)
        yield f"http://[{host}]:{number}" if ":" in host else f"http://{host}:{number}"
    finally:
        server.stop()
        try:
            await running
        finally:
            bound.close()


async def serve(
    app: ASGIApp, settings: ServerSettings, farewell: Callable[[], None] = lambda: None
) -> None:
    """Serve ``app`` until the process is asked to end; ``farewell`` is called before it does.

    Raises:
        PortTakenError: another program has the port.
    """
    server = _server(app, settings, farewell)
    bound = listening(settings)
    log.info("listening", host=settings.host, port=bound.getsockname()[1])
    spare_the_collector()
    await server.serve([bound])


def run_to_end(main: Coroutine[Any, Any, T]) -> T:
    """Return what ``main`` does, on an event loop in C where the platform has one."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)


def spare_the_collector() -> None:
    """Keep the cyclic garbage collector off the hot path.

    A full collection walks every object of every reader; at a thousand of them it is a pause of
    more than 100 ms. What is there at the start is never garbage, and what comes later is almost
    all freed by counting, so that a full collection may be rare.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
