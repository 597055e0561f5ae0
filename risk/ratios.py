"""Return for risk: ratios of a series of returns, with the calendar as an argument.

``periods`` is how many returns make a year: 252 for daily rows of a stock exchange, 365 for daily
rows of a market that never closes, 31 536 000 for seconds. There is no default to be wrong by.
"""

from math import sqrt

import numpy as np

from risk.arrays import Array, Numbers, numbers
from risk.drawdowns import equity_of, max_drawdown
from risk.errors import UnavailableError


def sharpe_ratio(returns: Numbers, periods: float, riskless: float = 0.0) -> float:
    """Return mean / deviation (ddof 1) of the returns over ``riskless``, times sqrt(periods).

    Source: Sharpe (1994), J. Portfolio Management 21(1), 49-58.
    """
    excess = _several(returns) - riskless
    return _over(float(excess.mean()), float(excess.std(ddof=1)), "deviation") * sqrt(periods)


def sortino_ratio(returns: Numbers, periods: float, target: float = 0.0) -> float:
    """Return mean / downside deviation below ``target`` (all rows counted), times sqrt(periods)."""
    excess = _several(returns) - target
    downside = float(np.sqrt((np.minimum(excess, 0) ** 2).mean()))
    return _over(float(excess.mean()), downside, "downside") * sqrt(periods)


def calmar_ratio(returns: Numbers, periods: float) -> float:
    """Return the geometric yearly return over the deepest drawdown of the compounded path."""
    equity = equity_of(_several(returns))
    if equity[-1] <= 0:
        raise UnavailableError("nothing is left to compound")
    grown = float(equity[-1]) ** (periods / (len(equity) - 1)) - 1
    return _over(grown, max_drawdown(equity), "drawdown")


def sample_beta(returns: Numbers, benchmark: Numbers) -> float:
    """Return covariance with the benchmark / its variance, both ddof 1."""
    r, b = _paired(returns, benchmark)
    about = b - b.mean()
    return _over(float((r - r.mean()) @ about), float(about @ about), "benchmark variance")


def sample_tracking_error(returns: Numbers, benchmark: Numbers, periods: float) -> float:
    """Return the deviation (ddof 1) of the difference to the benchmark, times sqrt(periods)."""
    r, b = _paired(returns, benchmark)
    return float((r - b).std(ddof=1)) * sqrt(periods)


def _several(returns: Numbers) -> Array:
    r = numbers(returns)
    if len(r) < 2:
        raise UnavailableError(f"{len(r)} returns, 2 are needed")
    return r


def _paired(returns: Numbers, benchmark: Numbers) -> tuple[Array, Array]:
    r, b = _several(returns), _several(benchmark)
    if len(r) != len(b):
        raise ValueError(f"{len(r)} returns against {len(b)} of the benchmark")
    return r, b


def _over(numerator: float, denominator: float, what: str) -> float:
    if denominator == 0:
        raise UnavailableError(f"zero {what}")
    return numerator / denominator
