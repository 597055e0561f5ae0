"""A chart as a PNG by mplfinance: painted in a thread of its own, one at a time, and remembered."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from math import isnan, nextafter
from typing import Any, Final

from charts.candles import Candle
from charts.indicators import Value
from market.problems import ProblemError

KEPT: Final = 32
MOST_WAITING: Final = 8
LINES: Final[Mapping[str, tuple[tuple[str, str, int], ...]]] = {
    "sma": (("sma", "#f0b90b", 0),),
    "ema": (("ema", "#5b9cf6", 0),),
    "vwap": (("vwap", "#c77dff", 0),),
    "bb": (("bb_upper", "#7b8190", 0), ("bb_middle", "#5d6270", 0), ("bb_lower", "#7b8190", 0)),
    "rsi": (("rsi", "#c77dff", 1),),
    "macd": (("macd", "#5b9cf6", 1), ("macd_signal", "#f0b90b", 1)),
    "atr": (("atr", "#8bd3c7", 1),),
}
"""The lines of each indicator: output, color, and 1 when it has a panel of its own."""

_SIDES: Final = {"up": "#26a69a", "down": "#ef5350"}
_DARK: Final = {"text": "#d1d4dc", "muted": "#9598a1", "ground": "#131722", "grid": "#232838"}


@dataclass(frozen=True, slots=True)
class Picture:
    """What is to be painted."""

    symbol: str
    interval: str
    indicators: tuple[str, ...]
    candles: tuple[Candle, ...]
    lines: Mapping[str, Sequence[Value]]

    @property
    def etag(self) -> str:
        """A tag that changes with anything that would be seen."""
        parts = (self.symbol, self.interval, self.indicators, self.candles)
        return f'"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"'


class Painter:
    """Paints pictures beside the event loop; the same picture is painted once.

    matplotlib is imported with the first one, which takes a second or two.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="painter")
        self._painted: OrderedDict[str, asyncio.Future[bytes]] = OrderedDict()
        self._waiting = 0

    async def paint(self, picture: Picture) -> bytes:
        """Return the PNG; raise the 503 problem when too many wait for theirs."""
        known = self._painted.get(picture.etag)
        if known is None:
            known = self._begin(picture)
        return await asyncio.shield(known)

    def close(self) -> None:
        """Let the thread go; pictures that wait are not painted."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _begin(self, picture: Picture) -> "asyncio.Future[bytes]":
        if self._waiting >= MOST_WAITING:
            raise ProblemError(
                503, "too-many-pictures", "Others wait for theirs.", headers={"Retry-After": "2"}
            )
        self._waiting += 1
        begun = asyncio.get_running_loop().run_in_executor(self._thread, painted, picture)
        begun.add_done_callback(lambda done: self._end(picture.etag, done))
        self._painted[picture.etag] = begun
        while len(self._painted) > KEPT:
            self._painted.popitem(last=False)
        return begun

    def _end(self, etag: str, done: "asyncio.Future[bytes]") -> None:
        self._waiting -= 1
        if done.cancelled() or done.exception() is not None:
            self._painted.pop(etag, None)


def painted(picture: Picture) -> bytes:
    """Return a picture as a PNG of 1200 x 700 and more, with a panel for each oscillator."""
    import matplotlib as mpl

    mpl.use("Agg")
    import mplfinance as mpf
    import pandas as pd

    index = pd.DatetimeIndex([datetime.fromtimestamp(c.time, UTC) for c in picture.candles])
    frame = pd.DataFrame(
        {
            "Open": [_open(candle) for candle in picture.candles],
            "High": [candle.high for candle in picture.candles],
            "Low": [candle.low for candle in picture.candles],
            "Close": [candle.close for candle in picture.candles],
            "Volume": [candle.volume for candle in picture.candles],
        },
        index=index,
    )
    plots, panels = _plots(picture)
    figure, axes = mpf.plot(
        frame,
        type="candle",
        volume=True,
        addplot=plots,
        style=_style(),
        figsize=(12, 6 + 1.2 * panels),
        panel_ratios=(6, 1.3, *(1.7,) * panels),
        datetime_format="%H:%M:%S" if picture.interval.endswith("s") else "%m-%d %H:%M",
        xrotation=0,
        tight_layout=True,
        update_width_config={"volume_linewidth": 0},
        ylim=span(picture),
        returnfig=True,
    )
    axes[0].set_title(
        _title(picture), loc="left", fontsize=12, color=_DARK["text"], parse_math=False
    )
    out = BytesIO()
    figure.savefig(out, dpi=100, facecolor=_DARK["ground"], bbox_inches="tight", pad_inches=0.25)
    _close(figure)
    return out.getvalue()


def _open(candle: Candle) -> float:
    """Return where a candle opened; no change is no fall, on the page neither."""
    is_flat = candle.open == candle.close
    return nextafter(candle.open, float("-inf")) if is_flat else candle.open


def _title(picture: Picture) -> str:
    close = picture.candles[-1].close
    names = " ".join(name.upper() for name in picture.indicators)
    return f"{picture.symbol}  {picture.interval}  {close:,.10g}   {names}".rstrip()


def _plots(picture: Picture) -> tuple[list[Any], int]:
    import mplfinance as mpf

    found: list[Any] = []
    panel = 1  # 0 is the price, 1 the volume
    for name in picture.indicators:
        parts = LINES[name]
        panel += parts[0][2]
        for output, color, own in parts:
            line = [float("nan") if each is None else each for each in picture.lines[output]]
            how: dict[str, Any] = {"panel": panel, "ylabel": name.upper()} if own else {"panel": 0}
            if all(map(isnan, line)):  # too young: mplfinance wants numbers, and nobody sees these
                line = [0.0 if own else candle.close for candle in picture.candles]
                how["alpha"] = 0.0
            found.append(mpf.make_addplot(line, color=color, width=1.1, secondary_y=False, **how))
    return found, panel - 1


def span(picture: Picture) -> tuple[float, float]:
    """Return the prices to show: the candles and the lines on them, but not lines far away."""
    low = min(candle.low for candle in picture.candles)
    high = max(candle.high for candle in picture.candles)
    room = (high - low) or abs(high) / 100 or 1.0
    on_price = [part[0] for name in picture.indicators for part in LINES[name] if not part[2]]
    values = [each for output in on_price for each in picture.lines[output] if each is not None]
    lowest = max(min([low, *values]), low - room)
    highest = min(max([high, *values]), high + room)
    margin = 0.03 * ((highest - lowest) or room)
    return lowest - margin, highest + margin


def _style() -> Any:
    import mplfinance as mpf

    colors = mpf.make_marketcolors(
        up="#26a69a", down="#ef5350", edge=_SIDES, wick=_SIDES, volume=_SIDES
    )
    return mpf.make_mpf_style(
        marketcolors=colors,
        facecolor=_DARK["ground"],
        figcolor=_DARK["ground"],
        edgecolor=_DARK["grid"],
        gridcolor=_DARK["grid"],
        gridstyle="-",
        y_on_right=True,
        rc={
            "text.color": _DARK["text"],
            "axes.labelcolor": _DARK["muted"],
            "xtick.color": _DARK["muted"],
            "ytick.color": _DARK["muted"],
            "font.size": 9,
        },
    )


def _close(figure: Any) -> None:
    import matplotlib.pyplot as plt

    plt.close(figure)
