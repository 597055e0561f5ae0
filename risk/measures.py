"""The measures of a portfolio, pure: a covariance or returns in, a number out.

The one door to all of them: tails (`value_at_risk`, `expected_shortfall`), drawdowns and ratios
live in modules of their own and are named here too. Weights may be shares or money; the result is
in the same unit. A number that cannot be had is an `UnavailableError` with its reason, never an
infinity.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from risk.arrays import Array, Numbers, numbers
from risk.distributions import expected_shortfall_factor, normal_quantile
from risk.drawdowns import (
    conditional_drawdown,
    drawdown,
    drawdowns,
    equity_of,
    max_drawdown,
    ulcer_index,
)
from risk.errors import UnavailableError
from risk.ratios import (
    calmar_ratio,
    sample_beta,
    sample_tracking_error,
    sharpe_ratio,
    sortino_ratio,
)
from risk.tails import (
    Tail,
    cornish_fisher_tail,
    expected_shortfall,
    filtered_returns,
    gaussian_expected_shortfall,
    gaussian_tail,
    gaussian_value_at_risk,
    historical_expected_shortfall,
    historical_value_at_risk,
    tail_weights,
    value_at_risk,
)

__all__ = [
    "Tail",
    "amihud_illiquidity",
    "beta",
    "calmar_ratio",
    "conditional_drawdown",
    "contributions",
    "cornish_fisher_tail",
    "correlation",
    "diversification_ratio",
    "drawdown",
    "drawdowns",
    "equity_of",
    "expected_shortfall",
    "expected_shortfall_contributions",
    "filtered_returns",
    "gaussian_expected_shortfall",
    "gaussian_tail",
    "gaussian_value_at_risk",
    "historical_contributions",
    "historical_expected_shortfall",
    "historical_value_at_risk",
    "incremental_value_at_risk",
    "marginal_volatility",
    "max_drawdown",
    "sample_beta",
    "sample_tracking_error",
    "sharpe_ratio",
    "sortino_ratio",
    "stress_loss",
    "tail_weights",
    "tracking_error",
    "ulcer_index",
    "value_at_risk",
    "value_at_risk_contributions",
    "volatility",
    "weighted_risk",
    "worst_windows",
]


def volatility(covariance: Array, weights: Numbers) -> float:
    """Return sqrt(w' S w); raise UnavailableError where S is no covariance for these weights."""
    w = numbers(weights)
    variance = float(w @ covariance @ w)
    if variance < -1e-12 * float(np.abs(w) @ np.abs(covariance) @ np.abs(w)):
        raise UnavailableError("the covariance is not positive semidefinite")
    return float(max(variance, 0.0) ** 0.5)


def marginal_volatility(covariance: Array, weights: Numbers) -> Array:
    """Return the derivative of the volatility by each weight; zeros without risk."""
    w = numbers(weights)
    total = volatility(covariance, w)
    return np.asarray(covariance @ w / total) if total > 0 else np.zeros(len(w))


def contributions(covariance: Array, weights: Numbers) -> Array:
    """Return each asset's part of the volatility, shape (assets,); they add up to it exactly.

    Source: Tasche (2007), Capital allocation to business units and sub-portfolios: the Euler
    principle, arXiv:0708.2542.
    """
    return np.asarray(numbers(weights) * marginal_volatility(covariance, weights))


def value_at_risk_contributions(
    covariance: Array, weights: Numbers, level: float, mean: Numbers | None = None
) -> Array:
    """Return each asset's part of the Gaussian value at risk, shape (assets,)."""
    return _parametric(normal_quantile(level), covariance, weights, mean)


def expected_shortfall_contributions(
    covariance: Array, weights: Numbers, level: float, mean: Numbers | None = None
) -> Array:
    """Return each asset's part of the Gaussian expected shortfall, shape (assets,)."""
    return _parametric(expected_shortfall_factor(level), covariance, weights, mean)


def historical_contributions(returns: Array, weights: Numbers, level: float) -> tuple[Array, Array]:
    """Return each asset's part of the historical value at risk and expected shortfall.

    Args:
        returns: shape (rows, assets). The rule is ``upper``; of equal losses the earlier row
        counts.
    """
    rows, w = numbers(returns), numbers(weights)
    tail = tail_weights(len(rows), level)
    worst = np.argsort(rows @ w, kind="stable")[: len(tail)]
    return -w * rows[worst[-1]], -w * (tail @ rows[worst])


def incremental_value_at_risk(
    covariance: Array, weights: Numbers, change: Numbers, level: float
) -> float:
    """Return how much the Gaussian value at risk grows by ``change``, re-evaluated."""
    w = numbers(weights)
    after = volatility(covariance, w + numbers(change))
    return normal_quantile(level) * (after - volatility(covariance, w))


def diversification_ratio(covariance: Array, weights: Numbers) -> float:
    """Return the weighted mean volatility / the portfolio's; 1 when nothing diversifies.

    Source: Choueifaty and Coignard (2008), J. Portfolio Management 35(1), 40-51.
    """
    total = volatility(covariance, weights)
    if total == 0:
        raise UnavailableError("the portfolio has no volatility")
    return float(np.abs(numbers(weights)) @ np.sqrt(np.maximum(np.diagonal(covariance), 0))) / total


def beta(covariance: Array, weights: Numbers, benchmark: Numbers) -> float:
    """Return the covariance with the ``benchmark`` weights over the benchmark's variance."""
    b = numbers(benchmark)
    variance = volatility(covariance, b) ** 2
    if variance == 0:
        raise UnavailableError("the benchmark has no volatility")
    return float(numbers(weights) @ covariance @ b) / variance


def tracking_error(covariance: Array, weights: Numbers, benchmark: Numbers) -> float:
    """Return the volatility of the difference to the ``benchmark`` weights."""
    return volatility(covariance, numbers(weights) - numbers(benchmark))


def correlation(covariance: Array, weights: Numbers, benchmark: Numbers) -> float:
    """Return the correlation with the ``benchmark`` weights."""
    own, other = volatility(covariance, weights), volatility(covariance, benchmark)
    if own == 0 or other == 0:
        raise UnavailableError("no volatility, no correlation")
    return float(numbers(weights) @ covariance @ numbers(benchmark)) / (own * other)


def weighted_risk(weights: Numbers, prices: Numbers, volumes: Numbers) -> float:
    """Return sum(weight * price / volume) / sum(weight), the original exercise's figure.

    It has the unit of price per volume and grows as trading thins out; it is no probability of
    loss.

    Raises:
        UnavailableError: a volume or the sum of the weights is zero.
    """
    w, p, v = numbers(weights), numbers(prices), numbers(volumes)
    if not v.all():
        raise UnavailableError(f"zero volume in asset {int(np.flatnonzero(v == 0)[0])}")
    total = float(w.sum())
    if total == 0:
        raise UnavailableError("the weights add up to zero")
    return float((w * p / v).sum()) / total


def amihud_illiquidity(returns: Numbers, prices: Numbers, volumes: Numbers) -> float:
    """Return the mean of abs(return) / (price * volume) over the rows with volume.

    Source: Amihud (2002), J. Financial Markets 5(1), 31-56.
    Raises:
        UnavailableError: no row has volume.
    """
    r, money = numbers(returns), numbers(prices) * numbers(volumes)
    traded = money > 0
    if not traded.any():
        raise UnavailableError("zero volume")
    return float((np.abs(r[traded]) / money[traded]).mean())


def stress_loss(exposures: Mapping[str, float], shocks: Mapping[str, float]) -> float:
    """Return the loss when each price moves by its shock; ``*`` is that of all others."""
    rest = shocks.get("*", 0.0)
    return -sum(money * shocks.get(name, rest) for name, money in exposures.items())


def worst_windows(returns: Array, weights: Numbers, length: int, count: int) -> Sequence[Array]:
    """Return the summed returns of the ``count`` worst stretches of ``length`` rows, apart.

    Args:
        returns: log returns, shape (rows, assets). Returns arrays of shape (assets,), worst first.
    """
    rows = numbers(returns)
    if length < 1 or len(rows) < length:
        raise UnavailableError(f"{len(rows)} rows, {length} are needed")
    total = np.vstack((np.zeros(rows.shape[1]), np.cumsum(rows, axis=0)))
    windows = total[length:] - total[:-length]
    found: list[int] = []
    for start in np.argsort(windows @ numbers(weights), kind="stable").tolist():
        if len(found) < count and all(abs(start - other) >= length for other in found):
            found.append(start)
    return [windows[start] for start in found]


def _parametric(factor: float, covariance: Array, weights: Numbers, mean: Numbers | None) -> Array:
    drift = 0.0 if mean is None else numbers(weights) * numbers(mean)
    return np.asarray(factor * contributions(covariance, weights) - drift)
