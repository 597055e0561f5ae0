"""Stochastic volatility."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, log, sqrt
from random import Random

from sources.processes.brownian import HIGHEST
from sources.processes.price_process import MINUTE, check


@dataclass(frozen=True, slots=True, kw_only=True)
class Heston:
    """``dS = mu S dt + sqrt(v) S dW1``, ``dv = kappa (theta - v) dt + xi sqrt(v) dW2``.

    Euler steps of the logarithm with full truncation: where the variance is negative, its positive
    part 0 stands in the drift and in the diffusion. Feller's ``2 kappa theta > xi^2`` keeps the
    variance of the model above zero; it is not required here.

    Args:
        mu: drift per year.
        kappa: speed of the variance per year.
        theta: long-run variance per year, also the first one; ``E[v_t] = theta``.
        xi: volatility of the variance.
        rho: correlation of the two Brownian motions.
        dt: years a tick; ``kappa * dt`` is at most 1.

    Source:
        Heston (1993), RFS 6, 327-343; full truncation: Lord, Koekkoek and van Dijk (2010),
        Quantitative Finance 10, 177-194.
    """

    mu: float = 0.0
    kappa: float = 2.0
    theta: float = 0.04
    xi: float = 0.3
    rho: float = -0.7
    dt: float = MINUTE

    def __post_init__(self) -> None:
        check("mu", self.mu, True, "finite")
        check("theta", self.theta, self.theta >= 0, "at least 0")
        check("xi", self.xi, self.xi >= 0, "at least 0")
        check("rho", self.rho, -1 <= self.rho <= 1, "in [-1, 1]")
        check("dt", self.dt, self.dt > 0, "above 0")
        check("kappa", self.kappa, 0 < self.kappa * self.dt <= 1, "in (0, 1] per tick")

    def prices(self, start: float, rng: Random) -> Iterator[float]:
        """Yield the prices after ``start``."""
        logarithm, variance = log(start), self.theta
        across = sqrt(1 - self.rho**2)
        while True:
            positive = max(variance, 0.0)
            spread = sqrt(positive * self.dt)
            shock, other = rng.gauss(0.0, 1.0), rng.gauss(0.0, 1.0)
            logarithm += (self.mu - positive / 2) * self.dt + spread * shock
            logarithm = min(logarithm, HIGHEST)
            pull = self.kappa * (self.theta - positive) * self.dt
            variance += pull + self.xi * spread * (self.rho * shock + across * other)
            yield exp(logarithm)
