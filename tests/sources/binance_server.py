"""A server that speaks the documented frames of Binance's streams, and errs when it is told to."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve

Script = Callable[[ServerConnection], Awaitable[None]]

BEGIN_MS = 1_795_000_000_000


def a_trade(
    trade_id: int, price: str = "70400.00", quantity: str = "0.00100000", **other: Any
) -> str:
    """Return the frame of a trade as ``<symbol>@trade`` has it."""
    usual = {
        "e": "trade", "E": BEGIN_MS + trade_id, "s": "BTCUSDT", "t": trade_id, "p": price,
        "q": quantity, "T": BEGIN_MS + trade_id, "m": True, "M": True,
    }  # fmt: skip
    return json.dumps(usual | other)


def a_kline(close: str, volume: str, *, minute: int = 0, at_ms: int = 0) -> str:
    """Return the frame of a candle as ``<symbol>@kline_1m`` has it."""
    start = BEGIN_MS + minute * 60_000
    candle = {
        "t": start, "T": start + 59_999, "s": "BTCUSDT", "i": "1m", "f": 1, "L": 9, "o": "70400",
        "c": close, "h": "70500", "l": "70300", "v": volume, "n": 9, "x": False, "q": "1",
        "V": "1", "Q": "1", "B": "0",
    }  # fmt: skip
    return json.dumps({"e": "kline", "E": start + at_ms, "s": "BTCUSDT", "k": candle})


def combined(stream: str, frame: str) -> str:
    """Return a frame in the envelope of a combined stream."""
    return json.dumps({"stream": stream, "data": json.loads(frame)})


SHUTDOWN = json.dumps({"e": "serverShutdown", "E": BEGIN_MS})


async def stays(connection: ServerConnection) -> None:
    """Keep the connection open until the client goes."""
    await connection.wait_closed()


def sends(frames: Iterable[str | bytes], then: Script = stays) -> Script:
    """Return a script that sends frames and then does something else."""

    async def script(connection: ServerConnection) -> None:
        for frame in frames:
            await connection.send(frame)
        await then(connection)

    return script


async def cuts(connection: ServerConnection) -> None:
    """Go away without a word."""
    connection.transport.abort()


@dataclass
class BinanceServer:
    """Plays one script a connection; the last one again and again."""

    scripts: list[Script]
    url: str = ""
    paths: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)

    async def handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.paths.append(connection.request.path)
        self.keys.append(connection.request.headers.get("X-MBX-APIKEY"))
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        listening = asyncio.create_task(self._listen(connection))
        try:
            await script(connection)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _listen(self, connection: ServerConnection) -> None:
        async for message in connection:
            self.requests.append(json.loads(message))


@asynccontextmanager
async def binance(*scripts: Script, **options: Any) -> AsyncIterator[BinanceServer]:
    """Run the server on a free port."""
    made = BinanceServer(list(scripts))
    server: Server
    async with serve(made.handle, "127.0.0.1", 0, compression=None, **options) as server:
        made.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield made
