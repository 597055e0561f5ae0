"""Puts the report of a portfolio together: each number, or the reason why it is not there."""

from collections.abc import Callable
from datetime import datetime
from math import sqrt
from typing import Any, TypeVar

from market.values import Symbol
from risk import measures
from risk.book import Book
from risk.covariance import MIN_EFFECTIVE_SIZE, Estimate
from risk.errors import UnavailableError
from risk.report import PUBLISHED, LimitReport, RiskReport

T = TypeVar("T")


def conventions(book: Book) -> dict[str, Any]:
    """Return how to read the numbers of a report."""
    clock = book.market.reference
    return {
        "volatility": "fraction of value over horizon_s, not annualized",
        "volatility_annual": f"times sqrt({book.terms.year_s:g} s / horizon_s)",
        "value_at_risk": "quote currency over horizon_s, gaussian, zero mean, loss positive",
        "contributions": "share of volatility, Euler",
        "marginal_value_at_risk": "of value_at_risk 0.99, by one unit of money in the asset",
        "performance": "of the value at the beats of the reference clock, ratios a year",
        "benchmark": dict(book.terms.benchmark),
        "drawdown": "fraction of the highest value since watched",
        "tails": "quote currency, scaled to horizon_s by the square root of time",
        "quantile_rule": "upper",
        "reference_half_life_s": None if clock is None else clock.half_life_s,
        "half_life_s": book.market.estimators.half_lives_s[book.half_life()],
        "year_s": book.terms.year_s,
    }


class Reporter:
    """One report in the making.

    Args:
        book: what is held.
        weights: gives the weights.
        weighted_risk: gives the original figure.
        limits: as they are now.
    """

    def __init__(
        self,
        book: Book,
        weights: Callable[[], dict[Symbol, float]],
        weighted_risk: Callable[[], float],
        limits: dict[str, LimitReport],
    ) -> None:
        self._limits = limits
        self._book, self._weights, self._weighted_risk = book, weights, weighted_risk
        self._unavailable: dict[str, str] = {}

    def report(
        self, portfolio: str, time: datetime, *, lost: str = "", flags: tuple[str, ...] = ()
    ) -> RiskReport:
        """Return the report of ``portfolio`` as of ``time``."""
        book = self._book
        value = self._try("value", book.value)
        estimate = self._try("volatility", book.estimate)
        stale = book.stale()
        deviation = self._deviation(estimate)
        share = (
            None if deviation is None else self._try("volatility", lambda: _share(deviation, value))
        )
        var, es = self._tails(deviation)
        exposures = {} if value is None else book.by_symbol(book.quantities * book.market.prices)
        return RiskReport(
            time=time,
            portfolio=portfolio,
            state=self._state(stale, lost),
            weights=self._try("weights", self._weights) or {},
            value=value,
            weighted_risk=self._try("weighted_risk", self._weighted_risk),
            volatility=share,
            value_at_risk=var,
            expected_shortfall=es,
            contributions={} if estimate is None else book.contributions(estimate),
            drawdown=None if value is None else book.peak.drawdown,
            max_drawdown=None if value is None else book.peak.max_drawdown,
            horizon_s=book.terms.horizon_s,
            samples=book.samples(),
            unavailable=self._unavailable,
            conventions=conventions(book),
            volatility_annual=self._annual(share),
            quantities=book.by_symbol(book.quantities),
            exposures=exposures,
            cash=None if book.holdings is None else book.holdings.cash,
            stale=stale,
            stale_share=_stale_share(exposures, stale),
            diversification_ratio=self._diversification(estimate),
            amihud=book.by_symbol(book.market.illiquidity),
            estimate=None if estimate is None else book.estimates(estimate),
            tails={} if deviation is None else book.tails(deviation),
            marginal_value_at_risk=self._marginal(deviation, estimate),
            performance=book.performance(),
            benchmark=self._benchmark(estimate),
            stress={} if value is None else book.stress(),
            backtest=book.forecasts.backtest(),
            limits=self._limits,
            drift=book.gauges.drift,
            flags=self._flags(flags, lost),
        )

    def _state(self, stale: dict[Symbol, float], lost: str) -> str:
        if stale or lost:
            return "stale"
        book = self._book
        known = book.holdings is not None and book.ready
        enough = book.effective_size() >= MIN_EFFECTIVE_SIZE or not book.held.any()
        return "live" if known and enough else "warming"

    def _deviation(self, estimate: Estimate | None) -> float | None:
        if estimate is None:
            reason = self._unavailable["volatility"]
            for name in ("value_at_risk", "expected_shortfall", "contributions"):
                self._unavailable[name] = reason
            return None
        return self._try("value_at_risk", lambda: self._book.deviation(estimate))

    def _tails(
        self, deviation: float | None
    ) -> tuple[dict[str, float | None], dict[str, float | None]]:
        var: dict[str, float | None] = dict.fromkeys(PUBLISHED)
        es: dict[str, float | None] = dict.fromkeys(PUBLISHED)
        if deviation is not None:
            for level in PUBLISHED:
                var[level] = measures.gaussian_value_at_risk(deviation, float(level))
                es[level] = measures.gaussian_expected_shortfall(deviation, float(level))
        return var, es

    def _annual(self, share: float | None) -> float | None:
        terms = self._book.terms
        return None if share is None else share * sqrt(terms.year_s / terms.horizon_s)

    def _marginal(self, deviation: float | None, estimate: Estimate | None) -> dict[Symbol, float]:
        if deviation is None or estimate is None:
            return {}
        return self._book.marginal(deviation, estimate)

    def _benchmark(self, estimate: Estimate | None) -> dict[str, float | None]:
        if estimate is None:
            return {}
        return self._try("benchmark", lambda: self._book.against_benchmark(estimate)) or {}

    def _diversification(self, estimate: Estimate | None) -> float | None:
        if estimate is None or not self._book.held.any():
            return None
        return self._try(
            "diversification_ratio",
            lambda: measures.diversification_ratio(estimate.rates, self._book.exposures()),
        )

    def _flags(self, flags: tuple[str, ...], lost: str) -> tuple[str, ...]:
        market = self._book.market
        differences = [
            f"{name}: price differences, a price was not positive"
            for name, by in zip(market.symbols, market.by_difference, strict=True)
            if by and name in self._book.by_symbol(self._book.quantities)
        ]
        away = [
            f"{name}: on another clock, {reason}"
            for name, reason in market.behind(self._book.held).items()
        ]
        return (*((lost,) if lost else ()), *flags, *differences, *away)

    def _try(self, name: str, number: Callable[[], T]) -> T | None:
        try:
            return number()
        except UnavailableError as error:
            self._unavailable.setdefault(name, error.reason)
            return None


def _share(deviation: float, value: float | None) -> float:
    if value is None or value <= 0:
        raise UnavailableError("the value is not positive")
    return deviation / value


def _stale_share(exposures: dict[Symbol, float], stale: dict[Symbol, float]) -> float:
    gross = sum(abs(money) for money in exposures.values())
    return (
        sum(abs(exposures[name]) for name in stale if name in exposures) / gross if gross else 0.0
    )
