"""A hub as a Starlette endpoint: what a reader asked for, what it is told first, how it ends.

``StreamEndpoint`` answers with sse-starlette, which is right for streams with a handful of readers.
`market.broadcast` answers the same requests, with the same manners, for thousands.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import anyio
import structlog
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from market.clock import Clock, SystemClock
from market.connection import OUTLET
from market.filter import Filter
from market.hub import Hub
from market.problems import ProblemError
from market.reader import Reader
from market.settings import Environment, real, whole

log = structlog.get_logger("market.streaming")

HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
MEDIA_TYPE: Final = "text/event-stream; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """The limits of a stream, as `.env_template` describes them."""

    heartbeat_s: float = 15.0
    send_timeout_s: float = 10.0
    max_streams: int = 10_000
    max_streams_per_address: int = 10_000

    @classmethod
    def from_env(cls, env: Environment) -> "StreamSettings":
        """Read the limits; raise SettingsError that names the wrong one."""
        return cls(
            heartbeat_s=env.read("HEARTBEAT_S", real(0.05, 3600)),
            send_timeout_s=env.read("SEND_TIMEOUT_S", real(0.05, 3600)),
            max_streams=env.read("MAX_STREAMS", whole(1, 1_000_000)),
            max_streams_per_address=env.read("MAX_STREAMS_PER_ADDRESS", whole(1, 1_000_000)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Variants:
    """The variants that a kind of event comes in, as the query parameter ``name`` asks for them."""

    name: str
    known: Collection[str]
    default: str

    def asked(self, query: Mapping[str, str]) -> frozenset[str]:
        """Return those that a query names; raise the 422 problem when it names one wrong."""
        chosen = frozenset(filter(None, query.get(self.name, "").split(",")))
        if unknown := sorted(chosen - set(self.known)):
            raise ProblemError(
                422,
                "invalid-query",
                f"{self.name}={unknown[0][:40]}: known are {', '.join(self.known)}",
                field=self.name,
            )
        return chosen or frozenset([self.default])


class Admission:
    """Counts the open streams, and those cut off; one too many it refuses, politely."""

    def __init__(self, settings: StreamSettings) -> None:
        self._settings = settings
        self._by_address: Counter[str] = Counter()
        self.open, self.refused, self.evicted = 0, 0, 0

    def enter(self, address: str) -> None:
        """Count a stream in; raise the 503 problem when there is no room for it."""
        full = self.open >= self._settings.max_streams
        if full or self._by_address[address] >= self._settings.max_streams_per_address:
            self.refused += 1
            which = "MAX_STREAMS" if full else "MAX_STREAMS_PER_ADDRESS"
            raise ProblemError(
                503,
                "too-many-streams",
                f"No room for another stream ({which}).",
                headers={"Retry-After": "5"},
            )
        self.open += 1
        self._by_address[address] += 1

    def leave(self, address: str) -> None:
        """Count a stream out."""
        self.open -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]


class StreamEndpoint:
    """``GET /stream`` of a hub, as an ASGI application for a Route.

    Args:
        hub: what is streamed.
        settings: the limits.
        subjects: gives what ``symbols=`` may name; an unknown one is answered 404. Without it the
            parameter is passed over, as any unknown one.
        subject_name: how the query parameter is called.
        variants: the kinds that come in several, of which a reader asks for some.
        clock: the time in the heartbeat.
        admission: counts the streams of several endpoints together; its own alone by default.
    """

    def __init__(
        self,
        hub: Hub,
        settings: StreamSettings,
        *,
        subjects: Callable[[], Collection[str]] | None = None,
        subject_name: str = "symbols",
        variants: Mapping[str, Variants] = MappingProxyType({}),
        clock: Clock | None = None,
        admission: Admission | None = None,
    ) -> None:
        self.hub, self.settings = hub, settings
        self.admission = admission or Admission(settings)
        self._clock = clock or SystemClock()
        self._subjects, self._subject_name = subjects, subject_name
        self._variants = variants
        self.readers: set[Reader] = set()
        self.bytes_sent, self._delivered = 0, 0

    @property
    def delivered(self) -> int:
        """How many events went to readers, those that have left and those that are there."""
        return self._delivered + sum(reader.events for reader in self.readers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the route lets GET and HEAD alone through."""
        request = Request(scope, receive)
        wishes, last_id = self.asked(request)
        if scope["method"] == "HEAD":
            head = Response(headers=HEADERS, media_type=MEDIA_TYPE)
            del head.headers["content-length"]  # the body would have no end
            await head(scope, receive, send)
            return
        address = scope["client"][0] if scope.get("client") else "?"
        self.admission.enter(address)
        try:
            reader = await self.reader(wishes, last_id)
            if self.hub.over and reader.cursor == self.hub.head:  # there is nothing more, ever
                await Response(status_code=204)(scope, receive, send)
            else:
                with self._counted(reader):
                    await self.respond(reader, scope, receive, send)
        finally:
            self.admission.leave(address)

    @contextmanager
    def _counted(self, reader: Reader) -> Iterator[None]:
        """Count a reader for the length of the block, and what it got for ever."""
        self.readers.add(reader)
        try:
            yield
        finally:
            self.readers.discard(reader)
            self._delivered += reader.events

    async def reader(self, wishes: Filter, last_id: str | None) -> Reader:
        """Return the reader that a request is answered with."""
        return self.hub.reader(wishes, last_id)

    async def respond(self, reader: Reader, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream to one reader until it leaves or the hub is closed."""
        response = EventSourceResponse(
            self._frames(reader),
            headers=HEADERS,
            sep="\n",
            ping=self.settings.heartbeat_s,
            ping_message_factory=lambda: ServerSentEvent(comment=self.heartbeat(), sep="\n"),
            send_timeout=self.settings.send_timeout_s,
        )
        try:
            await response(scope, receive, send)
        except SendTimeoutError:  # it takes nothing: to say goodbye would wait for ever
            log.info("reader_evicted", behind=reader.lag)
            self.admission.evicted += 1
            await cut_off(scope, receive)

    async def told_of_gap(self, reader: Reader) -> bytes:
        """Return what a reader is told that has fallen out of the history."""
        return reader.take()

    async def _frames(self, reader: Reader) -> AsyncGenerator[bytes, None]:
        """Yield what is due to a reader, whole frames at a time, until it has had its farewell."""
        news = anyio.Event()

        def wake() -> None:
            news.set()

        async def published() -> None:
            nonlocal news
            news = anyio.Event()
            await news.wait()

        stop = self.hub.listen(wake)
        try:
            while not reader.ended:
                await _until_due(reader, self.hub, published)
                due = await self.told_of_gap(reader) if reader.is_overtaken else reader.take()
                if due:
                    self.bytes_sent += len(due)
                    yield due
        finally:
            stop()

    def heartbeat(self) -> str:
        """Return the text of the comment that keeps a quiet line alive."""
        return f"heartbeat {self.hub.id} {self._clock.now():%Y-%m-%dT%H:%M:%S.%fZ}"

    def asked(self, request: Request) -> tuple[Filter, str | None]:
        """Return the filter and last id that a request asks for; raise a problem when it errs."""
        given = request.query_params  # a list may come in one parameter or in several
        lists = {"events", self._subject_name, *(of.name for of in self._variants.values())}
        query = dict(given) | {name: ",".join(given.getlist(name)) for name in lists & set(given)}
        wishes = self.hub.filter(
            kinds=self._kinds(query), subjects=self._about(query), conflate_ms=_conflate_ms(query)
        )
        last_id = request.headers.get("last-event-id") or query.get("last_event_id")
        return wishes, last_id

    def _kinds(self, query: Mapping[str, str]) -> frozenset[str] | None:
        """Return the kinds asked for; one that comes in variants as each that is asked for."""
        kinds = self._named(query)
        asked = {kind: of.asked(query) for kind, of in self._variants.items()}
        if kinds is None or kinds.isdisjoint(asked):
            return kinds
        varied = {f"{kind}:{one}" for kind in kinds & asked.keys() for one in asked[kind]}
        return kinds - asked.keys() | varied

    def _named(self, query: Mapping[str, str]) -> frozenset[str] | None:
        if "events" not in query:
            return None
        kinds = frozenset(filter(None, query["events"].split(",")))
        if unknown := sorted(kinds - self.hub.kinds):
            known = ", ".join(sorted(self.hub.kinds))
            raise ProblemError(
                422, "invalid-query", f"events={unknown[0][:40]}: known are {known}", field="events"
            )
        return kinds or None

    def _about(self, query: Mapping[str, str]) -> frozenset[str] | None:
        name = self._subject_name
        if name not in query or self._subjects is None:
            return None
        about = frozenset(filter(None, query[name].split(",")))
        if unknown := sorted(about - set(self._subjects())):
            raise ProblemError(
                404,
                f"unknown-{name.removesuffix('s')}",
                f"{name}={unknown[0][:40]}: not streamed here.",
                field=name,
            )
        return about or None


async def cut_off(scope: Scope, receive: Receive) -> None:
    """Hang up on a client that takes nothing, and return when it is gone."""
    if connection := (scope.get("extensions") or {}).get(OUTLET):
        connection.transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass


def _conflate_ms(query: Mapping[str, str]) -> int | None:
    if "conflate" not in query:
        return None
    text = query["conflate"]
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 10 <= int(text) <= 60_000):
        raise ProblemError(
            422, "invalid-query", "conflate: milliseconds, 10 to 60000.", field="conflate"
        )
    return int(text)


async def _until_due(reader: Reader, hub: Hub, published: Callable[[], Awaitable[None]]) -> None:
    """Return when there is something to take, and the window is over, if there is one."""
    if reader.is_due:
        return
    if reader.cursor == hub.head:
        await published()
    if reader.wishes.conflate_ms is not None:
        with anyio.move_on_after(reader.wishes.conflate_ms / 1000):
            while not hub.closed:
                await published()
