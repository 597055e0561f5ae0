"""The normal and chi-squared distributions, as far as risk needs them, in closed form."""

from math import erfc, exp, pi, sqrt
from statistics import NormalDist
from typing import Final

_NORMAL: Final = NormalDist()


def normal_quantile(level: float) -> float:
    """Return z with P(Z <= z) = ``level``; raise ValueError outside (0, 1)."""
    if not 0 < level < 1:
        raise ValueError(f"a level is in (0, 1), not {level}")
    return _NORMAL.inv_cdf(level)


def normal_density(z: float) -> float:
    """Return the standard normal density at ``z``."""
    return exp(-z * z / 2) / sqrt(2 * pi)


def expected_shortfall_factor(level: float) -> float:
    """Return phi(z) / (1 - level): the mean standard normal loss beyond its quantile."""
    return normal_density(normal_quantile(level)) / (1 - level)


def chi_squared_survival(x: float, degrees: int) -> float:
    """Return P(X > ``x``) of chi-squared with 1 or 2 ``degrees`` of freedom; 1 for x <= 0."""
    if degrees not in (1, 2):
        raise ValueError(f"degrees of freedom are 1 or 2 here, not {degrees}")
    if x <= 0:
        return 1.0
    return erfc(sqrt(x / 2)) if degrees == 1 else exp(-x / 2)
