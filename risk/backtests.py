"""Does a value at risk keep its promise? Tests of the exceptions, in log space throughout.

An exception is a loss beyond the forecast. Products of powers underflow on long series, so that a
hopeless forecast can seem perfect; sums of logarithms do not.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from math import comb, exp, lgamma, log

from risk.distributions import chi_squared_survival
from risk.errors import UnavailableError


@dataclass(frozen=True, slots=True)
class LikelihoodRatio:
    """A likelihood ratio and the probability of one as large if the forecast were right."""

    statistic: float
    p_value: float


class Zone(StrEnum):
    """The Basel traffic light."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


def kupiec(observations: int, exceptions: int, probability: float) -> LikelihoodRatio:
    """Return the test of the number of exceptions: chi-squared with one degree of freedom.

    Source: Kupiec (1995), J. Derivatives 3(2), 73-84.
    """
    _check(observations, exceptions, probability)
    quiet = observations - exceptions
    asked = _bernoulli(quiet, exceptions, probability)
    found = _bernoulli(quiet, exceptions, exceptions / observations)
    return _ratio(found - asked, 1)


def christoffersen(hits: Iterable[bool]) -> LikelihoodRatio:
    """Return the test that an exception does not make the next one likelier, from the ``hits``."""
    counts = Counter(pairwise(map(bool, hits)))
    quiet, hit = (False, True)
    return independence(
        counts[quiet, quiet], counts[quiet, hit], counts[hit, quiet], counts[hit, hit]
    )


def independence(n00: int, n01: int, n10: int, n11: int) -> LikelihoodRatio:
    """Return the same from the counts of transitions; chi-squared with one degree of freedom.

    Source: Christoffersen (1998), International Economic Review 39(4), 841-862.
    """
    total = n00 + n01 + n10 + n11
    if min(n00, n01, n10, n11) < 0 or total == 0:
        raise UnavailableError("no transitions to test")
    after_quiet = n01 / (n00 + n01) if n00 + n01 else 0.0
    after_hit = n11 / (n10 + n11) if n10 + n11 else 0.0
    same = _bernoulli(n00 + n10, n01 + n11, (n01 + n11) / total)
    differing = _bernoulli(n00, n01, after_quiet) + _bernoulli(n10, n11, after_hit)
    return _ratio(differing - same, 1)


def conditional_coverage(count: LikelihoodRatio, independent: LikelihoodRatio) -> LikelihoodRatio:
    """Return the joint test of number and independence; chi-squared with two degrees of freedom."""
    return _ratio((count.statistic + independent.statistic) / 2, 2)


@lru_cache(maxsize=4096)  # asked at every beat, of few different counts
def traffic_light(observations: int, exceptions: int, probability: float = 0.01) -> Zone:
    """Return the zone: yellow from the 95 % point of the binomial, red from its 99.99 % point.

    Without an exception it is green, however few the observations.

    Source: Basel Committee (1996), Supervisory framework for the use of backtesting; MAR99.
    """
    below = binomial_cdf(exceptions, observations, probability)
    if below < 0.95 or not exceptions:
        return Zone.GREEN
    return Zone.YELLOW if below < 0.9999 else Zone.RED


def capital_multiplier(exceptions: int) -> float:
    """Return the multiplier of MAR33 for the exceptions among 250 daily forecasts at 99 %."""
    if exceptions < 0:
        raise ValueError("exceptions are counted from zero")
    steps = (1.70, 1.76, 1.83, 1.88, 1.92)
    if exceptions < 5:
        return 1.5
    return steps[exceptions - 5] if exceptions < 10 else 2.0


def binomial_cdf(successes: int, trials: int, probability: float) -> float:
    """Return P(X <= successes) of a binomial; the smaller tail is summed."""
    _check(trials, min(successes, trials), probability)
    if successes >= trials:
        return 1.0
    if successes > trials * probability:
        rest = range(successes + 1, trials + 1)
        return 1 - sum(sorted(_mass(k, trials, probability) for k in rest))
    return sum(sorted(_mass(k, trials, probability) for k in range(successes + 1)))


def _mass(k: int, n: int, p: float) -> float:
    if n <= 1000:  # exact integers: lgamma would cost digits
        return comb(n, k) * p**k * (1 - p) ** (n - k)
    ways = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
    return exp(ways + k * log(p) + (n - k) * log(1 - p))


def _bernoulli(quiet: int, exceptions: int, probability: float) -> float:
    """Return the log likelihood; an event that never happens and is never seen costs nothing."""
    calm = quiet * log(1 - probability) if quiet else 0.0
    return calm + (exceptions * log(probability) if exceptions else 0.0)


def _ratio(gain: float, degrees: int) -> LikelihoodRatio:
    statistic = max(0.0, 2 * gain)
    return LikelihoodRatio(statistic, chi_squared_survival(statistic, degrees))


def _check(observations: int, exceptions: int, probability: float) -> None:
    if not 0 < probability < 1:
        raise ValueError(f"a probability is in (0, 1), not {probability}")
    if observations < 1 or not 0 <= exceptions <= observations:
        raise UnavailableError(f"{exceptions} exceptions in {observations} observations")
