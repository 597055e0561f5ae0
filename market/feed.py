"""Read one stream for ever: reconnect, resume where it broke off, and say what happened.

httpx-sse opens the connection; `market.sse` decodes it (that module says why).
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from email.utils import parsedate_to_datetime
from random import Random
from typing import Any, ClassVar, Final

import httpx
from httpx_sse import EventSource, aconnect_sse

from market.clock import Clock, SystemClock
from market.errors import GarbledEventError, StreamError
from market.events import Fact
from market.sse import EventDecoder, Message, OversizedEventError
from market.wire import Decoder, EventId

_TRY_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_HINT_S: Final = 60.0
_SHORTEST_BACKOFF_S: Final = 0.1
_UNSENDABLE: Final = re.compile(rb"[\x00-\x1f\x7f]")


class FeedOpened(Fact, frozen=True, kw_only=True):
    """The stream answers, from the last id on."""

    kind: ClassVar[str] = "opened"


class FeedLost(Fact, frozen=True, kw_only=True):
    """The stream broke off; it is tried again after ``retry_s``."""

    kind: ClassVar[str] = "lost"

    reason: str
    retry_s: float


class FeedGarbled(Fact, frozen=True, kw_only=True):
    """A frame came whose data is not what it says; the stream goes on after it."""

    kind: ClassVar[str] = "garbled"

    problem: str


class FeedEnded(Fact, frozen=True, kw_only=True):
    """The server says that there is nothing more to come, ever."""

    kind: ClassVar[str] = "ended"


class _LostError(Exception):
    """This connection is over; the next may work."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.wait_s = reason, wait_s


class Feed:
    """The facts of one stream, over however many connections it takes.

    Iterating yields the stream's facts in order, each once, and between them what happened to
    the line: FeedOpened, FeedLost, FeedGarbled, and FeedEnded as the very last. A reconnection
    resumes after the last id; what the server can't replay comes as its own ``Gap``.

    Args:
        url: of the stream; its query holds the filters.
        client: makes the requests; it stays open.
        decoder: knows the kinds of facts; events of other kinds are passed over.
        last_id: where to resume from, "" to begin anew.
        headers: go with each request, such as a key.
        silence_s: without a single byte for this long the line is dead; 3 heartbeats.
        retry_s: the least wait between two attempts until the server asks for another.
        retry_cap_s: the longest wait that we choose between two attempts; a server that is full
            may ask for more with Retry-After, up to a minute.
        on_comment: called with each comment, such as heartbeats.
        rng: jitters the waits.

    Raises:
        StreamError: while iterating, when trying again can't help: the answer is not an event
            stream, or a 4xx other than 408, 425 and 429.
    """

    def __init__(
        self,
        url: str,
        *,
        client: httpx.AsyncClient,
        decoder: Decoder | None = None,
        last_id: str = "",
        headers: Mapping[str, str] | None = None,
        silence_s: float = 45.0,
        retry_s: float = 1.0,
        retry_cap_s: float = 5.0,
        on_comment: Callable[[str], None] | None = None,
        clock: Clock | None = None,
        rng: Random | None = None,
    ) -> None:
        self.url, self.last_id = url, last_id
        self._client, self._decoder = client, decoder or Decoder()
        self._headers = dict(headers or {})
        self._timeout = httpx.Timeout(5.0, read=silence_s)
        self._retry_s, self._retry_cap_s = retry_s, retry_cap_s
        self._on_comment = on_comment
        self._clock, self._rng = clock or SystemClock(), rng or Random()
        self._failures = 0

    async def __aiter__(self) -> AsyncIterator[Fact]:
        """Yield facts until the server says that there are no more."""
        async with aclosing(self.batches()) as batches:
            async for facts in batches:
                for fact in facts:
                    yield fact

    async def batches(self) -> AsyncGenerator[list[Fact], None]:
        """Yield the same facts, those that arrived together in one list."""
        while True:
            try:
                async with aclosing(self._connection()) as connection:
                    async for facts in connection:
                        yield facts
                yield [FeedEnded()]
                return
            except _LostError as lost:
                wait_s = max(self._wait_s(), lost.wait_s)
                yield [FeedLost(reason=lost.reason, retry_s=wait_s)]
            await asyncio.sleep(wait_s)

    async def _connection(self) -> AsyncGenerator[list[Fact], None]:
        """Yield what one connection brings; return when the server says 204, else raise."""
        try:
            async with self._opened() as source:
                if source.response.status_code == 204:
                    return
                self._check(source.response)
                yield [FeedOpened()]
                async with aclosing(self._facts(source.response)) as batches:
                    async for facts in batches:
                        yield facts
        except (httpx.TooManyRedirects, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise StreamError(self.url, f"{type(error).__name__}: {error}") from error
        except (httpx.RequestError, OversizedEventError) as error:
            raise _LostError(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        raise _LostError("the stream ended")

    def _opened(self) -> AbstractAsyncContextManager[EventSource]:
        headers: dict[str, Any] = dict(self._headers)
        if self.last_id:
            headers["Last-Event-ID"] = _as_header(self.last_id)
        return aconnect_sse(
            self._client,
            "GET",
            self.url,
            headers=headers,
            timeout=self._timeout,
            follow_redirects=True,
            auth=_as_a_browser_asks,
        )

    async def _facts(self, response: httpx.Response) -> AsyncGenerator[list[Fact], None]:
        decoder = EventDecoder(self.last_id)
        resumed = EventId.parse(self.last_id)
        async for chunk in response.aiter_bytes():
            messages = decoder.feed(chunk)
            self._heed(decoder)
            if resumed is not None and messages:
                messages = [message for message in messages if not _is_old(message, resumed)]
                resumed = None if messages else resumed
            facts = self._decoded(messages)
            if resumed is None or not _is_before(decoder.last_id, resumed):
                self.last_id = decoder.last_id
            if facts:
                self._failures = 0
                yield facts

    def _heed(self, decoder: EventDecoder) -> None:
        """Take up what the server says beside its events."""
        if self._on_comment is not None:
            for comment in decoder.comments:
                self._on_comment(comment)
        if decoder.retry_ms is not None:
            self._retry_s = decoder.retry_ms / 1000

    def _decoded(self, messages: Iterable[Message]) -> list[Fact]:
        facts: list[Fact] = []
        for message in messages:
            try:
                fact = self._decoder.decode(message.event, message.data)
            except GarbledEventError as error:
                fact = FeedGarbled(problem=str(error))
            if fact is not None:
                facts.append(fact)
        return facts

    def _check(self, response: httpx.Response) -> None:
        """Raise unless the answer is an event stream."""
        status = response.status_code
        if status in _TRY_AGAIN:
            wait_s = min(_retry_after_s(response, self._clock), _LONGEST_HINT_S)
            raise _LostError(f"HTTP status {status}", wait_s)
        if status != 200:
            raise StreamError(self.url, f"HTTP status {status}")
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "text/event-stream":
            raise StreamError(self.url, f"content type {kind[:80]!r} is not text/event-stream")

    def _wait_s(self) -> float:
        """Return the next wait: at least what the server asked for, and longer each time."""
        backoff_s = 1.5 * max(self._retry_s, _SHORTEST_BACKOFF_S) * 2.0**self._failures
        self._failures = min(self._failures + 1, 16)
        least_s = min(self._retry_s, self._retry_cap_s)
        return self._rng.uniform(least_s, min(backoff_s, self._retry_cap_s))


def _as_a_browser_asks(request: httpx.Request) -> httpx.Request:
    request.headers["Cache-Control"] = "no-cache"  # httpx-sse says no-store, the standard this
    return request


def _as_header(last_id: str) -> bytes:
    """Return an id as the standard sends it, in UTF-8; what no header can hold becomes ``?``."""
    return _UNSENDABLE.sub(b"?", last_id.encode().strip())


def _is_old(message: Message, resumed: EventId) -> bool:
    """Tell whether a replay begins with what was already seen, as an id of its own proves."""
    if message.event == "snapshot" or not message.is_numbered:
        return False
    return message.id == str(resumed) or _is_before(message.id, resumed)


def _is_before(event_id: str, resumed: EventId) -> bool:
    here = EventId.parse(event_id)
    return here is not None and here.epoch == resumed.epoch and here.n < resumed.n


def _retry_after_s(response: httpx.Response, clock: Clock) -> float:
    text = response.headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - clock.now()).total_seconds())
    except (ValueError, TypeError):
        return 0.0
