"""A client that costs little: one connection, one request at a time, answers as bytes."""

import asyncio
import json
from typing import NamedTuple


class Answer(NamedTuple):
    """A status and a body."""

    status: int
    body: bytes


class PlainClient:
    """Asks one server; what it asks is answered before it asks again."""

    def __init__(self, base: str) -> None:
        self._host, _, port = base.removeprefix("http://").rpartition(":")
        self._port = int(port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: object = None) -> Answer:
        """Return the answer to a request; a body that is no bytes is sent as JSON."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
        head = f"{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        (length,) = (line for line in lines if line.startswith(b"content-length:"))
        told = await reader.readexactly(int(length.partition(b":")[2]))
        return Answer(int(lines[0].split()[1]), told)

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            await self._streams[1].wait_closed()
