"""How much a bot may lose in a minute, from the volatility of the ticks that it sees itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from math import log, sqrt
from typing import Final

from market.events import Fact, Gap, Snapshot, Tick
from market.values import Symbol

HALF_LIFE_S: Final = 60.0  # at least; where prices come seldom it is GAPS of their mean gaps
GAPS: Final = 11.2  # observations in a half-life of RiskMetrics' decay of 0.94
HORIZON_S: Final = 60.0
NORMAL_99: Final = 2.3263478740408408  # the 99 % quantile of the standard normal distribution
_ENOUGH: Final = 10.0  # effective observations below which nothing is said
_KNOWN: Final = 10  # gaps before the mean gap is believed
_MEMORY: Final = 50  # gaps that the mean gap remembers
_MOST_WAITING: Final = 256


@dataclass(slots=True)
class Rate:
    """Decayed sums of one symbol: squared log returns, the seconds they took, the weights.

    The half-life is ``HALF_LIFE_S``, or ``GAPS`` mean gaps where that is more: of one price a
    minute, 60 s would never keep more than three.
    """

    price: float
    time: datetime
    squares: float = 0.0
    seconds: float = 0.0
    weight: float = 0.0
    weight_squared: float = 0.0
    gaps: int = 0
    mean_gap_s: float = 0.0

    def add(self, price: float, time: datetime) -> None:
        elapsed = max(0.0, (time - self.time).total_seconds())
        self._note_gap(elapsed)
        decay = 2.0 ** (-elapsed / self.half_life_s)
        self.squares = self.squares * decay + log(price / self.price) ** 2
        self.seconds = self.seconds * decay + elapsed
        self.weight = self.weight * decay + 1.0
        self.weight_squared = self.weight_squared * decay**2 + 1.0
        self.price, self.time = price, time

    @property
    def half_life_s(self) -> float:
        """The seconds after which a return counts half."""
        return max(HALF_LIFE_S, GAPS * self.mean_gap_s)

    @property
    def variance(self) -> float | None:
        """The variance of the log return per second; None before there is enough of it."""
        if not self.seconds or self.weight**2 < _ENOUGH * self.weight_squared:
            return None
        return self.squares / self.seconds

    def _note_gap(self, gap: float) -> None:
        if gap == 0:
            return
        if self.gaps >= _KNOWN:  # one outage must not pass for seldom prices, many gaps may
            gap = min(gap, 10 * self.mean_gap_s)
        self.gaps += 1
        self.mean_gap_s += (gap - self.mean_gap_s) / min(self.gaps, _MEMORY)


class Volatility:
    """EWMA volatility per symbol, zero mean, decayed by the time of the ticks, not their count.

    Source: RiskMetrics Technical Document (1996), chapter 5, as a rate per second.
    """

    def __init__(self) -> None:
        self._rates: dict[Symbol, Rate] = {}
        self._waiting: list[Tick] = []  # nobody asks at every tick, and many at once cost half

    def seen(self, fact: Fact) -> None:
        """Take a fact in; the move over a gap or a fresh snapshot is not counted as one return."""
        if isinstance(fact, Tick):
            self._waiting.append(fact)
            if len(self._waiting) >= _MOST_WAITING:
                self._catch_up()
        elif isinstance(fact, Gap | Snapshot):
            self._waiting.clear()
            self._rates.clear()

    def value_at_risk_99(self, exposures: Iterable[tuple[Symbol, float]]) -> float | None:
        """Return the 99 % value at risk over ``HORIZON_S`` seconds, quote currency, a loss > 0.

        Parametric and undiversified: normal returns, and every position moves against us at
        once, so it is the sum over the positions. ``exposures`` are symbol and value, quote
        currency. None while one of them has too few ticks.
        """
        self._catch_up()
        total = 0.0
        for of, value in exposures:
            rate = self._rates.get(of)
            variance = None if rate is None else rate.variance
            if variance is None:
                return None
            total += abs(value) * NORMAL_99 * sqrt(variance * HORIZON_S)
        return total

    def _catch_up(self) -> None:
        for tick in self._waiting:
            self._add(tick)
        self._waiting.clear()

    def _add(self, tick: Tick) -> None:
        price = float(tick.price)
        rate = self._rates.get(tick.symbol)
        if rate is None:
            self._rates[tick.symbol] = Rate(price, tick.time)
        else:
            rate.add(price, tick.time)
