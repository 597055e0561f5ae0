"""Assets that move together: each source draws the shocks of the market, and takes its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from random import Random

import numpy as np

from market.errors import InvalidValueError
from sources.processes.brownian import HIGHEST
from sources.processes.price_process import MINUTE, check, check_scale


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelatedBrownian:
    """Geometric Brownian motion of one asset of a market: ``Z = sum_j loadings[j] Z_j``.

    Args:
        loadings: this asset's row of ``cholesky``, one number for each asset of the market.
        mu: drift per year.
        sigma: volatility per square root of a year.
        dt: years a tick.

    Every asset whose generator starts from the same seed draws the same ``Z_j`` at the same tick:
    so the log returns of two assets, tick by tick, have the correlation of their two rows.
    """

    loadings: tuple[float, ...] = (1.0,)
    mu: float = 0.0
    sigma: float = 0.6
    dt: float = MINUTE

    def __post_init__(self) -> None:
        check("mu", self.mu, True, "finite")
        check_scale(self.sigma, self.dt)
        length = sum(loading * loading for loading in self.loadings)
        check("the square of loadings", length, abs(length - 1) < 1e-9, "1")

    def prices(self, start: float, rng: Random) -> Iterator[float]:
        """Yield the prices after ``start``."""
        drift = (self.mu - self.sigma**2 / 2) * self.dt
        spread, logarithm = self.sigma * sqrt(self.dt), log(start)
        while True:
            shock = sum([loading * rng.gauss(0.0, 1.0) for loading in self.loadings])
            logarithm = min(logarithm + drift + spread * shock, HIGHEST)
            yield exp(logarithm)


def cholesky(correlation: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], ...]:
    """Return the lower triangle L with ``L L^T = correlation``, row by row.

    Args:
        correlation: shape (assets, assets).

    Raises:
        InvalidValueError: it is not square, symmetric, 1 on its diagonal and positive definite.

    Source:
        Golub and Van Loan, Matrix Computations, section 4.2.
    """
    try:
        matrix = np.array(correlation, dtype=float)
    except ValueError as error:
        raise InvalidValueError(f"the correlation matrix is not square: {error}") from error
    _check_correlation(matrix)
    try:
        lower = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError as error:
        raise InvalidValueError("the correlation matrix is not positive definite") from error
    return tuple(tuple(float(value) for value in row) for row in lower)


def _check_correlation(matrix: np.ndarray) -> None:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise InvalidValueError(f"the correlation matrix is not square: {matrix.shape}")
    if not np.isfinite(matrix).all() or (np.diagonal(matrix) != 1).any():
        raise InvalidValueError("the correlation matrix is not 1 on its diagonal, finite elsewhere")
    if not np.array_equal(matrix, matrix.T):
        raise InvalidValueError("the correlation matrix is not symmetric")
