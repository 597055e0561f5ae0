"""How much a bot may lose in a minute, from the volatility of the ticks that it sees itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from math import log, sqrt
from typing import Final

from market.events import Fact, Gap, Snapshot, Tick
from market.values import Symbol

HALF_LIFE_S: Final = 60.0
HORIZON_S: Final = 60.0
NORMAL_99: Final = 2.3263478740408408  # the 99 % quantile of the standard normal distribution
_ENOUGH: Final = 10.0  # effective observations below which nothing is said


@dataclass(slots=True)
class _Rate:
    """Decayed sums of one symbol: squared log returns, the seconds they took, the weights."""

    price: float
    time: datetime
    squares: float = 0.0
    seconds: float = 0.0
    weight: float = 0.0
    weight_squared: float = 0.0

    def add(self, price: float, time: datetime) -> None:
        elapsed = max(0.0, (time - self.time).total_seconds())
        decay = 2.0 ** (-elapsed / HALF_LIFE_S)
        self.squares = self.squares * decay + log(price / self.price) ** 2
        self.seconds = self.seconds * decay + elapsed
        self.weight = self.weight * decay + 1.0
        self.weight_squared = self.weight_squared * decay**2 + 1.0
        self.price, self.time = price, time

    @property
    def variance(self) -> float | None:
        """The variance of the log return per second; None before there is enough of it."""
        if not self.seconds or self.weight**2 < _ENOUGH * self.weight_squared:
            return None
        return self.squares / self.seconds


class Volatility:
    """EWMA volatility per symbol, zero mean, decayed by the time of the ticks, not their count.

    Source: RiskMetrics Technical Document (1996), chapter 5, as a rate per second.
    """

    def __init__(self) -> None:
        self._rates: dict[Symbol, _Rate] = {}

    def seen(self, fact: Fact) -> None:
        """Take a fact in; the move over a gap or a fresh snapshot is not counted as one return."""
        if isinstance(fact, Tick):
            self._add(fact)
        elif isinstance(fact, Gap | Snapshot):
            self._rates.clear()

    def value_at_risk_99(self, exposures: Iterable[tuple[Symbol, float]]) -> float | None:
        """Return the 99 % value at risk over ``HORIZON_S`` seconds, quote currency, a loss > 0.

        Parametric and undiversified: normal returns, and every position moves against us at
        once, so it is the sum over the positions. ``exposures`` are symbol and value, quote
        currency. None while one of them has too few ticks.
        """
        total = 0.0
        for of, value in exposures:
            rate = self._rates.get(of)
            variance = None if rate is None else rate.variance
            if variance is None:
                return None
            total += abs(value) * NORMAL_99 * sqrt(variance * HORIZON_S)
        return total

    def _add(self, tick: Tick) -> None:
        price = float(tick.price)
        rate = self._rates.get(tick.symbol)
        if rate is None:
            self._rates[tick.symbol] = _Rate(price, tick.time)
        else:
            rate.add(price, tick.time)
