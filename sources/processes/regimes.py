"""A market that is calm, then wild, then calm again."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, log, sqrt
from random import Random

from sources.processes.brownian import HIGHEST
from sources.processes.price_process import MINUTE, check, check_scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Regimes:
    """Geometric Brownian motion whose volatility is switched by a Markov chain of two states.

    Args:
        mu: drift per year.
        sigma: volatility per square root of a year that the two states multiply.
        calm: factor of the calm state, where the chain starts.
        wild: factor of the wild state.
        stay_calm: probability per tick that calm stays calm.
        stay_wild: probability per tick that wild stays wild.
        dt: years a tick.

    In the long run the chain is wild for ``(1 - stay_calm) / (2 - stay_calm - stay_wild)`` of the
    time.

    Source:
        Hamilton (1989), Econometrica 57, 357-384.
    """

    mu: float = 0.0
    sigma: float = 0.6
    calm: float = 0.5
    wild: float = 2.0
    stay_calm: float = 0.995
    stay_wild: float = 0.98
    dt: float = MINUTE

    def __post_init__(self) -> None:
        check("mu", self.mu, True, "finite")
        check_scale(self.sigma, self.dt)
        for name, factor in (("calm", self.calm), ("wild", self.wild)):
            check(name, factor, factor >= 0, "at least 0")
        for name, chance in (("stay_calm", self.stay_calm), ("stay_wild", self.stay_wild)):
            check(name, chance, 0 <= chance <= 1, "a probability")

    def prices(self, start: float, rng: Random) -> Iterator[float]:
        """Yield the prices after ``start``."""
        calm = (self.stay_calm, *self._step(self.calm))
        wild = (self.stay_wild, *self._step(self.wild))
        logarithm, here, there = log(start), calm, wild
        while True:
            stay, drift, spread = here
            logarithm = min(logarithm + drift + spread * rng.gauss(0.0, 1.0), HIGHEST)
            if rng.random() >= stay:
                here, there = there, here
            yield exp(logarithm)

    def _step(self, factor: float) -> tuple[float, float]:
        sigma = self.sigma * factor
        return (self.mu - sigma**2 / 2) * self.dt, sigma * sqrt(self.dt)
