"""Candles and indicators against pandas, and what the live page costs a browser's main thread.

    python benchmarks/charts.py [--quick] [--json FILE] [--minutes 1] [--no-page]

The first part builds the candles of 50 symbols at 1 000 ticks a second each and moves every
indicator with each closed candle, and 10 times a second for the one that forms. The peer is what is
usually done: pandas computes the same seven indicators over the last 500 candles at each close.
Both see the same candles, in one process and one run, and their values are compared.

The second part serves the page over a paper market that publishes 200 events a second for eight
symbols (ticks, trades, books), opens it in Chromium, headless, and reads the processor time of its
main thread, its first paint and its heap from the browser. It shows candles of a second and begins
with all of them, so that they are cut back every few minutes; curves of equity are full, and cut to
half, after six. From seven minutes on the growth of the heap is told, a line through what was left
after a collection twice a minute. It is left out where no Chromium is.
"""

import argparse
import asyncio
import json
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import sin
from pathlib import Path
from statistics import linear_regression, mean
from time import perf_counter, process_time
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from charts.candles import Candle, CandleBuilder
from charts.indicators import OUTPUTS, Indicators
from market.events import BookUpdate, Tick, Trade
from market.logs import configure
from market.values import Side, Symbol
from tests.charts.builders import PaperMarket, charts_over

SYMBOLS: Final = 50
TICKS_A_SECOND: Final = 1000
HISTORY: Final = 500
PEEKS: Final = 10
EVENTS_A_SECOND: Final = 200
HEAP_S: Final = 30
FULL_MINUTES: Final = 7
FEWEST: Final = 10
PAPER: Final = ("BTC", "ETH", "SOL", "ADA", "XRP", "DOT", "TCS", "META")


# -- candles and indicators ------------------------------------------------------------------------


def ticks(seconds: int) -> list[tuple[float, float, float]]:
    """Return the ticks of one symbol: time, price, volume."""
    count = seconds * TICKS_A_SECOND
    return [
        (n / TICKS_A_SECOND, round(100 + 5 * sin(n / 997) + 3 * sin(n / 31), 2), 1.0)
        for n in range(count)
    ]


def history() -> list[Candle]:
    """Return the candles before the first tick."""
    found, last = [], 100.0
    for n in range(-HISTORY, 0):
        close = round(100 + 5 * sin(n / 7) + sin(n / 3), 2)
        found.append(Candle(n, last, max(last, close) + 0.5, min(last, close) - 0.5, close, 900.0))
        last = close
    return found


def build(given: Sequence[tuple[float, float, float]]) -> float:
    """Return how many ticks a second become candles, for all symbols in turn."""
    builders = [CandleBuilder(1) for _ in range(SYMBOLS)]
    began = process_time()
    for builder in builders:
        take = builder.take
        for time, price, volume in given:
            take(time, price, volume)
    return SYMBOLS * len(given) / (process_time() - began)


def candles_of(given: Sequence[tuple[float, float, float]]) -> list[Candle]:
    """Return the closed candles of one symbol."""
    builder = CandleBuilder(1)
    closed = [builder.take(*tick) for tick in given]
    return [candle for candle in closed if candle is not None]


def incremental(closed: Sequence[Candle]) -> tuple[float, float, list[tuple[Any, ...]]]:
    """Return the microseconds of a close and of a peek, and the values of one symbol."""
    many = [Indicators(history()) for _ in range(SYMBOLS)]
    began = process_time()
    rows = [[each.update(candle) for candle in closed] for each in many]
    update_us = (process_time() - began) / (SYMBOLS * len(closed)) * 1e6
    began = process_time()
    for each in many:
        for _ in range(PEEKS):
            each.peek(closed[-1])
    peek_us = (process_time() - began) / (SYMBOLS * PEEKS) * 1e6
    return update_us, peek_us, rows[0]


def recomputed(closed: Sequence[Candle]) -> tuple[float, dict[str, float]]:
    """Return the microseconds that pandas takes for a close, and its values at the last."""
    import pandas as pd

    everything = [*history(), *closed]
    began, last = process_time(), {}
    for upto in range(len(everything) - len(closed) + 1, len(everything) + 1):
        window = everything[max(0, upto - HISTORY) : upto]
        frame = pd.DataFrame(
            {
                "high": [candle.high for candle in window],
                "low": [candle.low for candle in window],
                "close": [candle.close for candle in window],
                "volume": [candle.volume for candle in window],
            }
        )
        last = pandas_indicators(frame)
    return (process_time() - began) / len(closed) * 1e6, last


def pandas_indicators(frame: Any) -> dict[str, float]:
    """Return the seven indicators at the last row, as they are usually written."""
    import pandas as pd

    close, high, low = frame["close"], frame["high"], frame["low"]
    sma, deviation = close.rolling(20).mean(), close.rolling(20).std(ddof=0)
    change = close.diff()
    gain = change.clip(lower=0).ewm(alpha=1 / 14, adjust=False).mean()
    loss = (-change.clip(upper=0)).ewm(alpha=1 / 14, adjust=False).mean()
    fast, slow = close.ewm(span=12, adjust=False).mean(), close.ewm(span=26, adjust=False).mean()
    macd = fast - slow
    signal = macd.ewm(span=9, adjust=False).mean()
    before = close.shift()
    ranges = pd.concat([high - low, (high - before).abs(), (low - before).abs()], axis=1)
    typical = (high + low + close) / 3
    found = {
        "sma": sma,
        "ema": close.ewm(span=20, adjust=False).mean(),
        "bb_upper": sma + 2 * deviation,
        "bb_middle": sma,
        "bb_lower": sma - 2 * deviation,
        "rsi": 100 - 100 / (1 + gain / loss),
        "macd": macd,
        "macd_signal": signal,
        "macd_histogram": macd - signal,
        "atr": ranges.max(axis=1).ewm(alpha=1 / 14, adjust=False).mean(),
        "vwap": (typical * frame["volume"]).cumsum() / frame["volume"].cumsum(),
    }
    return {name: float(line.iloc[-1]) for name, line in found.items()}


def measure_indicators(seconds: int) -> dict[str, float]:
    """Return the figures of the first part; raise AssertionError when the two disagree."""
    given = ticks(seconds)
    rate = build(given)
    closed = candles_of(given)
    update_us, peek_us, rows = incremental(closed)
    peer_us, theirs = recomputed(closed)
    ours = dict(zip(OUTPUTS, rows[-1], strict=True))
    for name in ("sma", "ema", "bb_upper", "bb_lower", "rsi", "macd", "atr"):
        assert abs(ours[name] - theirs[name]) < 1e-6 * max(1, abs(ours[name])), name
    load = SYMBOLS * (update_us + PEEKS * peek_us) / 1e6 + SYMBOLS * TICKS_A_SECOND / rate
    return {
        "ticks_a_second": rate,
        "close_us": update_us,
        "forming_us": peek_us,
        "pandas_close_us": peer_us,
        "times_faster": peer_us / update_us,
        "core_share_of_all": load,
    }


# -- the page --------------------------------------------------------------------------------------


def seen(candle: Candle) -> dict[str, Any]:
    """Return a candle as an exchange gives it, of the seconds before now."""
    time = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=candle.time)
    prices = {"open": candle.open, "high": candle.high, "low": candle.low, "close": candle.close}
    scaled = {name: 64 * price for name, price in prices.items()}
    return {"time": time, **scaled, "volume": candle.volume, "closed": True}


async def publish(paper: PaperMarket) -> None:
    """Publish EVENTS_A_SECOND events a second for ever: three ticks in five, trades, books."""
    began, n = perf_counter(), 0
    while True:
        due = int((perf_counter() - began) * EVENTS_A_SECOND)
        while n < due:
            n += 1
            paper.hub.publish(fact(n))
        await asyncio.sleep(0.005)


def fact(n: int) -> Tick | Trade | BookUpdate:
    """Return the ``n``-th event."""
    symbol = Symbol(PAPER[n // 5 % len(PAPER)])
    price = Decimal(round(6400 + 60 * sin(n / 400) + 15 * sin(n / 23)))
    now = datetime.now(UTC)
    if n % 5 == 3:
        return Trade(
            symbol=symbol, price=price, quantity=Decimal(1), side=Side.BUY, trade_id=n, time=now
        )
    if n % 5 == 4:
        levels = range(1, 11)
        bids = tuple((price - each, Decimal(each)) for each in levels)
        asks = tuple((price + each, Decimal(each + n % 7)) for each in levels)
        return BookUpdate(symbol=symbol, bids=bids, asks=asks, time=now)
    return Tick(symbol=symbol, price=price, volume=Decimal(1), time=now, seq=n)


class Meter:
    """Reads what a page costs from the browser itself."""

    def __init__(self, session: Any) -> None:
        self._session = session

    async def begin(self) -> None:
        """Count the processor time of the main thread, not the time that passes."""
        await self._session.send("Performance.enable", {"timeDomain": "threadTicks"})

    async def metrics(self) -> dict[str, float]:
        """Return the browser's figures by name."""
        found = await self._session.send("Performance.getMetrics")
        return {each["name"]: each["value"] for each in found["metrics"]}

    async def heap_mb(self) -> float:
        """Return what is on the heap after a collection."""
        await self._session.send("HeapProfiler.collectGarbage")
        return (await self.metrics())["JSHeapUsedSize"] / 1e6

    async def share(self, since: dict[str, float], seconds: float, name: str) -> float:
        """Return the share of the time since some metrics that a duration took."""
        return ((await self.metrics())[name] - since[name]) / seconds


async def measure_page(browser_path: str, minutes: float) -> dict[str, float]:
    """Return the figures of the second part."""
    from playwright.async_api import async_playwright

    paper = PaperMarket(*PAPER)
    for number in range(6):
        paper.account(f"bot-{number}", 1_000_000)
    paper.candles = [seen(candle) for candle in history()]
    async with charts_over(paper) as url, async_playwright() as playwright:
        publishing = asyncio.create_task(publish(paper))
        await asyncio.sleep(3)
        browser = await playwright.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"]
        )
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        await page.add_init_script("localStorage.setItem('sandpit', '{\"interval\":\"1s\"}')")
        await page.goto(url)
        meter = Meter(await page.context.new_cdp_session(page))
        await meter.begin()
        await page.wait_for_timeout(5000)
        found = await watched(page, meter, minutes)
        await browser.close()
        publishing.cancel()
    return found


async def watched(page: Any, meter: Meter, minutes: float) -> dict[str, float]:
    """Return what the page costs over a while."""
    paints = await page.evaluate(
        "performance.getEntriesByType('paint').map(each => each.startTime)"
    )
    heap, before, began = [await meter.heap_mb()], await meter.metrics(), perf_counter()
    await page.wait_for_timeout(60_000 * min(minutes, 1.0))
    seconds = perf_counter() - began
    main = await meter.share(before, seconds, "TaskDuration")
    script = await meter.share(before, seconds, "ScriptDuration")
    heap.append(await meter.heap_mb())
    while perf_counter() - began < 60 * minutes:
        await page.wait_for_timeout(1000 * HEAP_S)
        heap.append(await meter.heap_mb())
    return {
        "first_paint_ms": max(paints),
        "main_thread_share": main,
        "script_share": script,
        "heap_first_mb": heap[0],
        "heap_last_mb": heap[-1],
        **growth(heap),
        "minutes": minutes,
    }


def growth(heap: Sequence[float]) -> dict[str, float]:
    """Return how the heap grew once every history was full; nothing when none of it was seen."""
    full = heap[int(60 * FULL_MINUTES / HEAP_S) :]
    if len(full) < FEWEST:
        return {}
    slope = linear_regression([n * HEAP_S / 60 for n in range(len(full))], full).slope
    return {"heap_full_mb": mean(full), "heap_growth_mb": 10 * slope}


def browser_path() -> str | None:
    """Return the browser that is installed, None when there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


# -- the table -------------------------------------------------------------------------------------

LINES: Final = {
    "ticks_a_second": ("ticks into candles, a second", "{:,.0f}", ">= 200,000"),
    "close_us": ("all indicators at a close, us", "{:.1f}", ""),
    "forming_us": ("all indicators of a forming candle, us", "{:.1f}", ""),
    "pandas_close_us": ("the same by pandas, 500 candles, us", "{:,.0f}", ""),
    "times_faster": ("times faster than pandas", "{:.0f}", ">= 10"),
    "core_share_of_all": ("50 symbols x 1,000 ticks/s, share of a core", "{:.1%}", ""),
    "first_paint_ms": ("first contentful paint, ms", "{:.0f}", "< 1,000"),
    "main_thread_share": ("main thread at 200 events/s", "{:.1%}", "< 25 %"),
    "script_share": ("of it in scripts", "{:.1%}", ""),
    "heap_first_mb": ("heap after 5 s, MB", "{:.1f}", ""),
    "heap_last_mb": ("heap at the end, MB", "{:.1f}", "flat"),
    "heap_full_mb": ("heap once all histories are full, mean, MB", "{:.1f}", ""),
    "heap_growth_mb": ("growth of it in ten minutes, MB", "{:+.2f}", "none"),
    "minutes": ("minutes watched", "{:g}", ""),
}


def main() -> None:
    """Measure, and print the table."""
    configure("benchmark", directory=None, level="error")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter, less exact")
    parser.add_argument("--minutes", type=float, default=1.0, help="that the page is watched")
    parser.add_argument("--no-page", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found = measure_indicators(6 if asked.quick else 30)
    path = None if asked.no_page else browser_path()
    if path is not None:
        found |= asyncio.run(measure_page(path, 0.25 if asked.quick else asked.minutes))
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores\n")
    for name, (label, form, target) in LINES.items():
        if name in found:
            print(f"{label:<46}{form.format(found[name]):>12}  {target}")
    if path is None:
        print("\nno Chromium: the page was not measured")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
