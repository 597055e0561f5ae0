"""Candles of the past with their indicators, for a page or a picture that is looked at longer."""

import re
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from charts.assets import SECURE, Asset
from charts.candles import Candle
from charts.exchange_client import Archive, ExchangeAwayError
from charts.indicators import NAMES, WARM_UP, Value, over
from charts.live import interval_of
from charts.picture import Painter, Picture
from market.problems import ProblemError
from market.wire import encode

SHOWN: Final = 500
MOST: Final = 5000
_TIME: Final = re.compile(r"[0-9TtZz:.+ -]{1,40}", re.ASCII)


class Study:
    """The handlers of the data under the study page and of the picture."""

    def __init__(self, archive: Archive, painter: Painter) -> None:
        self._archive, self._painter = archive, painter

    async def data(self, request: Request) -> Response:
        """Answer the candles of a span and every indicator at each."""
        symbol, interval = _symbol(request), interval_of(request.query_params.get("interval"))
        count = _count(request)
        candles, values = await self._candles(request, symbol, interval, count + WARM_UP)
        shown = slice(max(0, len(candles) - count), None)
        columns = _columns(candles[shown])
        columns |= {name: line[shown] for name, line in values.items()}
        body = encode({"symbol": symbol, "interval": interval, **columns})
        return Asset.of(body, "application/json").answer(request, {"Cache-Control": "no-cache"})

    async def picture(self, request: Request) -> Response:
        """Answer a chart as a PNG."""
        query = request.query_params
        symbol, interval = _symbol(request), interval_of(query.get("interval"))
        wanted = _indicators(query.get("indicators", "sma,ema"))
        candles, values = await self._candles(request, symbol, interval, 150 + WARM_UP)
        if len(candles) < 2:
            raise ProblemError(
                404, "too-few-candles", f"{symbol} has fewer than two candles of {interval} yet."
            )
        lines = {name: line[-150:] for name, line in values.items()}
        picture = Picture(symbol, interval, wanted, tuple(candles[-150:]), lines)
        png = await self._painter.paint(picture)
        headers = {"Cache-Control": "no-cache", "ETag": picture.etag, **SECURE}
        if picture.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(png, media_type="image/png", headers=headers)

    async def _candles(
        self, request: Request, symbol: str, interval: str, count: int
    ) -> tuple[list[Candle], dict[str, list[Value]]]:
        """Return candles, and every indicator at each."""
        try:
            candles = await self._archive.candles(
                symbol, interval, count, _time(request, "from"), _time(request, "to")
            )
            vwap = await self._archive.vwap(symbol, interval, candles)
            return candles, over(candles, vwap)
        except ExchangeAwayError as error:
            if error.status in {404, 422}:
                raise _refused(error) from error
            raise ProblemError(
                502, "exchange-away", f"The exchange does not answer: {error.problem}."
            ) from error


def _refused(error: ExchangeAwayError) -> ProblemError:
    """Return what the exchange says is wrong with what was asked for, in its own words."""
    said = error.said
    members: dict[str, Any] = {"field": said.field} if said.field else {}
    return ProblemError(
        error.status,
        said.type or "not-in-the-archive",
        said.detail or f"The exchange refuses it: {error.problem}.",
        **members,
    )


def _columns(candles: list[Candle]) -> dict[str, Any]:
    return {
        "time": [candle.time for candle in candles],
        "open": [candle.open for candle in candles],
        "high": [candle.high for candle in candles],
        "low": [candle.low for candle in candles],
        "close": [candle.close for candle in candles],
        "volume": [round(candle.volume, 9) for candle in candles],
    }


def _symbol(request: Request) -> str:
    symbol = request.query_params.get("symbol", "")
    if not symbol:
        raise ProblemError(422, "invalid-query", "symbol: is missing.", field="symbol")
    return symbol


def _count(request: Request) -> int:
    text = request.query_params.get("limit", str(SHOWN))
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MOST):
        raise ProblemError(422, "invalid-query", f"limit: from 1 to {MOST}.", field="limit")
    return int(text)


def _time(request: Request, name: str) -> str:
    text = request.query_params.get(name, "")
    if text and not _TIME.fullmatch(text):
        raise ProblemError(422, "invalid-query", f"{name}: a time, RFC 3339.", field=name)
    return text


def _indicators(text: str) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(filter(None, text.lower().split(","))))
    if unknown := [name for name in wanted if name not in NAMES]:
        known = ", ".join(NAMES)
        raise ProblemError(
            422,
            "invalid-query",
            f"indicators: {unknown[0][:40]!r} is none of {known}.",
            field="indicators",
        )
    return wanted
