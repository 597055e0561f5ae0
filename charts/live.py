"""The stream of a page: what changed on the board, conflated, a few times a second."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

import anyio
from sse_starlette import EventSourceResponse
from sse_starlette.sse import SendTimeoutError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from charts.board import Board
from charts.candles import INTERVALS
from charts.gallery import Gallery
from market.problems import ProblemError
from market.streaming import HEADERS, Admission, StreamSettings
from market.wire import EventId, encode, frame

BEAT_S: Final = 1.0
RETRY_MS: Final = 1000
DEFAULT_INTERVAL: Final = "5s"
_OF_ALL: Final = ("instrument", "tick", "spark", "source", "trading", "account", "risk", "link")


@dataclass(frozen=True, slots=True)
class View:
    """What one page looks at."""

    symbol: str
    interval: str
    account: str


class Live:
    """``GET /live`` for pages.

    A message is an object whose members are the parts of the board that changed since the page's
    last id; its id is the board's version. A first message, or one after an id of another life,
    is called ``snapshot`` and has everything; the others are ``update``. A quiet board is heard of
    once a second, so that a page knows how old what it shows is.

    Args:
        status: gives what goes with every message.
        rate: messages a second, at most.
        want: told of the account that a page looks at.
    """

    def __init__(
        self,
        board: Board,
        gallery: Gallery,
        settings: StreamSettings,
        *,
        status: Callable[[], dict[str, Any]],
        rate: float,
        want: Callable[[str], None],
    ) -> None:
        self._board, self._gallery, self._settings = board, gallery, settings
        self._status, self._want, self._pause_s = status, want, 1 / rate
        self.admission = Admission(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one page; the route lets GET and HEAD alone through."""
        request = Request(scope, receive)
        view, seen = self.view(request), _seen(request)
        if scope["method"] == "HEAD":
            await Response(media_type="text/event-stream", headers=HEADERS)(scope, receive, send)
            return
        address = scope["client"][0] if scope.get("client") else "?"
        self.admission.enter(address)
        try:
            await self._respond(view, seen, scope, receive, send)
        finally:
            self.admission.leave(address)

    def view(self, request: Request) -> View:
        """Return what a request looks at; raise the problem when there is no such thing."""
        query = request.query_params
        listed = self._board.all("instrument")
        symbol = query.get("symbol") or next(iter(listed or self._board.all("tick")), "")
        if symbol and listed and symbol not in listed:  # until they are listed, it may come
            raise ProblemError(404, "unknown-symbol", f"There is no symbol {symbol[:40]!r}.")
        return View(symbol, interval_of(query.get("interval")), query.get("account", "")[:64])

    def message(self, view: View, version: int) -> dict[str, Any]:
        """Return what a page that has seen ``version`` lacks."""
        board = self._board
        found: dict[str, Any] = {kind: board.changed(kind, version) for kind in _OF_ALL}
        found["book"] = board.changed("book", version, [view.symbol])
        found["orders"] = board.changed("orders", version, [view.account])
        found["trade"] = board.logged("trade", version, view.symbol)
        found["fill"] = board.logged("fill", version, view.symbol)
        found["event"] = board.logged("event", version)
        found["equity"] = {
            name: news
            for name in board.keys("equity")
            if (news := board.logged("equity", version, name))
        }
        found["candles"] = self._candles(view, version)
        return {kind: news for kind, news in found.items() if news}

    def _candles(self, view: View, version: int) -> dict[str, Any] | None:
        is_known = any(self._board.get(kind, view.symbol) for kind in ("instrument", "tick"))
        if not is_known:  # there would be nothing of it however often it is asked for
            return None
        series = self._gallery.want(view.symbol, view.interval)
        return None if series is None else series.since(version)

    def _version(self, seen: EventId | None) -> int:
        if seen is None or seen.epoch != self._board.epoch or seen.n > self._board.version:
            return 0
        return seen.n

    async def _respond(
        self, view: View, seen: EventId | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        response = EventSourceResponse(
            self._frames(view, seen),
            headers=HEADERS,
            sep="\n",
            ping=3600,  # the beat keeps the line alive
            send_timeout=self._settings.send_timeout_s,
        )
        try:
            await response(scope, receive, send)
        except SendTimeoutError:  # a page that takes nothing; it comes back by itself
            while (await receive())["type"] != "http.disconnect":
                pass

    async def _frames(self, view: View, last: EventId | None) -> AsyncIterator[bytes]:
        news = asyncio.Event()
        stop = self._board.listen(news.set)
        epoch, version, heard = self._board.epoch, self._version(last), float("-inf")
        try:
            while not self._board.closed:
                if epoch != self._board.epoch:
                    epoch, version = self._board.epoch, 0
                self._want(view.account)
                first, seen = version == 0, self._board.version
                found = self.message(view, version)
                if found or monotonic() - heard >= BEAT_S:
                    heard, version = monotonic(), seen
                    yield self._frame("snapshot" if first else "update", found, epoch, version)
                await asyncio.sleep(self._pause_s)
                news.clear()
                if self._board.version == seen:
                    with anyio.move_on_after(BEAT_S):
                        await news.wait()
            yield frame("shutdown", b'{"reason":"stopping"}', retry_ms=RETRY_MS)
        finally:
            stop()

    def _frame(self, kind: str, found: dict[str, Any], epoch: str, version: int) -> bytes:
        data = {"time": datetime.now(UTC), "status": self._status(), **found}
        retry_ms = RETRY_MS if kind == "snapshot" else None
        return frame(kind, encode(data), id=EventId(epoch, version), retry_ms=retry_ms)


def _seen(request: Request) -> EventId | None:
    given = request.headers.get("last-event-id") or request.query_params.get("last_event_id")
    return EventId.parse(given or "")


def interval_of(text: str | None) -> str:
    """Return an interval by its name, the default for none; raise the 422 problem for another."""
    if not text:
        return DEFAULT_INTERVAL
    if text not in INTERVALS:
        known = ", ".join(INTERVALS)
        raise ProblemError(422, "invalid-query", f"interval: one of {known}.", field="interval")
    return text
