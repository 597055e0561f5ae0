"""Brownian motions: geometric, arithmetic, and pulled back to a level."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, expm1, log, sqrt
from random import Random
from typing import Final

from sources.processes.price_process import MINUTE, check, check_scale

HIGHEST: Final = log(1e12)  # of a log price: where quoting stops, long before a float overflows


@dataclass(frozen=True, slots=True, kw_only=True)
class GeometricBrownian:
    """``S' = S exp((mu - sigma^2 / 2) dt + sigma sqrt(dt) Z)``, exact at every step.

    Args:
        mu: drift per year; ``E[S_t] = S_0 exp(mu t)``.
        sigma: volatility per square root of a year.
        dt: years a tick.

    Source:
        Black and Scholes (1973), The Pricing of Options and Corporate Liabilities, JPE 81, 637-654.
    """

    mu: float = 0.0
    sigma: float = 0.6
    dt: float = MINUTE

    def __post_init__(self) -> None:
        check("mu", self.mu, True, "finite")
        check_scale(self.sigma, self.dt)

    def prices(self, start: float, rng: Random) -> Iterator[float]:
        """Yield the prices after ``start``."""
        drift = (self.mu - self.sigma**2 / 2) * self.dt
        spread, logarithm, normal = self.sigma * sqrt(self.dt), log(start), rng.gauss
        while True:
            logarithm = min(logarithm + drift + spread * normal(0.0, 1.0), HIGHEST)
            yield exp(logarithm)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArithmeticBrownian:
    """``S' = |S + S_0 (mu dt + sigma sqrt(dt) Z)|``: steps of one size, mirrored at zero.

    Args:
        mu: drift per year, as a share of the start price.
        sigma: volatility per square root of a year, as a share of the start price.
        dt: years a tick.

    Source:
        Bachelier (1900), Theorie de la speculation, Annales de l'ENS 17, 21-86.
    """

    mu: float = 0.0
    sigma: float = 0.6
    dt: float = MINUTE

    def __post_init__(self) -> None:
        check("mu", self.mu, True, "finite")
        check_scale(self.sigma, self.dt)

    def prices(self, start: float, rng: Random) -> Iterator[float]:
        """Yield the prices after ``start``."""
        drift, spread = start * self.mu * self.dt, start * self.sigma * sqrt(self.dt)
        price, normal = start, rng.gauss
        while True:
            price = abs(price + drift + spread * normal(0.0, 1.0))
            yield price


@dataclass(frozen=True, slots=True, kw_only=True)
class OrnsteinUhlenbeck:
    """A price that is pulled back to a level, by the exact transition of the process.

    ``S' ~ N(m + (S - m) e^(-kappa dt), s^2 / (2 kappa) (1 - e^(-2 kappa dt)))``, with
    ``m = mu S_0`` and ``s = sigma S_0``.

    Args:
        mu: the level, in start prices: 1 pulls back to the start.
        kappa: speed per year; a distance halves in ``ln 2 / kappa`` years (an hour by default).
        sigma: volatility per square root of a year, as a share of the start price.
        dt: years a tick.

    Source:
        Uhlenbeck and Ornstein (1930), Phys. Rev. 36, 823; Gillespie (1996), Phys. Rev. E 54, 2084.
    """

    mu: float = 1.0
    kappa: float = 6000.0
    sigma: float = 0.6
    dt: float = MINUTE

    def __post_init__(self) -> None:
        check("mu", self.mu, self.mu > 0, "above 0")
        check("kappa", self.kappa, self.kappa > 0, "above 0")
        check_scale(self.sigma, self.dt)

    def prices(self, start: float, rng: Random) -> Iterator[float]:
        """Yield the prices after ``start``; with an unreasonable ``sigma`` they pass zero."""
        level, kept = start * self.mu, exp(-self.kappa * self.dt)
        spread = start * self.sigma * sqrt(-expm1(-2 * self.kappa * self.dt) / (2 * self.kappa))
        price, normal = start, rng.gauss
        while True:
            price = level + (price - level) * kept + spread * normal(0.0, 1.0)
            yield price
