"""Prices as a watchlist has them: the newest, where its day began, and how it came there."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

from charts.board import Board
from charts.candles import DAY_S, Candle
from market.events import Tick

SPARK: Final = 40


class Trends:
    """The newest price of each symbol onto the board, with the open of its day and a sparkline."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._sparks: dict[str, deque[float]] = {}
        self._opens: dict[str, tuple[int, Any]] = {}
        self._begun: set[str] = set()

    def show(self, tick: Tick) -> None:
        """Show a price; the first one of a day is where its change is counted from."""
        day = int(tick.time.timestamp()) // DAY_S
        known = self._opens.get(tick.symbol)
        if known is None or known[0] != day:
            known = self._opens[tick.symbol] = (day, tick.price)
        self._board.put(
            "tick",
            tick.symbol,
            {
                "price": tick.price,
                "volume": tick.volume,
                "time": tick.time,
                "seq": tick.seq,
                "reference": known[1],
            },
        )

    def beat(self) -> None:
        """Move the sparklines on; call it once a second."""
        for symbol, tick in self._board.all("tick").items():
            spark = self._sparks.setdefault(symbol, deque(maxlen=SPARK))
            spark.append(float(tick["price"]))
            self._board.put("spark", symbol, list(spark))

    def has_past(self, symbol: str) -> bool:
        """Tell whether a sparkline begins with what was before anyone looked."""
        return symbol in self._begun

    def begin(self, symbol: str, prices: Sequence[float]) -> None:
        """Let a sparkline begin with the prices of before."""
        self._begun.add(symbol)
        self._sparks[symbol] = deque(prices, maxlen=SPARK)

    def count_from(self, symbol: str, candle: Candle) -> None:
        """Count the change of a symbol from the open of a candle of a day, unless that is over."""
        day = candle.time // DAY_S
        if day < self._opens.get(symbol, (day,))[0]:
            return
        self._opens[symbol] = (day, candle.open)
        tick = self._board.get("tick", symbol)
        if tick is not None and int(tick["time"].timestamp()) // DAY_S == day:
            self._board.put("tick", symbol, tick | {"reference": candle.open})

    def forget(self, symbols: Iterable[str]) -> None:
        """Know nothing of some symbols, as before their first price."""
        for symbol in symbols:
            self._sparks.pop(symbol, None)
            self._opens.pop(symbol, None)
            self._begun.discard(symbol)
