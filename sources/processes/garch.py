"""Volatility that clusters: what moved a lot will move a lot."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, log, sqrt
from random import Random
from typing import Final

from sources.processes.brownian import HIGHEST
from sources.processes.price_process import MINUTE, check

ANNUAL_VARIANCE: Final = 0.36  # a volatility of 60 % a year
OMEGA: Final = 0.02 * ANNUAL_VARIANCE * MINUTE  # for a persistence of 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class Garch:
    """GARCH(1,1): ``r = mu + sqrt(h) Z``, ``h' = omega + alpha e^2 + beta h``, with ``e = r - mu``.

    Args:
        mu: mean of a log return, per tick.
        omega: constant of the variance, per tick.
        alpha: weight of the last squared shock.
        beta: weight of the last variance; ``alpha + beta < 1``.

    The variance per tick is ``omega / (1 - alpha - beta)`` in the long run, and at the start.

    Source:
        Bollerslev (1986), Generalized autoregressive conditional heteroskedasticity,
        J. Econometrics 31, 307-327.
    """

    mu: float = 0.0
    omega: float = OMEGA
    alpha: float = 0.08
    beta: float = 0.90

    def __post_init__(self) -> None:
        check("mu", self.mu, True, "finite")
        _check_weights(self.omega, self.alpha, self.beta, gamma=0.0)

    def prices(self, start: float, rng: Random) -> Iterator[float]:
        """Yield the prices after ``start``."""
        logarithm, variance = log(start), self.omega / (1 - self.alpha - self.beta)
        while True:
            shock = sqrt(variance) * rng.gauss(0.0, 1.0)
            variance = self.omega + self.alpha * shock * shock + self.beta * variance
            logarithm = min(logarithm + self.mu + shock, HIGHEST)
            yield exp(logarithm)


@dataclass(frozen=True, slots=True, kw_only=True)
class GjrGarch:
    """GJR-GARCH(1,1) with Student t shocks: heavy tails, clusters, and falls that stir more.

    ``h' = omega + (alpha + gamma [e < 0]) e^2 + beta h``, ``e = sqrt(h) T``, where T is Student's t
    with ``nu`` degrees of freedom, scaled to variance 1.

    Args:
        mu: mean of a log return, per tick.
        omega: constant of the variance, per tick.
        alpha: weight of the last squared shock.
        gamma: further weight when that shock was negative; ``alpha + beta + gamma / 2 < 1``.
        beta: weight of the last variance.
        nu: degrees of freedom, above 2.

    The variance per tick is ``omega / (1 - alpha - beta - gamma / 2)`` in the long run, and at the
    start.

    Source:
        Glosten, Jagannathan and Runkle (1993), J. Finance 48, 1779-1801; t shocks: Bollerslev
        (1987), Review of Economics and Statistics 69, 542-547.
    """

    mu: float = 0.0
    omega: float = OMEGA
    alpha: float = 0.02
    gamma: float = 0.12
    beta: float = 0.90
    nu: float = 8.0

    def __post_init__(self) -> None:
        check("mu", self.mu, True, "finite")
        check("gamma", self.gamma, self.gamma >= 0, "at least 0")
        check("nu", self.nu, self.nu > 2, "above 2")
        _check_weights(self.omega, self.alpha, self.beta, self.gamma)

    def prices(self, start: float, rng: Random) -> Iterator[float]:
        """Yield the prices after ``start``."""
        logarithm = log(start)
        variance = self.omega / (1 - self.alpha - self.beta - self.gamma / 2)
        while True:
            shock = sqrt(variance) * student(self.nu, rng)
            weight = self.alpha + self.gamma if shock < 0 else self.alpha
            variance = self.omega + weight * shock * shock + self.beta * variance
            logarithm = min(logarithm + self.mu + shock, HIGHEST)
            yield exp(logarithm)


def student(nu: float, rng: Random) -> float:
    """Return a draw of Student's t with ``nu`` > 2 degrees of freedom, scaled to variance 1.

    Source:
        ``Z / sqrt(V / nu)`` with V chi-squared, that is gamma(nu / 2, 2); its variance is
        ``nu / (nu - 2)``.
    """
    chi_squared = rng.gammavariate(nu / 2, 2.0)
    return rng.gauss(0.0, 1.0) * sqrt((nu - 2) / chi_squared)


def _check_weights(omega: float, alpha: float, beta: float, gamma: float) -> None:
    check("omega", omega, omega > 0, "above 0")
    check("alpha", alpha, alpha >= 0, "at least 0")
    check("beta", beta, beta >= 0, "at least 0")
    persistence = alpha + beta + gamma / 2
    check("alpha + beta + gamma / 2 =", persistence, persistence < 1, "below 1")
