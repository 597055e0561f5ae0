"""What is known of the market at one moment: prices, their ages, and how they move together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf, log, sqrt
from typing import Final

import numpy as np

from market.values import Symbol
from risk.arrays import Array, Flags
from risk.clocks import is_other_clock, span
from risk.covariance import LiveCovariance, epps_attenuation
from risk.market_data import MarketData
from risk.reference import Reference

_GAPS_TO_KNOW: Final = 30  # intervals of one asset before the clock's step is chosen
_BEATS_REMEMBERED: Final = 11.202305583621158  # half-life in beats of RiskMetrics' decay of 0.94
_TRADES: Final = 500  # ticks that the mean illiquidity remembers


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimators:
    """How the market is estimated.

    Attributes:
        half_lives_s: of the live estimator, all kept at once.
        headline: the index of the one that is published as the portfolio's, while it is worth
            enough; a longer one is where prices come seldom.
        clock_s: the step of the reference; None is 20 mean gaps of the slowest asset, at least 1 s.
        scenarios: rows kept for historical measures.
        stale_after_s: silence of an asset after which its price is stale, unless it is a slow one.
    """

    half_lives_s: tuple[float, ...] = (60.0, 900.0, 86400.0)
    headline: int = 1
    clock_s: float | None = None
    scenarios: int = 500
    stale_after_s: float = 10.0

    @property
    def half_life_s(self) -> float:
        """The half-life of the headline."""
        return self.half_lives_s[self.headline]

    @property
    def candidates(self) -> tuple[int, ...]:
        """The indices of the half-lives that may be published, the headline first, then longer."""
        longer = [k for k, each in enumerate(self.half_lives_s) if each > self.half_life_s]
        return (self.headline, *sorted(longer, key=lambda k: self.half_lives_s[k]))


@dataclass(frozen=True, slots=True)
class PriceGap:
    """A return over a silence: it counts in the value, and is kept out of the estimators."""

    symbol: Symbol
    seconds: float
    z_score: float


class MarketState:
    """Takes market data one by one; everything else is read off it.

    Args:
        symbols: of the market, in the order of every array here.
        estimators: how to estimate.
        on_row: called with the returns of each beat of the reference clock.
    """

    def __init__(
        self,
        symbols: Sequence[Symbol],
        estimators: Estimators,
        on_row: Callable[[Array], None] = lambda _: None,
    ) -> None:
        size = len(symbols)
        self.symbols, self.estimators = tuple(symbols), estimators
        self.index = {name: i for i, name in enumerate(self.symbols)}
        self.live = LiveCovariance(size, estimators.half_lives_s, estimators.headline)
        self.reference: Reference | None = None
        self.prices, self.volumes = np.zeros(size), np.zeros(size)
        self.levels, self.times = np.zeros(size), np.full(size, -inf)
        self.by_difference = np.zeros(size, dtype=bool)
        self.away = np.zeros(size, dtype=bool)  # on another clock
        self.latest_s = -inf
        self.ticks = np.zeros(size, dtype=np.int64)
        self.illiquidity, self._traded = np.zeros(size), np.zeros(size, dtype=np.int64)
        self.unknown = 0
        self.changed: tuple[int, Array | None] = (-1, None)  # row, and what became of it
        self.restarts = 0  # of an asset or of the reference: what was derived is void
        self._on_row = on_row

    def see(self, data: MarketData) -> PriceGap | None:
        """Take the newest of one asset; time never goes back, so a late tick counts as of now.

        One that is on another clock has a price and its own time, and no return.

        Returns:
            the gap that it ends, if it ends one. A symbol that is not of this market is counted
            only.
        """
        i = self.index.get(data.symbol)
        if i is None:
            self.unknown += 1
            return None
        own_s = data.time.timestamp()
        self._set_away(i, is_other_clock(own_s, self.latest_s))
        self.prices[i], self.volumes[i] = data.price.value, data.volume.value
        self.ticks[i] += 1
        if self.away[i]:
            self.times[i], self.changed = own_s, (-1, None)
            return None
        return self._count(i, max(own_s, self.latest_s), data)

    def _count(self, i: int, time_s: float, data: MarketData) -> PriceGap | None:
        level = self._level(i, data.price.value)
        gap = None
        if self.times[i] == -inf:
            self._begin(i, level)
        else:
            self._note_liquidity(i, level, data)
            gap = self._gap(i, time_s, level)
        self._beat(time_s)
        change = self.live.update(i, time_s, level)
        self.changed = (i, change)
        self.levels[i], self.times[i], self.latest_s = level, time_s, time_s
        return gap

    def _set_away(self, i: int, is_away: bool) -> None:
        """Begin anew with an asset that changes its clock, either way."""
        if bool(self.away[i]) is not is_away:  # flags of numpy compare slowly
            self.away[i], self.times[i] = is_away, -inf
            self.live.forget(i)
            self.reference = None  # its clock was chosen with that asset, or without
            self.restarts += 1

    @property
    def time(self) -> datetime | None:
        """The time of the newest market data."""
        return None if self.latest_s == -inf else datetime.fromtimestamp(self.latest_s, UTC)

    @property
    def seen(self) -> Flags:
        """Which assets have a price, shape (assets,)."""
        return np.asarray(self.ticks > 0)

    def exposures(self, quantities: Array) -> Array:
        """Return the derivative of the value by each level: money, or units of the asset."""
        return np.where(self.by_difference, quantities, quantities * self.prices)

    def ages_s(self) -> Array:
        """Return the seconds since each asset's last tick, up to the newest of all."""
        return self.latest_s - self.times

    def behind(self, which: Flags) -> dict[Symbol, str]:
        """Return how far behind each asset of ``which`` is that is on another clock, in words."""
        found, ages = np.flatnonzero(self.away & which).tolist(), self.ages_s()
        return {self.symbols[i]: f"its times are {span(float(ages[i]))} behind" for i in found}

    def stale_limits_s(self) -> Array:
        """Return the silence after which each asset is stale: 5 mean gaps, or the set limit."""
        return np.maximum(5 * self.live.mean_gap_s, self.estimators.stale_after_s)

    def attenuation(self) -> Array | None:
        """Return the share of each covariance that the reference keeps; None without one."""
        if self.reference is None or not (self.live.mean_gap_s > 0).all():
            return None
        rates, step = 1 / self.live.mean_gap_s, self.reference.clock_s
        kept = [[epps_attenuation(a, b, step) for b in rates.tolist()] for a in rates.tolist()]
        table = np.array(kept)
        np.fill_diagonal(table, 1.0)
        return table

    def _note_liquidity(self, i: int, level: float, data: MarketData) -> None:
        """Follow Amihud's mean of abs(return) / (price * volume), ticks with volume alone."""
        money = data.price.value * data.volume.value
        if money > 0 and not self.by_difference[i]:
            self._traded[i] += 1
            impact = abs(level - self.levels[i]) / money
            self.illiquidity[i] += (impact - self.illiquidity[i]) / min(self._traded[i], _TRADES)

    def _level(self, i: int, price: float) -> float:
        if price <= 0 and not self.by_difference[i]:
            self.by_difference[i] = True  # a log is undefined: from here on, price differences
            self.live.forget(i)
            self.times[i] = -inf
        return price if self.by_difference[i] else log(price)

    def _begin(self, i: int, level: float) -> None:
        self.levels[i] = level
        self.reference = None  # its rows had no such asset
        self.restarts += 1

    def _gap(self, i: int, time_s: float, level: float) -> PriceGap | None:
        limit = self.live.gap_limit_s(self.estimators.headline, i)
        if self.reference is not None and time_s - self.latest_s > limit:
            self.reference.realign(time_s)
        seconds = time_s - self.times[i]
        if seconds <= limit:
            return None
        change = level - self.levels[i]
        if self.reference is not None:
            self.reference.hide(i, change)
        variance = float(self.live.headline_rates[i, i]) * seconds
        z_score = change / sqrt(variance) if variance > 0 else 0.0
        self.levels[i] = level  # so that no row sees the jump
        return PriceGap(self.symbols[i], float(seconds), float(z_score))

    def _beat(self, time_s: float) -> None:
        if self.reference is None:
            clock_s = self._clock_s()
            if clock_s is None:
                return
            given = self.estimators
            half_life_s = max(given.half_life_s, _BEATS_REMEMBERED * clock_s)
            self.reference = Reference(len(self.symbols), clock_s, half_life_s, given.scenarios)
        self.reference.advance(time_s, self.levels, self._on_row)

    def _clock_s(self) -> float | None:
        if self.estimators.clock_s is not None:
            return self.estimators.clock_s
        if self.live.intervals.max() < _GAPS_TO_KNOW:
            return None
        known = self.live.mean_gap_s[self.live.intervals >= 10]
        return max(1.0, 20 * float(known.max()))
