"""What is held, valued at every tick, and the risk of it, computed when it is asked for."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations, islice
from math import isfinite, sqrt
from typing import Final

import numpy as np

from market.values import Symbol
from risk import measures
from risk.arrays import Array, Flags
from risk.backtests import Zone
from risk.covariance import MIN_EFFECTIVE_SIZE, Estimate, choose, relative_error
from risk.coverage import Coverage
from risk.drawdowns import Peak
from risk.errors import UnavailableError
from risk.exposures import Exposures
from risk.market_state import MarketState
from risk.portfolio import Holdings
from risk.report import CoverageReport, EstimateReport, TailReport

PUBLISHED: Final = ("0.95", "0.99")
ALL_LEVELS: Final = ("0.95", "0.975", "0.99")
SCENARIOS_NEEDED: Final = 50
FILTERED: Final = "filtered_historical"
FILTERED_NEEDED: Final = 110
"""Rows before its forecasts are judged: the worst of 100, which are left then, is the 99 % one."""

UNHELD: Final = "a price of what is held, or the positions of the account, are not known yet"
MAX_PAIRS: Final = 30
REMAKE_TICKS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the numbers are told in: the horizon, the year, and the scenarios that are applied.

    Attributes:
        horizon_s: trading seconds over which losses and volatility are told.
        year_s: trading seconds in a year; 31 536 000 where trading never stops.
        benchmark: weights that portfolios are compared with, adding up to 1; {} for none.
        shocks: name of a scenario -> symbol (or ``*``) -> relative move of its price.
    """

    horizon_s: float = 60.0
    year_s: float = 31_536_000.0
    benchmark: Mapping[str, float] = field(default_factory=dict)
    shocks: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


class Book:
    """Holdings in a market."""

    def __init__(self, market: MarketState, terms: Terms) -> None:
        self.market, self.terms = market, terms
        self.holdings: Holdings | None = None
        self.quantities = np.zeros(len(market.symbols))
        self.held = self.quantities != 0
        self.foreign: tuple[Symbol, ...] = ()
        self.peak = Peak()  # since this portfolio is watched
        self.guard = Peak()  # since its limits were armed, whatever was restarted
        self._forecasts: dict[str, float] = {}
        self._ready, self._ready_of, self._warm = False, -1, False
        self._headline = self._in_use = market.estimators.headline
        self._quick: Exposures | None = None
        self._quick_of, self._quick_rows, self._quick_ticks = 0, 0, 0
        self.drift: float | None = None
        self._values: deque[float] = deque(maxlen=market.estimators.scenarios)
        self.coverage = {
            **{level: Coverage(float(level)) for level in PUBLISHED},
            **{f"{FILTERED} {level}": Coverage(float(level)) for level in PUBLISHED},
        }
        self.on_score: Callable[[float, Mapping[str, float]], None] = _unheard

    def hold(self, holdings: Holdings) -> None:
        """Hold something else from now on; the peak of the value stays."""
        quantities = np.zeros(len(self.market.symbols))
        index = self.market.index
        self.foreign = tuple(sorted(name for name in holdings.quantities if name not in index))
        for name, quantity in holdings.quantities.items():
            if name in index:
                quantities[index[name]] = quantity
        self.holdings, self.quantities, self.held = holdings, quantities, quantities != 0
        self._forecasts = {}
        self._quick, self._ready_of, self._warm = None, -1, False
        self.revalue()

    @property
    def ready(self) -> bool:
        """Whether everything held has a price; it changes only when an asset begins."""
        if self._ready_of != self.market.restarts:
            self._ready = not self.foreign and bool((self.market.seen | ~self.held).all())
            self._ready_of, self._warm = self.market.restarts, False
        return self._ready

    def value(self) -> float:
        """Return the value in the quote currency; raise UnavailableError without a price."""
        if self.holdings is None:
            raise UnavailableError(UNHELD)
        if not self.ready:
            raise UnavailableError(f"no price of {', '.join(self._unpriced())} yet")
        return self.holdings.cash + float(self.quantities @ self.market.prices)

    def revalue(self) -> None:
        """Note the value for the drawdown, where there is one."""
        if self.holdings is not None and self.ready:
            value = self.holdings.cash + float(self.quantities @ self.market.prices)
            self.peak.see(value)
            self.guard.see(value)

    def exposures(self) -> Array:
        """Return the derivative of the value by each level, shape (assets,)."""
        return self.market.exposures(self.quantities)

    def half_life(self) -> int:
        """Return the index of the half-life in use.

        It is the shortest, from the configured one on, that is worth 10 returns of the held asset
        known least; the configured one while none is.
        """
        sizes, headline = self._sizes(), self.market.estimators.headline
        enough = (k for k in self.market.estimators.candidates if sizes[k] >= MIN_EFFECTIVE_SIZE)
        return next(enough, headline) if self.held.any() else headline

    def effective_size(self) -> float:
        """Return what the estimate is worth for the held asset that is known least."""
        return float(self._sizes()[self.half_life()])

    def _sizes(self) -> Array:
        """Return that for each half-life, shape (half-lives,)."""
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
        self._refuse_other_clocks(self.held)
        sizes = self._sizes()[list(self.market.estimators.candidates)]
        if self.held.any() and sizes.max() < MIN_EFFECTIVE_SIZE:
            raise UnavailableError(f"warming: worth {sizes.max():.1f} returns, 10 are needed")
        return choose(self._rates(self.half_life()), self._reference(), self.exposures())

    def _refuse_other_clocks(self, which: Flags) -> None:
        if found := self.market.behind(which):
            told = "; ".join(f"{name}: {reason}" for name, reason in found.items())
            raise UnavailableError(f"on another clock than the stream: {told}")

    def _is_on_the_clock(self) -> bool:
        return not (self.market.away & self.held).any()

    def _rates(self, k: int) -> Array:
        live = self.market.live
        return live.headline_rates if k == self.market.estimators.headline else live.rates_of(k)

    def half_life_reason(self, k: int) -> str:
        """Return why half-life ``k`` is in use and not the configured one; "" when it is that."""
        given = self.market.estimators
        if k == given.headline:
            return ""
        return (
            f"the configured {given.half_life_s:g} s are worth {self._sizes()[given.headline]:.1f}"
            " returns, 10 are needed: the shortest half-life that is worth them is in use"
        )

    def deviation(self, estimate: Estimate) -> float:
        """Return the standard deviation of the value over the horizon, money."""
        return measures.volatility(estimate.rates, self.exposures()) * sqrt(self.terms.horizon_s)

    def contributions(self, estimate: Estimate) -> dict[Symbol, float]:
        """Return each held asset's share of the volatility; zeros when there is none."""
        parts = measures.contributions(estimate.rates, self.exposures())
        total = float(parts.sum())
        shares = parts / total if total > 0 else np.zeros(len(parts))
        return self.by_symbol(shares)

    def by_symbol(self, values: Array) -> dict[Symbol, float]:
        """Return the values of the held assets by symbol."""
        names = self.market.symbols
        return {names[i]: float(values[i]) for i in np.flatnonzero(self.held).tolist()}

    def limited(self, i: int, names: Iterable[str]) -> dict[str, float]:
        """Return the numbers that limits are set on, right after a tick of asset ``i``.

        Those that need a price or an estimate which is not there yet are left out.
        """
        if not self.ready:
            self._quick = None
            return {}
        quick = self._quick_now(i)
        known = names if quick is not None else (n for n in names if n not in OF_ESTIMATES)
        return {name: _LIMITED[name](self, quick) for name in known}

    def _quick_now(self, i: int) -> Exposures | None:
        """Return what the limits are read off right after a tick of ``i``; None while warming."""
        if not self._is_warm(i):
            self._quick = None
            return None
        if self._in_use == self._headline:
            return self._kept_current(i)
        quick, self._quick = self._make_quick(), None
        return quick  # of prices that come seldom: only the headline's rates are kept current

    def _is_warm(self, i: int) -> bool:
        """Tell whether everything held is known well enough, when only ``i`` may have changed."""
        size = self.market.live.effective_size(self._headline, i)
        if not self._warm or self._in_use != self._headline or size < MIN_EFFECTIVE_SIZE:
            self._in_use = self.half_life()
            self._warm = self.effective_size() >= MIN_EFFECTIVE_SIZE
        return self._warm

    def _kept_current(self, i: int) -> Exposures:
        """Return the exposures after the tick of asset ``i``; anew when something else happened."""
        market, quick = self.market, self._quick
        changed, change = market.changed
        if quick is None or market.restarts != self._quick_of or changed != i or change is None:
            return self._make_quick()
        quick.row_changed(i, change)
        quick.move(i, float(self.quantities[i]) * self._level_unit(i))
        self._quick_ticks += 1
        beat = market.reference is not None and market.reference.rows != self._quick_rows
        if beat or self._quick_ticks >= REMAKE_TICKS:
            self.drift = quick.remake()
            return self._make_quick()
        return quick

    def _make_quick(self) -> Exposures:
        market, clock = self.market, self.market.reference
        rows = np.zeros((0, len(market.symbols))) if clock is None else clock.scenarios
        moves = [
            [shocks.get(name, shocks.get("*", 0.0)) for name in market.symbols]
            for shocks in self.terms.shocks.values()
        ]
        self._quick_of, self._quick_ticks = market.restarts, 0
        self._quick_rows = 0 if clock is None else clock.rows
        self._quick = Exposures(
            self._rates(self._in_use),
            self.exposures(),
            np.where(market.by_difference, rows, np.expm1(rows)),
            np.array(moves).reshape(-1, len(market.symbols)),
        )
        return self._quick

    def begin_anew(self) -> None:
        """Forget what is kept from tick to tick: some ticks were not told."""
        self._quick = None

    def _level_unit(self, i: int) -> float:
        return 1.0 if self.market.by_difference[i] else float(self.market.prices[i])

    def stale(self) -> dict[Symbol, float]:
        """Return the age in seconds of each held price that is stale."""
        ages = self.market.ages_s()
        old = (ages > self.market.stale_limits_s()) & self.held & self.market.seen
        return {self.market.symbols[i]: float(ages[i]) for i in np.flatnonzero(old).tolist()}

    def oldest_s(self) -> float:
        """Return the age in seconds of the oldest price of what is held."""
        return float(self.market.ages_s()[self.held].max(initial=0.0))

    def estimates(self, estimate: Estimate) -> EstimateReport:
        """Return what each estimator says of this book, as a fraction of its value."""
        unit = self._unit()
        size = self.effective_size()
        live, x = self.market.live, self.exposures()
        reference, clock = self._reference(), self.market.reference
        rates = live.rates
        k = self.half_life()
        return EstimateReport(
            half_life_s=live.half_lives_s[k],
            half_life_reason=self.half_life_reason(k),
            published=estimate.label,
            reason=estimate.reason,
            alarm=estimate.alarm,
            live={
                f"{half_life:g}": _root(float(x @ rates[k] @ x), unit)
                for k, half_life in enumerate(live.half_lives_s)
            },
            reference=None if reference is None else _root(float(x @ reference @ x), unit),
            clock_s=None if clock is None else clock.clock_s,
            n_eff=size,
            relative_error=relative_error(size) if size > 0 else None,
            attenuation=self._attenuation(),
        )

    def tails(self, deviation: float) -> dict[str, TailReport]:
        """Return the tails by every method that has enough scenarios, money at the horizon."""
        found = {"gaussian": _gaussian(deviation)}
        pnl = self.scenario_returns()
        if len(pnl) < SCENARIOS_NEEDED or self.market.reference is None:
            return found
        scale = sqrt(self.terms.horizon_s / self.market.reference.clock_s)
        found["historical"] = _historical(pnl * scale)
        if pnl.any():
            found["cornish_fisher"] = _cornish_fisher(pnl * scale)
            try:
                filtered = measures.filtered_returns(pnl, self.market.reference.decay)
                found["filtered_historical"] = _historical(filtered * scale)
            except UnavailableError:  # nothing moved at first: the plain ones are there
                return found
        return found

    def scenario_returns(self) -> Array:
        """Return the profit of today's holdings in each kept row, money, oldest first."""
        clock = self.market.reference
        if clock is None or not clock.rows:
            return np.zeros(0)
        return np.asarray(self._profits(clock.scenarios))

    def marginal(self, deviation: float, estimate: Estimate) -> dict[Symbol, float]:
        """Return the growth of the 99 % value at risk by one more unit of money in each asset."""
        x = self.exposures()
        unit = self.terms.horizon_s / deviation if deviation > 0 else 0.0
        grown = measures.gaussian_value_at_risk(1.0, 0.99) * unit * (estimate.rates @ x)
        return self.by_symbol(np.asarray(grown))

    def performance(self) -> dict[str, float | None]:
        """Return the ratios of the value as it was at the beats of the clock; {} before ten."""
        clock = self.market.reference
        values = np.array(self._values)
        if clock is None or len(values) <= 10 or values.min() <= 0:
            return {}
        returns, periods = np.diff(values) / values[:-1], self.terms.year_s / clock.clock_s
        return {
            "sharpe": _number(lambda: measures.sharpe_ratio(returns, periods)),
            "sortino": _number(lambda: measures.sortino_ratio(returns, periods)),
            "calmar": _number(lambda: measures.calmar_ratio(returns, periods)),
            "conditional_drawdown": _number(lambda: measures.conditional_drawdown(values)),
            "ulcer_index": _number(lambda: measures.ulcer_index(values)),
        }

    def against_benchmark(self, estimate: Estimate) -> dict[str, float | None]:
        """Return beta, correlation and tracking error (at the horizon) to the benchmark weights.

        Raises:
            UnavailableError: an asset of the benchmark is on another clock.
        """
        value = self.value()
        if value <= 0 or not self.terms.benchmark:
            return {}
        own = self.exposures() / value
        other = np.array([self.terms.benchmark.get(name, 0.0) for name in self.market.symbols])
        self._refuse_other_clocks(other != 0)
        scaled = estimate.rates * self.terms.horizon_s
        return {
            "beta": _number(lambda: measures.beta(scaled, own, other)),
            "correlation": _number(lambda: measures.correlation(scaled, own, other)),
            "tracking_error": _number(lambda: measures.tracking_error(scaled, own, other)),
        }

    def stress(self) -> dict[str, float]:
        """Return the loss in money of each named scenario, and of the worst stretch seen."""
        losses = self.shocked()
        clock = self.market.reference
        enough = clock is not None and clock.rows >= SCENARIOS_NEEDED
        if clock is not None and enough and self._is_on_the_clock():
            worst = measures.worst_windows(clock.scenarios, self.exposures(), 10, 1)[0]
            losses["worst_window"] = -float(self._profits(worst[None, :])[0])
        return losses

    def shocked(self) -> dict[str, float]:
        """Return the loss in money of each named scenario."""
        money = self.by_symbol(self.quantities * self.market.prices)
        return {
            name: measures.stress_loss({str(k): v for k, v in money.items()}, moves)
            for name, moves in self.terms.shocks.items()
        }

    def score(self, row: Array) -> list[tuple[str, Zone, Zone]]:
        """Hold the last forecasts against a row of the clock, and make the next ones.

        Returns:
            (name, zone now, zone before) of each forecast whose traffic light changed.
        """
        changed = []
        if self.holdings is not None and self.ready:
            self._values.append(self.value())
        if self._forecasts and self._is_on_the_clock():
            loss = -float(self._profits(row[None, :])[0])
            self.on_score(loss, self._forecasts)
            for level, forecast in self._forecasts.items():
                before = self.coverage[level].zone
                if (zone := self.coverage[level].see(loss, forecast)) is not None:
                    changed.append((level, zone, before))
        self._forecasts = self._forecast()
        return changed

    def backtest(self) -> dict[str, CoverageReport]:
        """Return how each value at risk, one beat of the clock ahead, kept its promise."""
        return {level: found.report() for level, found in self.coverage.items()}

    def _forecast(self) -> dict[str, float]:
        reference, clock = self._reference(), self.market.reference
        if reference is None or clock is None or not self.ready or not self.held.any():
            return {}
        if not self._is_on_the_clock():
            return {}
        deviation = measures.volatility(reference, self.exposures()) * sqrt(clock.clock_s)
        found = {
            level: measures.gaussian_value_at_risk(deviation, float(level)) for level in PUBLISHED
        }
        return found | self._filtered_forecast(clock.decay)

    def _filtered_forecast(self, decay: float) -> dict[str, float]:
        pnl = self.scenario_returns()
        if len(pnl) < FILTERED_NEEDED:
            return {}
        try:
            filtered = measures.filtered_returns(pnl, decay)
        except UnavailableError:  # nothing moved at first
            return {}
        return {
            f"{FILTERED} {level}": measures.historical_value_at_risk(filtered, float(level))
            for level in PUBLISHED
        }

    def _profits(self, rows: Array) -> Array:
        moves = np.where(self.market.by_difference, rows, np.expm1(rows))
        return np.asarray(moves @ self.exposures())

    def _reference(self) -> Array | None:
        clock = self.market.reference
        if clock is None or clock.effective_size < MIN_EFFECTIVE_SIZE:
            return None
        return clock.rates

    def _attenuation(self) -> dict[str, float]:
        """Return what the reference keeps of the covariance of each pair held, 30 at most."""
        table, names = self.market.attenuation(), self.market.symbols
        held = np.flatnonzero(self.held).tolist()
        if table is None:
            return {}
        pairs = islice(combinations(held, 2), MAX_PAIRS)
        return {f"{names[i]}-{names[j]}": float(table[i, j]) for i, j in pairs}

    def _unit(self) -> float:
        """Return what turns money per root of a second into a share of the value."""
        value = self.value()
        return sqrt(self.terms.horizon_s) / value if value > 0 else 0.0

    def _unpriced(self) -> list[str]:
        names = self.market.symbols
        unseen = [names[i] for i in np.flatnonzero(self.held & ~self.market.seen).tolist()]
        return [*unseen, *self.foreign]


def _unheard(_: float, __: Mapping[str, float]) -> None:
    """Do nothing when forecasts are scored."""


def _number(measure: Callable[[], float]) -> float | None:
    """Return the measure, finite, or None where it cannot be had."""
    try:
        found = measure()
    except (UnavailableError, OverflowError):
        return None
    return found if isfinite(found) else None


def _root(variance: float, unit: float) -> float | None:
    return sqrt(variance) * unit if variance >= 0 and unit else None


def _gaussian(deviation: float) -> TailReport:
    return TailReport(
        value_at_risk={
            level: measures.gaussian_value_at_risk(deviation, float(level)) for level in ALL_LEVELS
        },
        expected_shortfall={
            level: measures.gaussian_expected_shortfall(deviation, float(level))
            for level in ALL_LEVELS
        },
    )


def _historical(pnl: Array) -> TailReport:
    return TailReport(
        value_at_risk={
            level: measures.historical_value_at_risk(pnl, float(level)) for level in ALL_LEVELS
        },
        expected_shortfall={
            level: measures.historical_expected_shortfall(pnl, float(level)) for level in ALL_LEVELS
        },
        rule="upper",
    )


def _cornish_fisher(pnl: Array) -> TailReport:
    tails = {level: measures.cornish_fisher_tail(pnl, float(level)) for level in ALL_LEVELS}
    return TailReport(
        value_at_risk={level: tail.value_at_risk for level, tail in tails.items()},
        expected_shortfall={level: tail.expected_shortfall for level, tail in tails.items()},
        valid={level: tail.valid for level, tail in tails.items()},
    )


def _gaussian_loss(book: Book, quick: Exposures | None) -> float:
    return quick.gaussian(book.terms.horizon_s)[0.99][0] if quick else 0.0


def _historical_loss(_: Book, quick: Exposures | None) -> float:
    tails = quick.historical() if quick else {}
    return tails[0.99][0] if tails else 0.0


def _worst_stress(book: Book, quick: Exposures | None) -> float:
    return quick.worst_stress() if quick else max((0.0, *book.shocked().values()))


def _money(book: Book) -> Array:
    money: Array = np.abs(book.quantities * book.market.prices)
    return money


def _concentration(book: Book, _: Exposures | None) -> float:
    money = _money(book)
    gross = float(money.sum())
    return float(money.max(initial=0.0)) / gross if gross > 0 else 0.0


OF_ESTIMATES: Final = frozenset({"max_var", "max_historical_var"})

_LIMITED: Final[Mapping[str, Callable[[Book, Exposures | None], float]]] = {
    "max_var": _gaussian_loss,
    "max_historical_var": _historical_loss,
    "max_stress": _worst_stress,
    "max_drawdown": lambda book, _: book.guard.drawdown,
    "max_position": lambda book, _: float(_money(book).max(initial=0.0)),
    "max_gross": lambda book, _: float(_money(book).sum()),
    "max_concentration": _concentration,
    "max_stale_s": lambda book, _: book.oldest_s(),
}
