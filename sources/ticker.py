"""A process, a clock and generators make ticks; a plan says when each is due."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from random import Random

from market.clock import Clock
from market.events import Tick
from market.values import Instrument
from sources.processes import Hawkes
from sources.quoting import Rounding, Volumes, quoted


class Ticker:
    """Makes the ticks of one symbol, numbered from 1; time never goes back within them."""

    def __init__(
        self, instrument: Instrument, prices: Iterator[float], volumes: Volumes, clock: Clock
    ) -> None:
        self._symbol, self._prices = instrument.symbol, prices
        self._grid = Rounding("price", instrument.tick_size)
        self._volumes, self._clock = volumes, clock
        self._time, self.made = clock.now(), 0

    def tick(self) -> Tick:
        """Return the next tick, as of now."""
        self._time = max(self._time, self._clock.now())
        self.made += 1
        return Tick(
            symbol=self._symbol,
            price=self._grid.nearest(Decimal(next(self._prices))),
            volume=self._volumes.draw(self._time),
            time=self._time,
            seq=self.made,
        )


def regular(interval_s: float) -> Iterator[float]:
    """Yield when each tick is due, in seconds from the start: one at once, then every interval."""
    return (number * interval_s for number in count())


def bursts(arrivals: Hawkes, interval_s: float, rng: Random) -> Iterator[float]:
    """Yield when each tick is due, in seconds: in bursts, one an interval in the long run."""
    scale = interval_s * arrivals.rate
    return (time * scale for time in arrivals.times(rng))


def price_sequence(prices: Iterator[float], instrument: Instrument, length: int) -> list[Decimal]:
    """Return the first ``length`` prices on the tick grid."""
    return [quoted(next(prices), instrument) for _ in range(length)]
