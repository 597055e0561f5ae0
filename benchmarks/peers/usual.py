"""The usual broadcast with sse-starlette: a queue a client, a dict an event.

It runs on uvicorn with uvloop and httptools, the garbage collector as Python sets it.

    python -m benchmarks.peers.usual
"""

import asyncio
import socket
from collections.abc import AsyncIterator

import uvicorn
import uvloop
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from benchmarks.peers.pace import obey, say
from market.events import Tick
from market.wire import encode

Queue = asyncio.Queue[dict[str, str]]


class Usual:
    """Every client has its queue, and an event is put into each."""

    def __init__(self) -> None:
        self._queues: set[Queue] = set()

    async def stream(self, _: Request) -> EventSourceResponse:
        """Answer one client."""
        return EventSourceResponse(self._events(), ping=3600)

    async def _events(self) -> AsyncIterator[dict[str, str]]:
        queue = Queue()
        self._queues.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._queues.discard(queue)

    def publish(self, tick: Tick) -> None:
        """Put one tick into each queue."""
        event = {"id": str(tick.seq), "event": tick.kind, "data": encode(tick).decode()}
        for queue in self._queues:
            queue.put_nowait(event)


async def serve() -> None:
    """Serve the stream until the load generator has gone."""
    usual = Usual()
    config = uvicorn.Config(
        Starlette(routes=[Route("/stream", usual.stream)]),
        loop="uvloop",
        http="httptools",
        log_level="error",
        timeout_graceful_shutdown=1,
    )
    bound = socket.create_server(("127.0.0.1", 0), backlog=2048)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve([bound]))
    say(port=bound.getsockname()[1])
    await obey(usual.publish)
    server.should_exit = True
    await running


if __name__ == "__main__":
    uvloop.run(serve())
