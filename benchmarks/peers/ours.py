"""Our own stream: hub, endpoint and server as the exchange uses them.

python -m benchmarks.peers.ours [--endpoint] [--loop asyncio] [--tape]
"""

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import uvloop
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.peers.pace import START, SYMBOLS, obey, say
from exchange.metrics import StreamCollector, exposition
from market.broadcast import Broadcast
from market.events import Snapshot
from market.filter import Filter
from market.hub import Hub
from market.server import ServerSettings, serving, spare_the_collector
from market.streaming import StreamEndpoint, StreamSettings
from market.tape import Tape

HISTORY = 100_000


def a_hub(tape: Tape | None) -> Hub:
    """Return a hub whose next events have ids of one length, with a log when there is a tape."""

    def snapshot(_: Filter, event_id: str) -> Snapshot:
        return Snapshot(id=event_id, ticks=())

    hub = Hub(
        epoch=tape.epoch if tape else "0badcafe",
        history=HISTORY,
        kinds=("tick", "trade", "book", "source"),
        default_kinds=("tick", "source"),
        snapshot=snapshot,
        log=tape,
    )
    hub.begin(START)
    if tape is not None:
        tape.begin(hub.head, bytes)
    return hub


def metrics_of(stream: Broadcast) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of the stream's metrics, as the exchange has them."""
    collector = StreamCollector(stream)

    async def metrics(_: Request) -> Response:
        return Response(exposition(collector), media_type=CONTENT_TYPE_LATEST)

    return metrics


async def serve(endpoint: type[StreamEndpoint], tape: Tape | None) -> None:
    """Serve the stream until the load generator has gone."""
    hub = a_hub(tape)
    settings = StreamSettings(heartbeat_s=3600)
    stream = endpoint(hub, settings, subjects=lambda: SYMBOLS)
    routes = [Route("/stream", stream)]
    if isinstance(stream, Broadcast):
        routes.append(Route("/metrics", metrics_of(stream)))
    app = Starlette(routes=routes)
    async with serving(app, ServerSettings(), hub.close) as url:
        spare_the_collector()
        say(port=urlsplit(url).port)
        await obey(hub.publish)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", action="store_true", help="sse-starlette's response")
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    parser.add_argument("--tape", action="store_true", help="keep the events on disk too")
    chosen = parser.parse_args()
    endpoint = StreamEndpoint if chosen.endpoint else Broadcast
    loop = uvloop.new_event_loop if chosen.loop == "uvloop" else asyncio.new_event_loop
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=loop) as runner:
        tape = Tape(Path(folder), HISTORY) if chosen.tape else None
        runner.run(serve(endpoint, tape))


if __name__ == "__main__":
    main()
