"""Arrivals that excite each other: trades come in bursts."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, log
from random import Random

from sources.processes.price_process import check


@dataclass(frozen=True, slots=True, kw_only=True)
class Hawkes:
    """A self-exciting point process: ``lambda(t) = mu + sum_{t_i < t} alpha e^(-beta (t - t_i))``.

    Args:
        mu: arrivals per second that nothing excites.
        alpha: how much an arrival raises the intensity.
        beta: how fast that fades, per second; ``alpha < beta``.

    In the long run there are ``mu / (1 - n)`` arrivals per second, with ``n = alpha / beta``, and
    the variance of a count over its mean tends to ``1 / (1 - n)^2``.

    Source:
        Hawkes (1971), Biometrika 58, 83-90; thinning: Ogata (1981), IEEE Trans. Information Theory
        27, 23-31.
    """

    mu: float = 0.5
    alpha: float = 0.8
    beta: float = 1.0

    def __post_init__(self) -> None:
        check("mu", self.mu, self.mu > 0, "above 0")
        check("beta", self.beta, self.beta > 0, "above 0")
        check("alpha", self.alpha, 0 <= self.alpha < self.beta, "in [0, beta)")

    @property
    def rate(self) -> float:
        """Arrivals per second in the long run."""
        return self.mu / (1 - self.alpha / self.beta)

    def times(self, rng: Random) -> Iterator[float]:
        """Yield the seconds from the start to each arrival, for ever, increasing."""
        time = excitement = 0.0
        while True:
            bound = self.mu + excitement  # the intensity only falls until the next arrival
            wait = -log(1.0 - rng.random()) / bound
            time += wait
            excitement *= exp(-self.beta * wait)
            if rng.random() * bound <= self.mu + excitement:
                excitement += self.alpha
                yield time
