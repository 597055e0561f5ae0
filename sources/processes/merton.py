"""Jumps on top of geometric Brownian motion."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, expm1, log, sqrt
from random import Random

from sources.processes.brownian import HIGHEST
from sources.processes.price_process import MINUTE, check, check_scale


@dataclass(frozen=True, slots=True, kw_only=True)
class MertonJumps:
    """Geometric Brownian motion times ``exp(sum of N jumps)``, N a Poisson count, compensated.

    ``ln S'/S = (mu - sigma^2/2 - lambda k) dt + sigma sqrt(dt) Z + sum_{i<=N} N(mu_j, sigma_j^2)``,
    with ``k = exp(mu_j + sigma_j^2 / 2) - 1``, so that ``E[S_t] = S_0 exp(mu t)``.

    Args:
        mu: drift per year.
        sigma: volatility per square root of a year, between jumps.
        lambda_: jumps per year (4 a day by default).
        mu_j: mean of the logarithm of a jump.
        sigma_j: standard deviation of the logarithm of a jump.
        dt: years a tick; ``lambda_ * dt`` is at most 100.

    Source:
        Merton (1976), Option pricing when underlying stock returns are discontinuous,
        J. Financial Economics 3, 125-144.
    """

    mu: float = 0.0
    sigma: float = 0.6
    lambda_: float = 1460.0
    mu_j: float = 0.0
    sigma_j: float = 0.006
    dt: float = MINUTE

    def __post_init__(self) -> None:
        check("mu", self.mu, True, "finite")
        check("mu_j", self.mu_j, abs(self.mu_j) <= 1, "in [-1, 1]")
        check("sigma_j", self.sigma_j, 0 <= self.sigma_j <= 1, "in [0, 1]")
        check_scale(self.sigma, self.dt)
        check("lambda", self.lambda_, 0 <= self.lambda_ * self.dt <= 100, "0 to 100 jumps a tick")

    def prices(self, start: float, rng: Random) -> Iterator[float]:
        """Yield the prices after ``start``."""
        compensation = self.lambda_ * expm1(self.mu_j + self.sigma_j**2 / 2)
        drift = (self.mu - self.sigma**2 / 2 - compensation) * self.dt
        spread, logarithm = self.sigma * sqrt(self.dt), log(start)
        silence = exp(-self.lambda_ * self.dt)
        while True:
            step = drift + spread * rng.gauss(0.0, 1.0)
            for _ in range(poisson(silence, rng)):
                step += rng.gauss(self.mu_j, self.sigma_j)
            logarithm = min(logarithm + step, HIGHEST)
            yield exp(logarithm)


def poisson(silence: float, rng: Random) -> int:
    """Return a Poisson count whose probability of zero is ``silence``, by Knuth's method."""
    count, product = 0, rng.random()
    while product > silence:
        count += 1
        product *= rng.random()
    return count
