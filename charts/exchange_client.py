"""The exchange over HTTP: what the page asks for that no stream carries."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple, TypeVar

import httpx
import msgspec

from charts.candles import INTERVALS, Candle, CandleBuilder
from charts.facts import AccountSeen, InstrumentSeen
from market.errors import MarketError
from market.events import Tick

T = TypeVar("T")

MOST_TICKS: Final = 1000
MOST_CANDLES: Final = 1000


class ExchangeAwayError(MarketError):
    """The exchange did not answer, or not what it should."""

    def __init__(self, problem: str, status: int = 0) -> None:
        super().__init__(problem)
        self.problem, self.status = problem, status


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

    async def get(self, path: str, wanted: type[T], query: Mapping[str, str] | None = None) -> T:
        """Return an answer as the type that is wanted; raise ExchangeAwayError without it."""
        try:
            answer = await self._client.get(self.url + path, params=query, timeout=self._timeout_s)
        except httpx.HTTPError as error:
            raise ExchangeAwayError(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        if answer.status_code != 200:
            raise ExchangeAwayError(f"HTTP status {answer.status_code}", answer.status_code)
        try:
            return msgspec.json.decode(answer.content, type=wanted, strict=False)
        except msgspec.DecodeError as error:
            raise ExchangeAwayError(f"{path}: {error}") from error

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

    async def history(self, symbol: str, interval: str, count: int) -> History:
        """Return the newest ``count`` candles, and the tick to go on after.

        Raises:
            ExchangeAwayError: the exchange does not answer.
        """
        kept = await self._kept(symbol, interval, count)
        ticks = await self._exchange.ticks(symbol)
        seq = ticks[-1].seq if ticks else 0
        built, forming = _built(interval, ticks)
        if kept is None:
            return History(built[1:][-count:], forming, seq)  # the oldest may have begun before
        closed = [as_candle(each) for each in kept if each.closed]
        begun = [as_candle(each) for each in kept if not each.closed]
        if begun and (forming is None or not built):  # it began before the oldest tick at hand
            return History(closed, begun[-1], seq)
        after = closed[-1].time if closed else -1
        missing = [candle for candle in built[1:] if candle.time > after]
        return History(closed + missing, forming, seq)

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

    async def _kept(
        self, symbol: str, interval: str, count: int, since: str = "", until: str = ""
    ) -> list[CandleSeen] | None:
        """Return what the exchange keeps, None when it is one that keeps no candles."""
        if self._has_candles is False:
            return None
        query = {"symbol": symbol, "interval": interval, "limit": str(min(count, MOST_CANDLES))}
        query |= {name: text for name, text in (("from", since), ("to", until)) if text}
        try:
            found = await self._exchange.get("/candles", list[CandleSeen], query)
        except ExchangeAwayError as error:
            if error.status not in {404, 405} or self._has_candles:
                raise
            self._has_candles = False
            return None
        self._has_candles = True
        return found


def _built(interval: str, ticks: list[Tick]) -> tuple[list[Candle], Candle | None]:
    builder = CandleBuilder(INTERVALS[interval])
    made = [
        builder.take(tick.time.timestamp(), float(tick.price), float(tick.volume)) for tick in ticks
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
