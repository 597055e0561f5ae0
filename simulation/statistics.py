"""What many runs say together, and how surely."""

from collections.abc import Sequence
from math import comb, pi, sqrt, tan
from statistics import NormalDist, fmean, stdev

from msgspec import Struct

from market.errors import InvalidValueError


class Estimate(Struct, frozen=True, kw_only=True):
    """A mean with its confidence interval; ``n`` runs it is over."""

    n: int
    mean: float
    deviation: float
    low: float
    high: float


def mean_interval(values: Sequence[float], level: float = 0.95) -> Estimate:
    """Return the mean and Student's interval around it; of one value the interval is endless.

    Raises:
        InvalidValueError: there is no value.
    """
    n = len(values)
    if not n:
        raise InvalidValueError("no value to take the mean of")
    mean = fmean(values)
    if n == 1:
        return Estimate(n=1, mean=mean, deviation=0.0, low=float("-inf"), high=float("inf"))
    deviation = stdev(values)
    half = student_quantile((1 + level) / 2, n - 1) * deviation / sqrt(n)
    return Estimate(n=n, mean=mean, deviation=deviation, low=mean - half, high=mean + half)


def student_quantile(probability: float, freedom: int) -> float:
    """Return the quantile of Student's t; within 0.001 from 5 degrees of freedom up, at 97.5 %.

    One and two degrees have closed forms.

    Source:
        Abramowitz and Stegun (1964), Handbook of Mathematical Functions, 26.7.5.
    """
    z = NormalDist().inv_cdf(probability)
    if freedom == 1:
        return _cauchy_quantile(probability)
    if freedom == 2:
        spread = 4 * probability * (1 - probability)
        return (2 * probability - 1) * sqrt(2 / spread)
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    g4 = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + g1 / freedom + g2 / freedom**2 + g3 / freedom**3 + g4 / freedom**4


def share_interval(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's interval of a share.

    Source:
        Wilson (1927), Probable inference, the law of succession, and statistical inference,
        JASA 22, 209-212.
    """
    if not 0 <= successes <= n or not n:
        raise InvalidValueError(f"{successes} of {n} is no share")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, weight = successes / n, 1 + z * z / n
    middle = (share + z * z / (2 * n)) / weight
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / weight
    return max(0.0, middle - half), min(1.0, middle + half)


def sign_test(wins: int, n: int) -> float:
    """Return the two-sided probability of so lopsided a count if each side were as likely."""
    if not 0 <= wins <= n:
        raise InvalidValueError(f"{wins} of {n} is no count")
    tail = sum(comb(n, k) for k in range(max(wins, n - wins), n + 1))
    return min(1.0, float(2 * tail / (1 << n)))


def _cauchy_quantile(probability: float) -> float:
    return tan(pi * (probability - 0.5))
