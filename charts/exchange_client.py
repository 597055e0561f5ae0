"""The exchange over HTTP: what the page asks for that no stream carries."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, NamedTuple, TypeVar
from urllib.parse import urlencode

import httpx
import msgspec

from charts.candles import DAY_S, INTERVALS, Candle, CandleBuilder
from charts.facts import AccountSeen, InstrumentSeen
from charts.indicators import Vwap
from market.errors import MarketError
from market.events import Tick

T = TypeVar("T")

MOST_TICKS: Final = 1000
MOST_CANDLES: Final = 1000
TRIES: Final = 4


class ExchangeAwayError(MarketError):
    """The exchange did not answer, or not what it should; ``said`` is its own word for that."""

    def __init__(self, problem: str, status: int = 0, said: "Problem | None" = None) -> None:
        super().__init__(problem)
        self.problem, self.status, self.said = problem, status, said or Problem()


class Problem(msgspec.Struct, frozen=True):
    """Why the exchange refused something, as far as it matters here."""

    type: str = ""
    detail: str = ""
    field: str = ""


class CandleSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A candle as the exchange gives it."""

    time: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float
    closed: bool = True
    trades: int = 0


class ExchangeClient:
    """Asks the exchange.

    Args:
        client: makes the requests; it stays open.
        timeout_s: longest wait for an answer.
    """

    def __init__(self, client: httpx.AsyncClient, url: str, *, timeout_s: float) -> None:
        self._client, self.url = client, url.rstrip("/")
        self._timeout_s = timeout_s

    async def get(
        self,
        path: str,
        wanted: type[T],
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """Return an answer as the type that is wanted; raise ExchangeAwayError without it."""
        return self._decoded(path, await self._answer(path, query, headers), wanted)

    async def pages(
        self, path: str, wanted: type[T], headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[T, None]:
        """Yield one page after the other; raise ExchangeAwayError where one does not come."""
        while path:
            answer = await self._answer(path, headers=headers)
            yield self._decoded(path, answer, wanted)
            path = answer.links.get("next", {}).get("url", "")

    async def forward(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> httpx.Response:
        """Return the exchange's own answer to a request of the page."""
        try:
            return await self._client.request(
                method, self.url + path, content=body, headers=headers, timeout=self._timeout_s
            )
        except httpx.HTTPError as error:
            raise ExchangeAwayError(f"{type(error).__name__}: {error}".rstrip(": ")) from error

    async def _answer(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        try:
            answer = await self._client.get(
                self.url + path, params=query, headers=headers, timeout=self._timeout_s
            )
        except httpx.HTTPError as error:
            raise ExchangeAwayError(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        if answer.status_code != 200:
            status = answer.status_code
            raise ExchangeAwayError(f"HTTP status {status}", status, _problem_in(answer))
        return answer

    def _decoded(self, path: str, answer: httpx.Response, wanted: type[T]) -> T:
        try:
            return msgspec.json.decode(answer.content, type=wanted, strict=False)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise ExchangeAwayError(f"{path}: {error}") from error

    async def instruments(self) -> list[InstrumentSeen]:
        """Return what can be traded."""
        return await self.get("/instruments", list[InstrumentSeen])

    async def accounts(self) -> list[AccountSeen]:
        """Return every account that anyone may see."""
        return await self.get("/accounts", list[AccountSeen])

    async def ticks(self, symbol: str) -> list[Tick]:
        """Return the newest ticks of a symbol, the oldest first."""
        query = {"symbol": symbol, "limit": str(MOST_TICKS)}
        found = await self.get("/ticks", list[Tick], query)
        return sorted(found, key=lambda tick: tick.seq)


class History(NamedTuple):
    """Closed candles, the oldest first, the one that forms, and the newest tick in them."""

    closed: list[Candle]
    forming: Candle | None
    seq: int


class Archive:
    """Candles of the past: the exchange's own where it keeps them, else built from its ticks."""

    def __init__(self, exchange: ExchangeClient) -> None:
        self._exchange = exchange
        self._has_candles: bool | None = None

    def forget(self) -> None:
        """Find out anew whether candles are kept: a proxy answers 404, too, for who is away."""
        self._has_candles = None

    async def history(self, symbol: str, interval: str, count: int) -> History:
        """Return the newest ``count`` candles, and the tick to go on after.

        The candle that forms is built from ticks, as it will be from then on. Where it began
        before the ticks that are at hand, it is the exchange's, taken while no tick came.

        Raises:
            ExchangeAwayError: the exchange does not answer.
        """
        ticks = await self._exchange.ticks(symbol)
        kept = await self._kept(symbol, interval, count)
        built, forming = _built(interval, ticks)
        if kept is None or built:
            return _joined(kept, built, forming, _newest(ticks), count)
        seq = -1
        for _ in range(TRIES):
            if seq == (seq := _newest(ticks)):
                break
            kept = await self._kept(symbol, interval, count) or []
            ticks = await self._exchange.ticks(symbol)
        begun = [as_candle(each) for each in kept if not each.closed]
        closed = [as_candle(each) for each in kept if each.closed]
        return History(closed, begun[-1] if begun else forming, seq)

    async def candles(
        self, symbol: str, interval: str, count: int, since: str = "", until: str = ""
    ) -> list[Candle]:
        """Return up to ``count`` candles of a span, the forming one among them, oldest first.

        Raises:
            ExchangeAwayError: the exchange does not answer, or refuses the span.
        """
        kept = await self._kept(symbol, interval, count, since, until)
        if kept is not None:
            return [as_candle(each) for each in kept]
        built, forming = _built(interval, await self._exchange.ticks(symbol))
        found = [*built[1:], *([forming] if forming is not None else [])]
        return found[-count:]

    async def vwap(self, symbol: str, interval: str, candles: Sequence[Candle]) -> Vwap:
        """Return the VWAP of the day up to the first of ``candles``, to go on with.

        What was before is taken from candles of a minute, or of the interval where that is longer.

        Raises:
            ExchangeAwayError: the exchange does not answer.
        """
        if not candles or candles[0].time % DAY_S == 0:
            return Vwap()
        first = candles[0].time
        name, step_s = max(("1m", INTERVALS["1m"]), (interval, INTERVALS[interval]), key=_length)
        midnight, end = first // DAY_S * DAY_S, -(-first // step_s) * step_s
        most = DAY_S // step_s
        kept = await self._kept(symbol, name, most, _written(midnight), _written(end)) or []
        earlier = [as_candle(each) for each in kept]
        if not earlier or earlier[0].time + step_s > first:  # there is nothing from before
            return Vwap()
        return Vwap(earlier, step_s)

    async def _kept(
        self, symbol: str, interval: str, count: int, since: str = "", until: str = ""
    ) -> list[CandleSeen] | None:
        """Return what the exchange keeps, None when it is one that keeps no candles."""
        if self._has_candles is False:
            return None
        query = {"symbol": symbol, "interval": interval, "limit": str(min(count, MOST_CANDLES))}
        query |= {name: text for name, text in (("from", since), ("to", until)) if text}
        try:
            found = await self._pages(query, count)
        except ExchangeAwayError as error:
            if error.status not in {404, 405} or error.said.type.startswith("unknown-"):
                raise
            self._has_candles = False
            return None
        self._has_candles = True
        return found

    async def _pages(self, query: Mapping[str, str], count: int) -> list[CandleSeen]:
        """Return as many pages as it takes, in the order of time."""
        forward = "from" in query
        found: list[CandleSeen] = []
        path = f"/candles?{urlencode(query)}"
        async with aclosing(self._exchange.pages(path, list[CandleSeen])) as pages:
            async for page in pages:
                found = [*found, *page] if forward else [*page, *found]
                if len(found) >= count:
                    break
        return found[:count] if forward else found[-count:]


def _joined(
    kept: list[CandleSeen] | None,
    built: list[Candle],
    forming: Candle | None,
    seq: int,
    count: int,
) -> History:
    """Return what is kept, and behind it what the ticks say that is newer."""
    whole = built[1:]  # the oldest may have begun before the oldest tick
    if kept is None:
        return History(whole[-count:], forming, seq)
    begin = whole[0].time if whole else float("inf") if forming is None else forming.time
    closed = [candle for candle in map(as_candle, kept) if candle.time < begin]
    return History([*closed, *whole], forming, seq)


def _length(named: tuple[str, int]) -> int:
    return named[1]


def _written(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _problem_in(answer: httpx.Response) -> Problem:
    try:
        return msgspec.json.decode(answer.content, type=Problem)
    except (msgspec.DecodeError, UnicodeError):
        return Problem()


def _newest(ticks: list[Tick]) -> int:
    return ticks[-1].seq if ticks else 0


def _built(interval: str, ticks: list[Tick]) -> tuple[list[Candle], Candle | None]:
    builder = CandleBuilder(INTERVALS[interval])
    made = [
        builder.take(tick.time.timestamp(), float(tick.price), float(tick.volume))
        for tick in sorted(ticks, key=lambda tick: tick.time)  # none of them is late
    ]
    return [candle for candle in made if candle is not None], builder.forming


def as_candle(seen: CandleSeen) -> Candle:
    """Return a candle of the wire as ours."""
    return Candle(
        int(seen.time.timestamp()),
        seen.open,
        seen.high,
        seen.low,
        seen.close,
        seen.volume,
        seen.trades,
    )


def number(value: Decimal | float | None) -> float | None:
    """Return a number as a page takes it."""
    return None if value is None else float(value)
