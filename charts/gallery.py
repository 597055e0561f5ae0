"""The series that pages look at: filled from the past when first wanted, then kept up to date."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

import structlog

from charts.exchange_client import Archive, ExchangeAwayError
from charts.indicators import WARM_UP, InvalidCandleError
from charts.series import Series
from market.events import Tick

log = structlog.get_logger("charts.gallery")

IDLE_S: Final = 300.0
AGAIN_S: Final = 1.0
LATE_S: Final = 10.0
MOST_WAITING: Final = 20_000

Key = tuple[str, str]


@dataclass(slots=True)
class Place:
    """A series, or that it is being filled; ticks wait meanwhile."""

    wanted: float
    series: Series | None = None
    filled: float = float("-inf")
    filling: asyncio.Task[None] | None = None
    waiting: deque[Tick] = field(default_factory=lambda: deque(maxlen=MOST_WAITING))
    failed: float = float("-inf")
    past_seq: int = 0

    def check_that_none_is_lost_since(self, seq: int) -> None:
        """Raise ExchangeAwayError when ticks after that number went for want of room."""
        waiting = self.waiting
        if len(waiting) == waiting.maxlen and waiting[0].seq > seq + 1:
            raise ExchangeAwayError("more ticks came meanwhile than can wait")

    def put(self, tick: Tick) -> None:
        """Let the series have a tick, unless it was in the past that it began with."""
        if self.series is not None and tick.seq > self.past_seq:
            self.series.take(tick.time.timestamp(), float(tick.price), float(tick.volume))


class Gallery:
    """Series by symbol and interval.

    Args:
        archive: gives their past.
        stamp: counts a change of the board.
        kept: closed candles of a series.
        most: series at once; the one that nobody looked at for longest goes.
    """

    def __init__(
        self,
        archive: Archive,
        *,
        stamp: Callable[[], int],
        kept: int,
        most: int,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._archive, self._stamp, self._now = archive, stamp, now
        self._kept, self._most = kept, most
        self._places: dict[Key, Place] = {}

    def want(self, symbol: str, interval: str) -> Series | None:
        """Return a series, or None while it is being filled; call it as long as it is wanted."""
        key = (symbol, interval)
        place = self._places.get(key)
        if place is None:
            self._make_room()
            place = self._places[key] = Place(self._now())
        place.wanted = self._now()
        if place.series is None and place.filling is None and self._may_try(place):
            place.filling = asyncio.create_task(self._fill(key, place))
        return place.series

    async def ready(self, symbol: str, interval: str, within_s: float) -> Series | None:
        """Return a series once it is filled, or None when that takes too long."""
        series = self.want(symbol, interval)
        place = self._places[symbol, interval]
        if series is None and place.filling is not None:
            await asyncio.wait([place.filling], timeout=within_s)
        return place.series

    def take(self, tick: Tick) -> None:
        """Let every series of a symbol have a tick.

        One that came too late for its candle is in the exchange's: the series is filled anew.
        """
        symbol, behind = tick.symbol, list[Key]()
        for key, place in self._places.items():
            if key[0] == symbol:
                if place.series is not None:
                    place.put(tick)
                    if place.series.late and self._now() - place.filled > LATE_S:
                        behind.append(key)
                elif place.filling is not None:
                    place.waiting.append(tick)
        for key in behind:
            self._remove(key)

    def drop(self, symbol: str | None = None) -> None:
        """Forget the series of a symbol, or all, so that they are filled anew."""
        for key in [key for key in self._places if symbol is None or key[0] == symbol]:
            self._remove(key)

    def _may_try(self, place: Place) -> bool:
        return self._now() - place.failed > AGAIN_S

    def _make_room(self) -> None:
        now = self._now()
        for key in [key for key, place in self._places.items() if now - place.wanted > IDLE_S]:
            self._remove(key)
        while len(self._places) >= self._most:
            self._remove(min(self._places, key=lambda key: self._places[key].wanted))

    def _remove(self, key: Key) -> None:
        place = self._places.pop(key)
        if place.filling is not None:
            place.filling.cancel()

    async def _fill(self, key: Key, place: Place) -> None:
        symbol, interval = key
        try:
            past = await self._archive.history(symbol, interval, self._kept + WARM_UP)
            vwap = await self._archive.vwap(symbol, interval, past.closed)
            place.check_that_none_is_lost_since(past.seq)
            series = Series(
                symbol,
                interval,
                stamp=self._stamp,
                closed=past.closed,
                forming=past.forming,
                kept=self._kept,
                vwap=vwap,
            )
            place.series, place.filled, place.past_seq = series, self._now(), past.seq
            for tick in place.waiting:
                place.put(tick)
        except (ExchangeAwayError, InvalidCandleError) as error:
            log.warning("series_not_filled", symbol=symbol, interval=interval, problem=str(error))
            place.series, place.failed = None, self._now()
        finally:
            place.waiting.clear()
            place.filling = None
