"""What is held, valued at every tick, and the risk of it, computed when it is asked for."""

from collections import deque
from collections.abc import Callable
from itertools import combinations, islice
from math import isfinite, sqrt
from typing import Final

import numpy as np

from market.values import Symbol
from risk import measures, tail_reports
from risk.arrays import Array
from risk.backtests import Zone
from risk.covariance import Estimate, relative_error
from risk.errors import UnavailableError
from risk.forecasts import Forecasts
from risk.gauges import Gauges
from risk.market_state import MarketState
from risk.portfolio import Holdings
from risk.report import EstimateReport, TailReport
from risk.terms import Terms
from risk.valuation import Valuation

SCENARIOS_NEEDED: Final = 50
MAX_PAIRS: Final = 30


class Book(Valuation):
    """Holdings in a market, and all that is told of them.

    Attributes:
        forecasts: the value at risk one beat ahead, and its backtest.
        gauges: the numbers that limits are set on.
    """

    def __init__(self, market: MarketState, terms: Terms) -> None:
        super().__init__(market, terms)
        self.forecasts, self.gauges = Forecasts(self), Gauges(self)
        self._values: deque[float] = deque(maxlen=market.estimators.scenarios)

    def hold(self, holdings: Holdings) -> None:
        """Hold something else from now on; the peak of the value stays."""
        self.forecasts.begin_anew()
        self.gauges.begin_anew()
        super().hold(holdings)

    def score(self, row: Array) -> list[tuple[str, Zone, Zone]]:
        """Note the value for the ratios, and hold the last forecasts against a row of the clock.

        Returns:
            (name, zone now, zone before) of each forecast whose traffic light changed.
        """
        if self.holdings is not None and self.ready:
            self._values.append(self.value())
        return self.forecasts.score(row)

    def contributions(self, estimate: Estimate) -> dict[Symbol, float]:
        """Return each held asset's share of the volatility; zeros when there is none."""
        parts = measures.contributions(estimate.rates, self.exposures())
        total = float(parts.sum())
        shares = parts / total if total > 0 else np.zeros(len(parts))
        return self.by_symbol(shares)

    def estimates(self, estimate: Estimate) -> EstimateReport:
        """Return what each estimator says of this book, as a fraction of its value."""
        unit = self._unit()
        size = self.effective_size()
        live, x = self.market.live, self.exposures()
        reference, clock = self.reference_rates(), self.market.reference
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
        found = {"gaussian": tail_reports.gaussian(deviation)}
        pnl = self.scenario_returns()
        if len(pnl) < SCENARIOS_NEEDED or self.market.reference is None:
            return found
        scale = sqrt(self.terms.horizon_s / self.market.reference.clock_s)
        found["historical"] = tail_reports.historical(pnl * scale)
        if pnl.any():
            found["cornish_fisher"] = tail_reports.cornish_fisher(pnl * scale)
            try:
                filtered = measures.filtered_returns(pnl, self.market.reference.decay)
                found["filtered_historical"] = tail_reports.historical(filtered * scale)
            except UnavailableError:  # nothing moved at first: the plain ones are there
                return found
        return found

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
        self.refuse_other_clocks(other != 0)
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
        if clock is not None and enough and self.is_on_the_clock():
            worst = measures.worst_windows(clock.scenarios, self.exposures(), 10, 1)[0]
            losses["worst_window"] = -float(self.profits(worst[None, :])[0])
        return losses

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


def _number(measure: Callable[[], float]) -> float | None:
    """Return the measure, finite, or None where it cannot be had."""
    try:
        found = measure()
    except (UnavailableError, OverflowError):
        return None
    return found if isfinite(found) else None


def _root(variance: float, unit: float) -> float | None:
    return sqrt(variance) * unit if variance >= 0 and unit else None
