"""The candles of one symbol and interval with their indicators: bounded, and always up to date."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from charts.candles import INTERVALS, Candle, CandleBuilder
from charts.indicators import OUTPUTS, Indicators, Value, Vwap

COLUMNS: Final = ("time", "open", "high", "low", "close", "volume", *OUTPUTS)
Row = list[float | None]


class Series:
    """What a chart shows: the newest closed candles, and the one that forms.

    Args:
        closed: the history, oldest first; the indicators see all of it.
        forming: the candle to go on with.
        stamp: counts a change, and gives its version.
        kept: how many closed candles are shown.
        vwap: the one to go on with.
    """

    def __init__(
        self,
        symbol: str,
        interval: str,
        *,
        stamp: Callable[[], int],
        closed: Sequence[Candle] = (),
        forming: Candle | None = None,
        kept: int = 500,
        vwap: Vwap | None = None,
    ) -> None:
        self.symbol, self.interval = symbol, interval
        self._stamp, self._indicators = stamp, Indicators(vwap=vwap)
        self._builder = CandleBuilder(INTERVALS[interval], forming)
        self._rows: deque[tuple[int, Row]] = deque(maxlen=kept)
        self.began = self._changed = stamp()
        for candle in closed:
            self._close(candle, self.began)

    @property
    def forming(self) -> Candle | None:
        """The candle that still forms."""
        return self._builder.forming

    @property
    def late(self) -> int:
        """How many ticks came after their candle had closed, and are not in it."""
        return self._builder.late

    def take(self, time: float, price: float, volume: float) -> None:
        """Take in a tick."""
        done = self._builder.take(time, price, volume)
        self._changed = self._stamp()
        if done is not None:
            self._close(done, self._changed)

    def since(self, version: int) -> dict[str, Any] | None:
        """Return the candles that changed after ``version``; ``all`` when a chart begins anew."""
        if version >= self._changed:
            return None
        anew = version < self.began or (bool(self._rows) and version < self._rows[0][0])
        rows = [row for stamp, row in self._rows if anew or stamp > version]
        if self.forming is not None:
            rows.append(_row(self.forming, self._indicators.peek(self.forming)))
        return {
            "symbol": self.symbol,
            "interval": self.interval,
            "columns": COLUMNS,
            "all": anew,
            "rows": rows,
        }

    def _close(self, candle: Candle, version: int) -> None:
        self._rows.append((version, _row(candle, self._indicators.update(candle))))


def _row(candle: Candle, values: Sequence[Value]) -> Row:
    return [
        candle.time,
        candle.open,
        candle.high,
        candle.low,
        candle.close,
        round(candle.volume, 9),
        *(None if value is None else float(f"{value:.9g}") for value in values),
    ]
