"""Readers of streams for tests: raw sockets that read to the byte, and hang up when they leave."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route

from market.broadcast import Broadcast
from market.client import http_client
from market.hub import Hub
from market.problems import HANDLERS
from market.server import ServerSettings, serving, stop_listening
from market.streaming import StreamEndpoint, StreamSettings

PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a stream, field by field, exactly as it stood there."""

    raw: bytes

    @property
    def fields(self) -> dict[str, str]:
        lines = (line.partition(b": ") for line in self.raw.split(b"\n") if line)
        return {name.decode(): value.decode() for name, _, value in lines}

    @property
    def event(self) -> str:
        return self.fields.get("event", "")

    @property
    def id(self) -> str:
        return self.fields.get("id", "")

    @property
    def n(self) -> int:
        return int(self.id.partition("-")[2])

    @property
    def data(self) -> Any:
        return json.loads(self.fields["data"])

    @property
    def comment(self) -> str:
        return self.fields.get("", "")


@dataclass(slots=True)
class Answer:
    """A response as far as its head, then its body piece by piece."""

    status: int
    headers: Mapping[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    chunks: list[bytes] = field(default_factory=list)
    ended_well: bool = False

    async def chunk(self) -> bytes:
        """Return the next chunk, b"" at the end of the body."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        chunk = (await self.reader.readexactly(size + 2))[:-2]
        self.chunks.append(chunk)
        self.ended_well = not size
        return chunk

    async def blocks(self) -> AsyncIterator[Block]:
        """Yield the blocks of the stream until it ends; a cut connection raises."""
        while chunk := await self.chunk():
            assert chunk.endswith(b"\n\n"), "a frame is written whole"
            for raw in chunk.split(b"\n\n")[:-1]:
                yield Block(raw)

    async def events(self) -> AsyncIterator[Block]:
        """Yield the blocks that are events, without comments and hints."""
        async for block in self.blocks():
            if block.event:
                yield block

    async def until(self, wanted: Callable[[Block], bool]) -> list[Block]:
        """Return the blocks up to the first that is wanted."""
        found: list[Block] = []
        async with asyncio.timeout(PATIENCE_S):
            async for block in self.blocks():
                found.append(block)
                if wanted(block):
                    return found
        raise AssertionError(f"the stream ended after {found[-3:]}")

    async def rest(self) -> list[Block]:
        """Return all blocks until the clean end of the stream."""
        async with asyncio.timeout(PATIENCE_S):
            return [block async for block in self.blocks()]

    async def body(self) -> bytes:
        """Return the whole body of an answer that has a length, or ends with its connection."""
        async with asyncio.timeout(PATIENCE_S):
            if "content-length" in self.headers:
                return await self.reader.readexactly(int(self.headers["content-length"]))
            return await self.reader.read()


@asynccontextmanager
async def connected(url: str, *, receive_buffer: int = 0) -> AsyncIterator[tuple[Any, Any]]:
    """Give a connection to the server of ``url``; it is cut at the end of the block."""
    parts = urlsplit(url)
    limit = receive_buffer or 2**20
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=limit)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def request(
    url: str, *, method: str = "GET", version: str = "1.1", headers: Mapping[str, str | bytes] = {}
) -> bytes:
    """Return a request to ``url`` in bytes."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/{version}".encode(), f"Host: {parts.netloc}".encode()]
    for name, value in headers.items():
        raw = value if isinstance(value, bytes) else value.encode()
        lines.append(name.encode() + b": " + raw)
    return b"\r\n".join((*lines, b"", b""))


async def answer(reader: Any, writer: Any) -> Answer:
    """Return the head of the next response on a connection."""
    async with asyncio.timeout(PATIENCE_S):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(": ") for line in head[1:] if line)
    headers = {name.lower(): value for name, _, value in pairs}
    return Answer(int(head[0].split()[1]), headers, reader, writer)


@asynccontextmanager
async def asked(
    url: str,
    *,
    method: str = "GET",
    version: str = "1.1",
    headers: Mapping[str, str | bytes] = {},
) -> AsyncIterator[Answer]:
    """Ask for ``url`` on a connection of its own, and hang up at the end of the block."""
    async with connected(url) as (reader, writer):
        writer.write(request(url, method=method, version=version, headers=headers))
        yield await answer(reader, writer)


@dataclass(slots=True)
class Served:
    """A hub on the air."""

    hub: Hub
    endpoint: StreamEndpoint
    base: str

    def url(self, query: str = "") -> str:
        return f"{self.base}/stream" + (f"?{query}" if query else "")


SYMBOLS = ("BTC", "TCS", "META")


@asynccontextmanager
async def served(
    hub: Hub,
    kind: type[StreamEndpoint] = Broadcast,
    *,
    settings: StreamSettings | None = None,
    server: ServerSettings | None = None,
    subjects: Collection[str] = SYMBOLS,
) -> AsyncIterator[Served]:
    """Serve a hub on a free port as the exchange does: its stream, and CORS."""
    endpoint = kind(hub, settings or StreamSettings(), subjects=lambda: subjects)
    app = Starlette(
        routes=[Route("/stream", endpoint, methods=["GET"])],
        middleware=[
            Middleware(CORSMiddleware, allow_origins=["*"], allow_headers=["Last-Event-ID"])
        ],
        exception_handlers=HANDLERS,
    )
    settings_ = server or ServerSettings(farewell_s=0.5)
    async with serving(app, settings_, hub.close) as base:
        yield Served(hub, endpoint, base)


@dataclass(slots=True)
class Proof:
    """What one reader was told over all its connections; proves that nothing is missing."""

    last_id: str = ""
    got: list[int] = field(default_factory=list)
    told: set[int] = field(default_factory=set)
    reasons: list[str] = field(default_factory=list)

    def see(self, event: str, id: str, data: str) -> None:
        """Take in one event; ``id`` may be empty where the frame had none."""
        fact = json.loads(data)
        if event == "gap":
            self._gap(fact)
        elif event == "snapshot" and not self.last_id:
            self.told |= set(range(1, number(id) + 1))
        elif event == "tick":
            self.got.append(number(id))
        self.last_id = id or self.last_id

    def _gap(self, fact: dict[str, Any]) -> None:
        since = number(fact["from"]) if fact["from"][:8] == fact["to"][:8] else 0
        assert fact["missed"] == number(fact["to"]) - since
        self.told |= set(range(since + 1, number(fact["to"]) + 1))
        self.reasons.append(fact["reason"])

    @property
    def place(self) -> int:
        """The newest event that this reader knows of, seen or told as missed."""
        return max([0, *self.got, *self.told, number(self.last_id)])

    def check(self, wanted: Collection[int]) -> None:
        """Assert that each event wanted came exactly once and in order, or was told as missed."""
        assert all(one < other for one, other in pairwise(self.got)), "in order, and each once"
        due = {n for n in wanted if n <= self.place}
        assert due <= set(self.got) | self.told, "nothing is missing without a word"
        assert not self.told & set(self.got), "what was told as missed does not come"
        assert set(self.got) <= set(wanted), "nothing comes that was not asked for"


def number(event_id: str) -> int:
    """Return the number in an id; 0 for no id."""
    return int(event_id.partition("-")[2] or 0)


def a_client(base: str = "") -> httpx.AsyncClient:
    """Return a client of servers on this machine, as patient as a test."""
    return http_client(base_url=base, timeout=PATIENCE_S)


async def eventually(true: Callable[[], bool], *, within_s: float = PATIENCE_S) -> None:
    """Wait until something is true; fail when it takes too long."""
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110  nothing tells when a socket of the other side is gone
            await asyncio.sleep(0.005)


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_server(handler: Handler) -> AsyncIterator[str]:
    """Run a server that answers each connection with ``handler``; give its base url."""
    writers: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went first
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        await stop_listening([server])
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()
