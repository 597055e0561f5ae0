"""An application on a socket of our own: bounded requests, bounded buffers, a clean end."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from threading import current_thread, main_thread
from typing import Any, Final, TypeVar

import structlog
import uvicorn
from starlette.types import ASGIApp

from market.connection import Connection
from market.errors import MarketError
from market.settings import Environment, port, real

if sys.platform == "win32":  # uvloop is not there
    from asyncio import new_event_loop
else:
    from uvloop import new_event_loop

log = structlog.get_logger("market.server")

T = TypeVar("T")

SEND_BUFFER_BYTES: Final = 256 * 1024
"""For what is on its way, mostly: a receiver acknowledges a part of it only when it is read."""
UNSENT_BYTES: Final = 16 * 1024
"""What waits in the kernel for a reader that takes nothing; so it costs no more than that."""
ACCEPTING_TURNS: Final = 3
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
"""Of the loop, from the accepting of a connection until it is there to be ended with the others."""
LAST_S: Final = 5.0
"""After the grace, for answers that go on though nobody is there to hear them."""


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
        """End well on SIGINT and SIGTERM, which only the main thread is told of."""
        loop = asyncio.get_running_loop()
        handled = SIGNALS if current_thread() is main_thread() else ()
        for wanted in handled:
            loop.add_signal_handler(wanted, self.stop)
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
