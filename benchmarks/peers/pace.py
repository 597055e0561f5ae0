"""A publisher on the word of the load generator: so many events, at such a rate.

A server first says where it listens. The load generator writes one order a line to its standard
input; the answers are that it begins, and what it did.

What is measured is how ticks are told, not how they are made, which some servers have done
elsewhere: those of a schedule are there before it begins. Encoding them is the server's part.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import cycle, islice
from typing import Final, TypeVar

from market.events import Tick
from market.values import Symbol

START: Final = 1_000_000_000
SYMBOLS: Final = ("BTC", "TCS", "MTA")  # of one length, as are all numbers: so are all frames
BURST_S: Final = 0.001
MAKING_S: Final = 3e-6  # what a tick takes to make
HEAD_START_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Order:
    """Publish ``count`` events at ``rate`` a second.

    ``scheduled`` stamps each with the moment it is due, so that a publisher that falls behind is
    charged for it; otherwise with the moment it is published.
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

    def of(self, order: Order, started: float) -> Iterator[Tick]:
        """Yield the ticks of an order that begins at ``started``."""
        if not order.scheduled:
            yield from (
                self._next(datetime.fromtimestamp(time.time(), UTC)) for _ in range(order.count)
            )
            return
        begun, apart = datetime.fromtimestamp(started, UTC), 1e6 / order.rate
        for n in range(order.count):
            yield self._next(begun + timedelta(0, 0, n * apart))

    def _next(self, at: datetime) -> Tick:
        self.seq += 1
        return Tick(
            symbol=next(self._symbols),
            price=next(self._prices),
            volume=next(self._volumes),
            time=at,
            seq=self.seq,
        )


Made = TypeVar("Made")


def begin(order: Order, make: Callable[[float], Iterable[Made]]) -> tuple[float, Iterator[Made]]:
    """Make what is to be published, say that it begins, and return when it did."""
    if not order.scheduled:
        started = time.time()
        made = iter(make(started))
    else:
        started = time.time() + HEAD_START_S + MAKING_S * order.count
        made = iter(list(make(started)))
        time.sleep(max(0.0, started - time.time()))
    say(begins=started)
    return started, made


def say(**facts: object) -> None:
    """Answer the load generator."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


async def obey(publish: Callable[[Tick], object]) -> None:
    """Carry out orders, calling ``publish`` with each tick, until there are no more."""
    loop, ticks = asyncio.get_running_loop(), Ticks()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        await _carry_out(Order.parse(line.decode()), ticks, publish)


async def _carry_out(order: Order, ticks: Ticks, publish: Callable[[Tick], object]) -> None:
    started, due = begin(order, lambda at: ticks.of(order, at))
    done, worst = 0, 0.0
    while done < order.count:
        elapsed = time.time() - started
        worst = max(worst, elapsed - done / order.rate)
        burst = order.due(elapsed) - done
        for tick in islice(due, burst):
            publish(tick)
        done += burst
        await asyncio.sleep(order.pause_s(time.time() - started, done))
    say(published=done, late_ms=round(1000 * worst, 1))
