"""A publisher on the word of the load generator: so many events, at such a rate.

The load generator writes one order a line to a server's standard input. The server answers the
first line with where it listens, and each order, once it is carried out, with what it did.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import cycle
from typing import Final

from market.events import Tick
from market.values import Symbol

START: Final = 1_000_000_000
SYMBOLS: Final = ("BTC", "TCS", "MTA")  # of one length, as are all numbers: so are all frames
BURST_S: Final = 0.001


@dataclass(frozen=True, slots=True)
class Order:
    """Publish ``count`` events at ``rate`` a second.

    ``scheduled`` stamps each with the moment it was due, so that a publisher that falls behind is
    charged for it; otherwise with the moment it was published.
    """

    rate: float
    count: int
    scheduled: bool

    @classmethod
    def parse(cls, line: str) -> "Order":
        """Return the order in a line; raise ValueError when it is none."""
        return cls(**json.loads(line))

    def due(self, elapsed_s: float) -> int:
        """Return how many events should be out by now."""
        return min(self.count, int(elapsed_s * self.rate) + 1)

    def stamp(self, started: float, n: int) -> float:
        """Return the time that event ``n`` carries."""
        return started + n / self.rate if self.scheduled else time.time()

    def pause_s(self, elapsed_s: float, done: int) -> float:
        """Return how long to wait before the next burst."""
        return max(BURST_S, done / self.rate - elapsed_s)


class Ticks:
    """Ticks whose JSON is of one length."""

    def __init__(self) -> None:
        self.seq = START
        prices = [Decimal(7_040_011 + 10 * n).scaleb(-2) for n in range(1000)]
        volumes = [Decimal(10_001 + 2 * n).scaleb(-5) for n in range(997)]
        self._prices, self._volumes = cycle(prices), cycle(volumes)
        self._symbols = cycle(Symbol(symbol) for symbol in SYMBOLS)

    def next(self, at: float) -> Tick:
        """Return the next tick, as of the time ``at``."""
        self.seq += 1
        return Tick(
            symbol=next(self._symbols),
            price=next(self._prices),
            volume=next(self._volumes),
            time=datetime.fromtimestamp(at, UTC),
            seq=self.seq,
        )


def say(**facts: object) -> None:
    """Answer the load generator."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


async def obey(publish: Callable[[float], object]) -> None:
    """Carry out orders, calling ``publish`` with the stamp of each event, until there are none."""
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        await _carry_out(Order.parse(line.decode()), publish)


async def _carry_out(order: Order, publish: Callable[[float], object]) -> None:
    started, done, worst = time.time(), 0, 0.0
    while done < order.count:
        elapsed = time.time() - started
        worst = max(worst, elapsed - done / order.rate)
        for n in range(done, order.due(elapsed)):
            publish(order.stamp(started, n))
            done = n + 1
        await asyncio.sleep(order.pause_s(time.time() - started, done))
    say(published=done, late_ms=round(1000 * worst, 1))
