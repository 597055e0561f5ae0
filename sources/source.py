"""One symbol on the air: ticks go to the hub when they are due, and readers are waited for."""

from collections.abc import Callable, Iterator
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from market.errors import MarketError
from market.events import Tick
from market.hub import Hub
from market.problems import ProblemError
from market.reader import Reader
from market.streaming import StreamEndpoint, StreamSettings
from market.values import Symbol
from market.wire import encode
from sources.pacing import BURST, pace

ENDED: Final = "end of recording"
FAILED: Final = "the source failed"

log = structlog.get_logger("sources.source")

Plan = Iterator[tuple[float, Callable[[], Tick]]]


class Audience:
    """Who reads a hub now, and how far behind the slowest of them is.

    A reader that has left counts with the place where it left until another comes: what it has not
    read is still held for it.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub, self._readers, self._left_at = hub, set[Reader](), 0
        self.had_any = False

    def enter(self, reader: Reader) -> None:
        """Count a reader in."""
        self._readers.add(reader)
        self.had_any = True

    def leave(self, reader: Reader) -> None:
        """Count a reader out."""
        self._readers.discard(reader)
        self._left_at = reader.cursor

    @property
    def lag(self) -> int:
        """How many events the slowest reader has yet to take."""
        places = [reader.cursor for reader in self._readers] or [self._left_at]
        return self._hub.head - min(places)


class SourceStream(StreamEndpoint):
    """The stream of a source: 204 once a recording has ended, 503 when the ticks have failed."""

    def __init__(self, source: "Source", settings: StreamSettings) -> None:
        super().__init__(source.hub, settings)
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a hub that closed without an end is no end for its readers."""
        if self.hub.closed and not self._source.ended:
            raise ProblemError(
                503, "source-down", "No more ticks come from here.", headers={"Retry-After": "1"}
            )
        await super().__call__(scope, receive, send)

    async def respond(self, reader: Reader, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream to one reader, and know that it is there."""
        self._source.audience.enter(reader)
        try:
            await super().respond(reader, scope, receive, send)
        finally:
            self._source.audience.leave(reader)


class Source:
    """The ticks of one symbol on their way to its hub.

    Args:
        process: what the ticks come from, as health names it.
        hub: where they go.
        plan: when each is due, in seconds from the start, and what makes it.
        waits: hold the ticks until there is a reader, and never outrun one by more than half of
            the hub's history.
        on_failure: called when the ticks end with an error.
    """

    def __init__(
        self,
        symbol: Symbol,
        process: str,
        hub: Hub,
        plan: Plan,
        *,
        waits: bool = False,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self.symbol, self.process, self.hub = symbol, process, hub
        self.audience = Audience(hub)
        self.failure: Exception | None = None
        self.ended = False
        self._plan, self._waits, self._on_failure = plan, waits, on_failure

    async def run(self) -> None:
        """Publish every tick when it is due; when they end or fail, end the stream too."""
        try:
            await self.emit()
        except MarketError as error:  # a bad row: it says all there is to say
            log.error("source_failed", symbol=self.symbol, problem=str(error))
            self._fail(error)
        except Exception as error:  # whatever it is: a quiet market must not look like a calm one
            log.exception("source_failed", symbol=self.symbol, ticks=self.hub.published)
            self._fail(error)
        else:
            self.ended = True
            log.info("source_ended", symbol=self.symbol, ticks=self.hub.published)
            self.hub.close(ENDED)

    async def emit(self) -> None:
        """Publish every tick when it is due; return when there will be no more."""
        burst = max(1, min(BURST, self.hub.history // 4))
        await pace(self._plan, self._publish, held=self._held, burst=burst)

    @property
    def status(self) -> str:
        """How the source is, in a word."""
        return "down" if self.failure else "ended" if self.ended else "up"

    def figures(self) -> dict[str, int]:
        """Return what the source counts, for its health."""
        return {"ticks": self.hub.published}

    async def health(self, _: Request) -> Response:
        """Answer how the source is: 200, or 503 when no ticks come."""
        status = self.status
        body = {"status": status, "symbol": self.symbol, "process": self.process, **self.figures()}
        code = 503 if status == "down" else 200
        return Response(encode(body), status_code=code, media_type="application/json")

    def _fail(self, error: Exception) -> None:
        self.failure = error
        self.hub.close(FAILED)
        self._on_failure()

    def _publish(self, make: Callable[[], Tick]) -> None:
        self.hub.publish(make())

    def _held(self) -> bool:
        if not self._waits:
            return False
        return not self.audience.had_any or self.audience.lag > self.hub.history // 2
