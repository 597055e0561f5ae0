"""Holdings in a market: their value at every tick, and the covariance that there is of them."""

from math import sqrt

import numpy as np

from market.values import Symbol
from risk import measures
from risk.arrays import Array, Flags
from risk.covariance import MIN_EFFECTIVE_SIZE, Estimate, choose
from risk.drawdowns import Peak
from risk.errors import UnavailableError
from risk.market_state import MarketState
from risk.portfolio import UNHELD, Holdings
from risk.terms import Terms


class Valuation:
    """Holdings in a market.

    Attributes:
        market, terms: what the holdings are valued in.
        held: which assets are, shape (assets,); ``foreign`` are those that the market has not.
        peak: of the value since it is watched; ``guard`` since its limits were armed.
    """

    def __init__(self, market: MarketState, terms: Terms) -> None:
        self.market, self.terms = market, terms
        self.holdings: Holdings | None = None
        self.quantities = np.zeros(len(market.symbols))
        self.held = self.quantities != 0
        self.foreign: tuple[Symbol, ...] = ()
        self.peak = Peak()  # since this portfolio is watched
        self.guard = Peak()  # since its limits were armed, whatever was restarted
        self._ready, self._ready_of = False, -1

    def hold(self, holdings: Holdings) -> None:
        """Hold something else from now on; the peak of the value stays."""
        quantities = np.zeros(len(self.market.symbols))
        index = self.market.index
        self.foreign = tuple(sorted(name for name in holdings.quantities if name not in index))
        for name, quantity in holdings.quantities.items():
            if name in index:
                quantities[index[name]] = quantity
        self.holdings, self.quantities, self.held = holdings, quantities, quantities != 0
        self._ready_of = -1
        self.revalue()

    @property
    def ready(self) -> bool:
        """Whether everything held has a price; it changes only when an asset begins."""
        if self._ready_of != self.market.restarts:
            self._ready = not self.foreign and bool((self.market.seen | ~self.held).all())
            self._ready_of = self.market.restarts
        return self._ready

    def value(self) -> float:
        """Return the value in the quote currency; raise UnavailableError without a price."""
        if self.holdings is None:
            raise UnavailableError(UNHELD)
        if not self.ready:
            raise UnavailableError(f"no price of {', '.join(self._unpriced())} yet")
        return self.holdings.cash + float(self.quantities.dot(self.market.prices))

    def revalue(self) -> None:
        """Note the value for the drawdown, where there is one."""
        if self.holdings is not None and self.ready:
            value = self.holdings.cash + float(self.quantities.dot(self.market.prices))
            self.peak.see(value)
            self.guard.see(value)

    def exposures(self) -> Array:
        """Return the derivative of the value by each level, shape (assets,)."""
        return self.market.exposures(self.quantities)

    def profits(self, rows: Array) -> Array:
        """Return what today's holdings would have made in each of ``rows``, money."""
        moves = np.where(self.market.by_difference, rows, np.expm1(rows))
        return np.asarray(moves @ self.exposures())

    def scenario_returns(self) -> Array:
        """Return the profit of today's holdings in each kept row, money, oldest first."""
        clock = self.market.reference
        if clock is None or not clock.rows:
            return np.zeros(0)
        return np.asarray(self.profits(clock.scenarios))

    def half_life(self) -> int:
        """Return the index of the half-life in use.

        It is the shortest, from the configured one on, that is worth 10 returns of the held asset
        known least; the configured one while none is.
        """
        sizes, headline = self.sizes(), self.market.estimators.headline
        enough = (k for k in self.market.estimators.candidates if sizes[k] >= MIN_EFFECTIVE_SIZE)
        return next(enough, headline) if self.held.any() else headline

    def half_life_reason(self, k: int) -> str:
        """Return why half-life ``k`` is in use and not the configured one; "" when it is that."""
        given = self.market.estimators
        if k == given.headline:
            return ""
        return (
            f"the configured {given.half_life_s:g} s are worth {self.sizes()[given.headline]:.1f}"
            " returns, 10 are needed: the shortest half-life that is worth them is in use"
        )

    def effective_size(self) -> float:
        """Return what the estimate is worth for the held asset that is known least."""
        return float(self.sizes()[self.half_life()])

    def sizes(self) -> Array:
        """Return the same for each half-life, shape (half-lives,)."""
        sizes = self.market.live.effective_sizes()
        worth: Array = (
            sizes[:, self.held].min(axis=1) if self.held.any() else sizes.max(axis=1, initial=0.0)
        )
        return worth

    def samples(self) -> int:
        """Return the returns seen of the held asset with the fewest."""
        intervals = self.market.live.intervals
        return int(intervals[self.held].min() if self.held.any() else intervals.max(initial=0))

    def estimate(self) -> Estimate:
        """Return the covariance in use; raise UnavailableError while it is not worth 10 returns.

        Of an asset that is on another clock than the rest there is none.
        """
        self.value()
        self.refuse_other_clocks(self.held)
        sizes = self.sizes()[list(self.market.estimators.candidates)]
        if self.held.any() and sizes.max() < MIN_EFFECTIVE_SIZE:
            raise UnavailableError(f"warming: worth {sizes.max():.1f} returns, 10 are needed")
        return choose(self.rates(self.half_life()), self.reference_rates(), self.exposures())

    def rates(self, k: int) -> Array:
        """Return the live covariance per second of half-life ``k``, shape (assets, assets)."""
        live = self.market.live
        return live.headline_rates if k == self.market.estimators.headline else live.rates_of(k)

    def reference_rates(self) -> Array | None:
        """Return the covariance per second by the clock; None until it is worth 10 rows."""
        clock = self.market.reference
        if clock is None or clock.effective_size < MIN_EFFECTIVE_SIZE:
            return None
        return clock.rates

    def refuse_other_clocks(self, which: Flags) -> None:
        """Raise UnavailableError when an asset of ``which`` is on another clock."""
        if found := self.market.behind(which):
            told = "; ".join(f"{name}: {reason}" for name, reason in found.items())
            raise UnavailableError(f"on another clock than the stream: {told}")

    def is_on_the_clock(self) -> bool:
        """Tell whether everything held is on the clock of the stream."""
        return not (self.market.away & self.held).any()

    def deviation(self, estimate: Estimate) -> float:
        """Return the standard deviation of the value over the horizon, money."""
        return measures.volatility(estimate.rates, self.exposures()) * sqrt(self.terms.horizon_s)

    def by_symbol(self, values: Array) -> dict[Symbol, float]:
        """Return the values of the held assets by symbol."""
        names = self.market.symbols
        return {names[i]: float(values[i]) for i in np.flatnonzero(self.held).tolist()}

    def stale(self) -> dict[Symbol, float]:
        """Return the age in seconds of each held price that is stale."""
        ages = self.market.ages_s()
        old = (ages > self.market.stale_limits_s()) & self.held & self.market.seen
        return {self.market.symbols[i]: float(ages[i]) for i in np.flatnonzero(old).tolist()}

    def oldest_s(self) -> float:
        """Return the age in seconds of the oldest price of what is held."""
        return float(self.market.ages_s()[self.held].max(initial=0.0))

    def shocked(self) -> dict[str, float]:
        """Return the loss in money of each named scenario."""
        money = self.by_symbol(self.quantities * self.market.prices)
        return {
            name: measures.stress_loss({str(k): v for k, v in money.items()}, moves)
            for name, moves in self.terms.shocks.items()
        }

    def _unpriced(self) -> list[str]:
        names = self.market.symbols
        unseen = [names[i] for i in np.flatnonzero(self.held & ~self.market.seen).tolist()]
        return [*unseen, *self.foreign]
