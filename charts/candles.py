"""Ticks -> candles: one builder a symbol and interval, which never looks back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

DAY_S: Final = 86_400
INTERVALS: Final[Mapping[str, int]] = {
    "1s": 1,
    "5s": 5,
    "15s": 15,
    "1m": 60,
    "5m": 300,
    "15m": 900,
    "1h": 3600,
    "4h": 14_400,
    "1d": DAY_S,
}
"""The length of each interval in seconds; all begin on multiples of it since 1970, UTC."""


@dataclass(slots=True)
class Candle:
    """What a price did in one interval.

    Attributes:
        time: when the interval began, seconds since 1970.
        volume: the sum of the ticks' volumes.
        ticks: how many there were, 0 when that is not known.
    """

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    ticks: int = 0


class CandleBuilder:
    """The candles of one interval; an interval without a tick has none.

    Args:
        interval_s: length of a candle in seconds.
        forming: the candle to go on with.

    Attributes:
        late: ticks that came after their candle had closed, and were left out.
    """

    __slots__ = ("_until", "forming", "interval_s", "late")

    def __init__(self, interval_s: int, forming: Candle | None = None) -> None:
        self.interval_s, self.late = interval_s, 0
        self.forming = forming
        self._until = float("-inf") if forming is None else forming.time + interval_s

    def take(self, time: float, price: float, volume: float) -> Candle | None:
        """Take in a tick; return the candle that it closed, if it did."""
        forming = self.forming
        if forming is None or time >= self._until:
            began = int(time // self.interval_s) * self.interval_s
            self.forming = Candle(began, price, price, price, price, volume, 1)
            self._until = began + self.interval_s
            return forming
        if time < forming.time:
            self.late += 1
            return None
        forming.close = price
        forming.high = max(forming.high, price)
        forming.low = min(forming.low, price)
        forming.volume += volume
        forming.ticks += 1
        return None
