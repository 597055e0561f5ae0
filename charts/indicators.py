"""Indicators that move one candle at a time, by TA-Lib's handles, and the same over a history.

A handle takes a closed candle in O(1) (``update``), or answers what a forming one would give
without committing it (``peek``). Both give, bit by bit, what the whole history would.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

import numpy as np
import talib
from numpy.typing import NDArray
from talib import stream

from charts.candles import DAY_S, Candle

Value = float | None
Inputs = tuple[float, ...]

WARM_UP: Final = 250
"""Candles before the first one shown: RSI 14 is then within 1e-6 of what all of them would give."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One of TA-Lib's functions, and what it is given.

    Attributes:
        outputs: the names of what it answers.
        inputs: the parts of a candle that it reads.
        first: the number of the first candle, from 0, that it can answer for.
        periods: its parameters.
    """

    name: str
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    first: int
    handle: Callable[..., Any]
    batch: Callable[..., Any]
    periods: tuple[tuple[str, float], ...]


_MACD: Final = (("fastperiod", 12), ("slowperiod", 26), ("signalperiod", 9))
_BANDS: Final = (("timeperiod", 20), ("nbdevup", 2.0), ("nbdevdn", 2.0))

DEFINITIONS: Final = (
    Definition("sma", ("sma",), ("close",), 19, stream.SMA, talib.SMA, (("timeperiod", 20),)),
    Definition("ema", ("ema",), ("close",), 19, stream.EMA, talib.EMA, (("timeperiod", 20),)),
    Definition(
        "bb",
        ("bb_upper", "bb_middle", "bb_lower"),
        ("close",),
        19,
        stream.BBANDS,
        talib.BBANDS,
        _BANDS,
    ),
    Definition("rsi", ("rsi",), ("close",), 14, stream.RSI, talib.RSI, (("timeperiod", 14),)),
    Definition(
        "macd",
        ("macd", "macd_signal", "macd_histogram"),
        ("close",),
        33,
        stream.MACD,
        talib.MACD,
        _MACD,
    ),
    Definition(
        "atr",
        ("atr",),
        ("high", "low", "close"),
        14,
        stream.ATR,
        talib.ATR,
        (("timeperiod", 14),),
    ),
)
OUTPUTS: Final = (*(name for each in DEFINITIONS for name in each.outputs), "vwap")
NAMES: Final = (*(each.name for each in DEFINITIONS), "vwap")


class InvalidCandleError(ValueError):
    """A candle holds what is no number; nothing has taken it in."""


class Handle:
    """One indicator over the candles so far; None as long as there are too few."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._early: list[Inputs] = []
        self._handle: Any = None
        self._nothing: tuple[Value, ...] = (None,) * len(definition.outputs)

    def update(self, candle: Candle) -> tuple[Value, ...]:
        """Take in a closed candle; return the values at it."""
        inputs = self._inputs(candle)
        if self._handle is not None:
            return _values(self._handle.update(*inputs))
        self._early.append(inputs)
        if len(self._early) <= self._definition.first:
            return self._nothing
        self._handle = self._open(self._early)
        self._early.clear()
        return _values(self._handle.value)

    def peek(self, candle: Candle) -> tuple[Value, ...]:
        """Return the values at a candle that still forms; nothing is taken in."""
        inputs = self._inputs(candle)
        if self._handle is not None:
            return _values(self._handle.peek(*inputs))
        if len(self._early) < self._definition.first:
            return self._nothing
        return _values(self._open([*self._early, inputs]).value)

    def _inputs(self, candle: Candle) -> Inputs:
        return tuple(getattr(candle, name) for name in self._definition.inputs)

    def _open(self, history: Sequence[Inputs]) -> Any:
        columns = np.array(history, dtype=np.float64).T.copy()
        return self._definition.handle(*columns, **dict(self._definition.periods))


class Vwap:
    """The volume-weighted average price since midnight, UTC, of the candles' typical prices.

    Args:
        earlier: candles of the day from before those that are taken in, oldest first. They may be
            longer ones; candles before the end of the last are then in it, and have no value.
        step_s: their length.
    """

    def __init__(self, earlier: Sequence[Candle] = (), step_s: int = 0) -> None:
        self._day, self._value, self._volume = -1, 0.0, 0.0
        self._since = 0
        for candle in earlier:
            self.update(candle)
        if earlier:
            self._since = earlier[-1].time + step_s

    def update(self, candle: Candle) -> tuple[Value, ...]:
        """Take in a closed candle; return the value at it."""
        if candle.time < self._since:
            return (None,)
        self._day, self._value, self._volume = self._with(candle)
        return (_ratio(self._value, self._volume),)

    def peek(self, candle: Candle) -> tuple[Value, ...]:
        """Return the value at a candle that still forms; nothing is taken in."""
        _, value, volume = self._with(candle)
        return (_ratio(value, volume),)

    def _with(self, candle: Candle) -> tuple[int, float, float]:
        day = candle.time // DAY_S
        value, volume = (self._value, self._volume) if day == self._day else (0.0, 0.0)
        typical = (candle.high + candle.low + candle.close) / 3
        return day, value + typical * candle.volume, volume + candle.volume


class Indicators:
    """All indicators of one series of candles; the values come in the order of OUTPUTS.

    Args:
        closed: the history, oldest first.
        vwap: the one to go on with.
    """

    def __init__(self, closed: Iterable[Candle] = (), vwap: Vwap | None = None) -> None:
        self._all: tuple[Handle | Vwap, ...] = (*map(Handle, DEFINITIONS), vwap or Vwap())
        for candle in closed:
            self.update(candle)

    def update(self, candle: Candle) -> tuple[Value, ...]:
        """Take in a closed candle; return the values at it.

        Raises:
            InvalidCandleError: it holds something infinite or no number, and was not taken in.
        """
        _check(candle)
        return tuple(value for each in self._all for value in each.update(candle))

    def peek(self, candle: Candle) -> tuple[Value, ...]:
        """Return the values at a candle that still forms; nothing is taken in.

        Raises:
            InvalidCandleError: it holds something infinite or no number.
        """
        _check(candle)
        return tuple(value for each in self._all for value in each.peek(candle))


def over(candles: Sequence[Candle], vwap: Vwap | None = None) -> dict[str, list[Value]]:
    """Return every indicator at every candle of a history, computed in one go.

    ``vwap`` is the one to go on with.
    """
    found: dict[str, list[Value]] = {}
    for each in DEFINITIONS:
        columns = [_column(candles, name) for name in each.inputs]
        result = each.batch(*columns, **dict(each.periods)) if candles else ()
        lines = result if isinstance(result, tuple) else (result,)
        for name, line in zip(each.outputs, lines or [()] * len(each.outputs), strict=True):
            found[name] = [float(value) if isfinite(value) else None for value in line]
    vwap = vwap or Vwap()
    found["vwap"] = [vwap.update(candle)[0] for candle in candles]
    return found


def _column(candles: Sequence[Candle], name: str) -> NDArray[np.float64]:
    return np.array([getattr(candle, name) for candle in candles], dtype=np.float64)


def _check(candle: Candle) -> None:
    total = candle.open + candle.high + candle.low + candle.close + candle.volume
    if not isfinite(total):
        raise InvalidCandleError(f"the candle at {candle.time} holds what is no finite number")


def _values(given: Any) -> tuple[Value, ...]:
    return given if isinstance(given, tuple) else (given,)


def _ratio(value: float, volume: float) -> Value:
    return value / volume if volume > 0 else None


__all__ = [
    "DEFINITIONS",
    "NAMES",
    "OUTPUTS",
    "WARM_UP",
    "Definition",
    "Handle",
    "Indicators",
    "InvalidCandleError",
    "Vwap",
    "over",
]
