"""What the history costs: candle building, and the stream with and without it, in one run.

    python benchmarks/history.py [--readers N] [--rounds N] [--seconds S] [--json FILE]

The stream is the exchange's own: a hub with its tape, served to readers on sockets that another
process drains. Ticks are published in bursts as fast as the readers take them. Rounds with and
without the history (ticks and candles of all intervals in SQLite, closes streamed) alternate,
so that whatever else the machine does falls on both; only their ratio is worth keeping. On a busy
machine, go by the CPU time of the loop, which is what bounds the deliveries.
"""

import argparse
import asyncio
import json
import socket
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from time import perf_counter, process_time, thread_time
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import uvloop
from starlette.applications import Starlette
from starlette.routing import Route

from exchange.candle_stream import CandleStream
from exchange.candles import bars_of
from exchange.history import History
from exchange.history_file import Keeping
from exchange.streams import Taped
from market.broadcast import Broadcast
from market.events import Candle, Tick
from market.server import ServerSettings, serving
from market.streaming import StreamSettings
from market.values import Symbol

SYMBOLS: Final = tuple(map(Symbol, ("BTC", "TCS", "META")))
BURST: Final = 20
BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)


def a_tick(n: int, rate: float) -> Tick:
    """Return the ``n``-th of ticks that come at ``rate`` a second."""
    return Tick(
        symbol=SYMBOLS[n % 3],
        price=Decimal(7_000_000 + n * 7919 % 997).scaleb(-2),
        volume=Decimal("0.06100"),
        time=BEGIN + timedelta(microseconds=int(n * 1e6 / rate)),
        seq=n // 3 + 1,
    )


@dataclass
class Building:
    """Ticks a second, on one core (CPU time), into candles of all nine intervals."""

    rate: float
    kept_incrementally: float = 0.0
    rebuilt: float = 0.0


def building(rate: float, count: int = 300_000) -> Building:
    """Measure the building of one symbol's candles from ticks at ``rate`` a second."""
    ticks, found = [a_tick(3 * n, 3 * rate) for n in range(count)], Building(rate)
    stream, begun = CandleStream(SYMBOLS, lambda _: None, lambda _: False), process_time()
    for tick in ticks:
        stream.take(tick)
    found.kept_incrementally = count / (process_time() - begun)
    begun = process_time()
    bars_of(ticks)
    found.rebuilt = count / (process_time() - begun)
    return found


def drain(host: str, port: int, readers: int, ready: Event, done: Event) -> None:
    """Open streams and read whatever comes, in a process of its own."""
    selector = DefaultSelector()
    for _ in range(readers):
        reader = socket.create_connection((host, port))
        reader.sendall(b"GET /stream?events=tick HTTP/1.1\r\nHost: x\r\n\r\n")
        selector.register(reader, EVENT_READ)
    ready.set()
    while not done.is_set():
        for key, _ in selector.select(0.05):
            key.fileobj.recv(1 << 20)  # type: ignore[union-attr]


@dataclass
class Round:
    """What one round delivered, and what the loop's thread and the whole process spent on it."""

    with_history: bool
    deliveries_s: float
    loop_us: float
    process_us: float


class Market:
    """A stream as the exchange has it, with or without its history."""

    def __init__(self, folder: Path, *, with_history: bool) -> None:
        self.taped = Taped(folder / "stream", 100_000, facts=(Tick, Candle), snapshot=None)
        self.taped.begin(str)
        self.history: History | None = None
        if with_history:
            self.history = History(folder / "history.sqlite", Keeping(), self.taped)
        hub = self.taped.hub
        self.candles = CandleStream(SYMBOLS, hub.publish, hub.is_wanted)

    def publish(self, tick: Tick) -> None:
        """Do what the exchange does with a tick, as far as its stream goes."""
        self.taped.hub.publish(tick)
        if self.history is not None:
            self.history.take(tick, self.candles.take(tick))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run for the length of the block."""
        if self.history is None:
            yield
        else:
            async with self.history.running():
                yield
        self.taped.close()


async def a_round(readers: int, seconds: float, *, with_history: bool) -> Round:
    """Measure one round."""
    with tempfile.TemporaryDirectory() as folder:
        market = Market(Path(folder), with_history=with_history)
        stream = Broadcast(market.taped.hub, StreamSettings())
        app = Starlette(routes=[Route("/stream", stream)])
        context = get_context("spawn")
        ready, done = context.Event(), context.Event()
        async with serving(app, ServerSettings(farewell_s=0.1)) as base, market.running():
            port = int(base.rpartition(":")[2])
            reading = context.Process(
                target=drain, args=("127.0.0.1", port, readers, ready, done), daemon=True
            )
            reading.start()
            await asyncio.to_thread(ready.wait)
            while len(stream.readers) < readers:  # noqa: ASYNC110  the stream does not say
                await asyncio.sleep(0.01)
            found = await _published(market, stream, readers, seconds)
            done.set()
            market.taped.hub.close()
            await asyncio.to_thread(reading.join)
    return Round(with_history, *found)


async def _published(
    market: Market, stream: Broadcast, readers: int, seconds: float
) -> tuple[float, float, float]:
    hub, n = market.taped.hub, 0
    ticks = [a_tick(n, 10_000) for n in range(200_000)]
    begun, loop_begun, process_begun = perf_counter(), thread_time(), process_time()
    while perf_counter() - begun < seconds:
        for tick in ticks[n % len(ticks) : n % len(ticks) + BURST]:
            market.publish(tick)
        n += BURST
        while True:  # the slowest sets the pace: nobody is cut off, everyone gets everything
            await asyncio.sleep(0)
            if all(reader.cursor == hub.head for reader in stream.readers):
                break
    if market.history is not None:
        await market.history.flush()
    spent = perf_counter() - begun, thread_time() - loop_begun, process_time() - process_begun
    return n * readers / spent[0], spent[1] / n * 1e6, spent[2] / n * 1e6


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readers", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    built = [building(rate) for rate in (1000.0, 1.0)]
    print("candles of nine intervals, ticks/s of CPU time   kept as they come   rebuilt from all")
    for one in built:
        print(
            f"  at {one.rate:>6g} ticks/s of market time          "
            f"{one.kept_incrementally:>12,.0f}    {one.rebuilt:>12,.0f}"
        )
    rounds: dict[int, list[Round]] = {}
    for readers in asked.readers:
        rounds[readers] = [
            uvloop.run(a_round(readers, asked.seconds, with_history=bool(n % 2)))
            for n in range(2 * asked.rounds)
        ]
        _report(readers, rounds[readers])
    if asked.json:
        figures = {
            "building": [asdict(one) for one in built],
            "rounds": {readers: [asdict(one) for one in some] for readers, some in rounds.items()},
        }
        asked.json.write_text(json.dumps(figures, indent=1))


def _report(readers: int, rounds: list[Round]) -> None:
    print(f"{readers} readers         deliveries/s   us of the loop   us of the process, a tick")
    medians = []
    for with_history in (False, True):
        some = [one for one in rounds if one.with_history is with_history]
        figures = [
            statistics.median(getattr(one, name) for one in some)
            for name in ("deliveries_s", "loop_us", "process_us")
        ]
        medians.append(figures)
        name = "with history" if with_history else "without"
        print(f"  {name:<16}{figures[0]:>12,.0f}{figures[1]:>17.1f}{figures[2]:>20.1f}")
    ratios = [
        late.deliveries_s / early.deliveries_s
        for early, late in zip(rounds[::2], rounds[1::2], strict=True)
    ]
    loop, process = (medians[1][n] / medians[0][n] - 1 for n in (1, 2))
    lost = 1 - statistics.median(ratios)
    print(f"  it costs        {lost:>12.1%}{loop:>17.1%}{process:>20.1%}")
    print(f"  throughput with the history : without = {1 - lost:.3f} (at least 0.9 is wanted)")


if __name__ == "__main__":
    main()
