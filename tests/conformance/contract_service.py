"""A contract test service for the client, as LaunchDarkly's harness for SSE clients asks for one.

    python -m tests.conformance.contract_service [--port 8000]
    sse-contract-tests --url http://127.0.0.1:8000 --host 127.0.0.1

The harness makes streams, has this service read them with `market.feed.Feed`, and is called back
with what was read, in order: ``<callbackUrl>/1``, ``/2`` and so on.

The client only ever asks with GET, so ``post`` and ``report`` are not among the capabilities.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import count
from typing import Annotated, Any, ClassVar, Final

import msgspec
from msgspec import Meta, Struct
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from market.client import http_client
from market.errors import StreamError
from market.events import Fact
from market.feed import Feed, FeedEnded, FeedLost
from market.problems import HANDLERS, ProblemError
from market.server import ServerSettings, serve
from market.sse import Message

CAPABILITIES: Final = (
    "bom",
    "comments",
    "cr-only",
    "event-type-listeners",
    "headers",
    "last-event-id",
    "read-timeout",
    "restart",
    "retry",
    "server-directed-shutdown-request",
)


class StreamWanted(Struct, rename="camel"):
    """What the harness asks for; times are in milliseconds."""

    stream_url: str
    callback_url: str
    tag: str | None = None
    initial_delay_ms: Annotated[int, Meta(ge=0)] | None = None
    read_timeout_ms: Annotated[int, Meta(ge=1)] | None = None
    last_event_id: str | None = None
    headers: dict[str, str] | None = None


class Command(Struct):
    """What the harness wants of a stream that is there."""

    command: str


class Heard(Fact, frozen=True, kw_only=True):
    """A message as it was dispatched."""

    kind: ClassVar[str] = "heard"

    message: Message


class VerbatimFeed(Feed):
    """A feed whose facts are the messages themselves, whatever they say."""

    def _decoded(self, messages: Iterable[Message]) -> list[Fact]:
        return [Heard(message=message) for message in messages]


class Reading:
    """One stream that is read, and its reports."""

    def __init__(self, wanted: StreamWanted) -> None:
        self._wanted, self._numbers = wanted, count(1)
        self._client = http_client(headers=wanted.headers or {})
        self._last_id = wanted.last_event_id or ""
        self._comments: list[str] = []
        self._task = asyncio.create_task(self._read())

    async def restart(self) -> None:
        """Hang up, and go on from the last id after the usual wait."""
        await self._stop()
        await asyncio.sleep(self._delay_s)
        self._task = asyncio.create_task(self._read())

    async def close(self) -> None:
        """Stop reading for good."""
        await self._stop()
        await self._client.aclose()

    @property
    def _delay_s(self) -> float:
        delay_ms = self._wanted.initial_delay_ms
        return 1.0 if delay_ms is None else delay_ms / 1000

    async def _stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> None:
        silence_s = (self._wanted.read_timeout_ms or 300_000) / 1000
        feed = VerbatimFeed(
            self._wanted.stream_url,
            client=self._client,
            last_id=self._last_id,
            silence_s=silence_s,
            retry_s=self._delay_s,
            on_comment=self._comments.append,
        )
        try:
            async for facts in feed.batches():
                self._last_id = feed.last_id
                await self._report(facts)
        except StreamError as error:
            await self._call({"kind": "error", "comment": str(error), "error": str(error)})

    async def _report(self, facts: Iterable[Fact]) -> None:
        comments, self._comments[:] = self._comments[:], ()
        for text in comments:
            await self._call({"kind": "comment", "comment": text})
        for fact in facts:
            await self._tell(fact)

    async def _tell(self, fact: Fact) -> None:
        if isinstance(fact, Heard):
            message = fact.message
            event = {"type": message.event, "data": message.data, "id": message.id}
            await self._call({"kind": "event", "event": event})
        elif isinstance(fact, FeedLost | FeedEnded):
            why = fact.reason if isinstance(fact, FeedLost) else "the server says: no more"
            await self._call({"kind": "error", "comment": why, "error": why})

    async def _call(self, report: dict[str, Any]) -> None:
        url = f"{self._wanted.callback_url}/{next(self._numbers)}"
        await self._client.post(url, json=report)


class ContractService:
    """The streams of one run, and the handlers that make and end them."""

    def __init__(self) -> None:
        self._readings: dict[int, Reading] = {}
        self._numbers = count(1)

    async def describe(self, _: Request) -> Response:
        """Say what the client can do."""
        return JSONResponse({"name": "sandpit feed", "capabilities": list(CAPABILITIES)})

    async def create(self, request: Request) -> Response:
        """Begin to read a stream."""
        wanted = await _body(request, StreamWanted)
        number = next(self._numbers)
        self._readings[number] = Reading(wanted)
        location = f"{request.base_url}streams/{number}"
        return Response(status_code=201, headers={"Location": location})

    async def command(self, request: Request) -> Response:
        """Do to a stream what the harness wants; listening to all types is what we do anyway."""
        reading = self._reading(request)
        wanted = await _body(request, Command)
        if wanted.command not in {"restart", "listen"}:
            raise ProblemError(400, "unknown-command", wanted.command[:80])
        if wanted.command == "restart":
            await reading.restart()
        return Response(status_code=202)

    async def end(self, request: Request) -> Response:
        """Stop reading a stream."""
        await self._reading(request).close()
        del self._readings[request.path_params["number"]]
        return Response(status_code=204)

    async def close(self) -> None:
        """Stop reading all of them."""
        for reading in self._readings.values():
            await reading.close()

    def _reading(self, request: Request) -> Reading:
        reading = self._readings.get(request.path_params["number"])
        if reading is None:
            raise ProblemError(404, "unknown-stream", "There is no such stream.")
        return reading


async def _body(request: Request, type: type[Any]) -> Any:
    try:
        return msgspec.json.decode(await request.body(), type=type)
    except msgspec.DecodeError as error:
        raise ProblemError(400, "bad-request", str(error)) from error


def create_app() -> Starlette:
    """Return the service as an application."""
    service = ContractService()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await service.close()

    return Starlette(
        routes=[
            Route("/", service.describe),
            Route("/", service.create, methods=["POST"]),
            Route("/streams/{number:int}", service.command, methods=["POST"]),
            Route("/streams/{number:int}", service.end, methods=["DELETE"]),
        ],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )


def main() -> None:
    """Serve until it is told to stop."""
    parser = argparse.ArgumentParser(description="contract test service for the stream's client")
    parser.add_argument("--port", type=int, default=8000)
    settings = ServerSettings(port=parser.parse_args().port, port_setting="--port")
    asyncio.run(serve(create_app(), settings))


if __name__ == "__main__":
    main()
