"""The history over HTTP: candles, ticks and trades, a page at a time.

A page is an array; where there are more, its ``Link`` header (RFC 8288) leads to the next one. With
``from`` the pages go forward in time, without it back from ``to``, or from now.
"""

import re
import sqlite3
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64Error
from collections.abc import Callable
from typing import Final, TypeVar
from urllib.parse import urlencode

import structlog
from starlette.requests import Request
from starlette.responses import Response

from exchange.api.answers import json
from exchange.api.requests import Symbols, count
from exchange.archive import EVER, Archive, Page, Place, SlowQueryError, Span
from exchange.candles import INTERVALS, microseconds
from exchange.history import History
from exchange.recent import Recent
from exchange.times import parsed_time
from market.errors import InvalidValueError
from market.events import Tick, Trade
from market.problems import ProblemError
from market.values import Symbol

log = structlog.get_logger("exchange.api")

MOST: Final = 1000
_CURSOR: Final = re.compile(r"([fb])(-?\d{1,19})\.(-?\d{1,19})", re.ASCII)

Item = TypeVar("Item")
Held = TypeVar("Held", Tick, Trade)


class HistoryApi:
    """The handlers of what happened before."""

    def __init__(self, history: History, recent: Recent, symbols: Symbols) -> None:
        self._history, self._recent, self._symbols = history, recent, symbols

    async def candles(self, request: Request) -> Response:
        """Return candles, the oldest first."""
        symbol, limit = self._symbol(request), count(request, "limit", 500, MOST)
        length, span = _length(request), _span(request)
        page = await self._read(lambda archive: archive.candles(symbol, length, span, limit))
        items = page.items if span.forward else page.items[::-1]
        return _answered(request, items, span, page.last)

    async def ticks(self, request: Request) -> Response:
        """Return ticks: the newest first, or from a time on."""
        symbol, limit = self._symbol(request), count(request, "limit", 100, MOST)
        if _is_plain(request):
            found = self._recent.ticks(symbol, limit)
            return _newest(request, found, limit, lambda tick: tick.seq)
        span = _span(request)
        page = await self._read(lambda archive: archive.ticks(symbol, span, limit))
        return _answered(request, page.items, span, page.last)

    async def trades(self, request: Request) -> Response:
        """Return trades: the newest first, or from a time on."""
        symbol, limit = self._symbol(request), count(request, "limit", 100, MOST)
        if _is_plain(request):
            found = self._recent.trades(symbol, limit)
            return _newest(request, found, limit, lambda trade: trade.trade_id)
        span = _span(request)
        page = await self._read(lambda archive: archive.trades(symbol, span, limit))
        return _answered(request, page.items, span, page.last)

    async def _read(self, query: Callable[[Archive], Page[Item]]) -> Page[Item]:
        try:
            return await self._history.read(query)
        except SlowQueryError as error:
            detail = f"The history took too long ({error}); ask for less."
            raise ProblemError(503, "slow-query", detail, headers={"Retry-After": "1"}) from error
        except sqlite3.Error as error:
            log.error("history_not_read", problem=str(error))
            raise ProblemError(503, "no-history", "The history cannot be read.") from error

    def _symbol(self, request: Request) -> Symbol:
        symbol = self._symbols.asked(request)
        if symbol is None:
            raise _invalid("symbol", "is missing")
        return symbol


def _answered(request: Request, items: list[Item], span: Span, last: Place | None) -> Response:
    """Return a page, and where the next one is."""
    answer = json(items)
    if last is not None:
        asked = [(name, text) for name, text in request.query_params.items() if name != "cursor"]
        asked.append(("cursor", _cursor(last, forward=span.forward)))
        answer.headers["Link"] = f'<{request.url.path}?{urlencode(asked)}>; rel="next"'
    return answer


def _newest(
    request: Request, items: list[Held], limit: int, number: Callable[[Held], int]
) -> Response:
    """Return what is at hand in memory; the next page is of the archive."""
    last = None
    if len(items) == limit:
        last = Place(microseconds(items[-1].time), number(items[-1]))
    return _answered(request, items, Span(forward=False), last)


def _is_plain(request: Request) -> bool:
    return request.query_params.keys().isdisjoint(("from", "to", "cursor"))


def _length(request: Request) -> int:
    text = request.query_params.get("interval")
    if text is None:
        raise _invalid("interval", "is missing")
    if text not in INTERVALS:
        raise _invalid("interval", f"one of {', '.join(INTERVALS)}")
    return INTERVALS[text]


def _span(request: Request) -> Span:
    """Return the span that a request asks for; raise the 422 problem that names what is wrong."""
    begin, end = _time(request, "from"), _time(request, "to")
    if begin is not None and end is not None and end < begin:
        raise _invalid("to", "before from")
    after = None
    forward = begin is not None
    if "cursor" in request.query_params:
        forward, after = _place(request.query_params["cursor"])
    return Span(
        -EVER if begin is None else begin,
        EVER if end is None else end,
        forward=forward,
        after=after,
    )


def _time(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return parsed_time(text)
    except InvalidValueError as error:
        raise _invalid(name, str(error)) from error


def _cursor(place: Place, *, forward: bool) -> str:
    text = f"{'f' if forward else 'b'}{place.time}.{place.n}"
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _place(text: str) -> tuple[bool, Place]:
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        found = _CURSOR.fullmatch(urlsafe_b64decode(padded).decode("ascii"))
    except (NoBase64Error, UnicodeError):
        found = None
    if found is None or max(abs(int(found[2])), abs(int(found[3]))) > EVER:
        raise _invalid("cursor", "none that was given here")
    return found[1] == "f", Place(int(found[2]), int(found[3]))


def _invalid(name: str, problem: str) -> ProblemError:
    return ProblemError(422, "invalid-query", f"{name}: {problem}.", field=name)
