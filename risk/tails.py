"""Value at risk and expected shortfall: losses are positive, fractions of the portfolio's value.

Every function takes returns (a gain is positive) and a confidence ``level`` in (0, 1) such as 0.99.
The quantile rule has a name, because libraries differ by more than ten percent on it alone:
``upper`` takes the larger loss where the tail holds a whole number of rows (riskfolio-lib),
``lower`` the next smaller one (skfolio), ``linear`` interpolates (numpy, empyrical).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor
from typing import Final, Literal

import numpy as np

from risk.arrays import Array, Numbers, numbers
from risk.distributions import expected_shortfall_factor, normal_density, normal_quantile
from risk.errors import UnavailableError

QuantileRule = Literal["upper", "lower", "linear"]
Method = Literal["gaussian", "cornish_fisher", "historical"]


def value_at_risk(
    returns: Numbers,
    level: float = 0.95,
    *,
    method: Method = "historical",
    rule: QuantileRule = "upper",
) -> float:
    """Return the loss that is exceeded in ``1 - level`` of the cases.

    Raises:
        UnavailableError: too few returns to say.
    """
    if method == "historical":
        return historical_value_at_risk(returns, level, rule)
    return _PARAMETRIC[method](returns, level).value_at_risk


def expected_shortfall(
    returns: Numbers, level: float = 0.975, *, method: Method = "historical"
) -> float:
    """Return the mean loss in the worst ``1 - level`` of the cases, never below the value at risk.

    Raises:
        UnavailableError: too few returns to say.
    Source:
        Acerbi and Tasche (2002), On the coherence of expected shortfall, JBF 26, 1487-1503.
    """
    if method == "historical":
        return historical_expected_shortfall(returns, level)
    return _PARAMETRIC[method](returns, level).expected_shortfall


def gaussian_value_at_risk(volatility: float, level: float, mean: float = 0.0) -> float:
    """Return the value at risk of a normal return with this ``volatility`` and ``mean``."""
    return normal_quantile(level) * volatility - mean


def gaussian_expected_shortfall(volatility: float, level: float, mean: float = 0.0) -> float:
    """Return the expected shortfall of a normal return with this ``volatility`` and ``mean``."""
    return expected_shortfall_factor(level) * volatility - mean


def historical_value_at_risk(returns: Numbers, level: float, rule: QuantileRule = "upper") -> float:
    """Return the empirical quantile of the losses by the named ``rule``; see the module.

    Raises:
        UnavailableError: no returns.
    """
    return ranked_value_at_risk(ranked_losses(returns), level, rule)


def ranked_value_at_risk(losses: Array, level: float, rule: QuantileRule = "upper") -> float:
    """Return the same of losses that are ranked already."""
    share = _tail_of(losses, level)
    if rule == "linear":
        return float(np.quantile(losses, level))
    rank = ceil(share) if rule == "upper" else floor(share) + 1
    return float(losses[min(rank, len(losses)) - 1])


def historical_expected_shortfall(returns: Numbers, level: float) -> float:
    """Return the mean of the worst ``1 - level`` share of returns, the last by its fraction.

    Raises:
        UnavailableError: no returns.
    Source: Rockafellar and Uryasev (2002), JBF 26, 1443-1471, as in riskfolio-lib and skfolio.
    """
    return ranked_expected_shortfall(ranked_losses(returns), level)


def ranked_expected_shortfall(losses: Array, level: float) -> float:
    """Return the same of losses that are ranked already."""
    _tail_of(losses, level)
    weights = tail_weights(len(losses), level)
    return float(losses[: len(weights)] @ weights)


def ranked_losses(returns: Numbers) -> Array:
    """Return the losses, largest first; raise UnavailableError without any."""
    return np.sort(-_at_least(returns, 1))[::-1]


def tail_weights(count: int, level: float) -> Array:
    """Return the weights of the worst rows, worst first; they add up to 1."""
    share = _share(count, level)
    weights = np.ones(ceil(share))
    weights[-1] -= len(weights) - share
    return weights / share


@dataclass(frozen=True, slots=True)
class Tail:
    """Both numbers of one parametric tail; ``valid`` is False where its formula has no right."""

    value_at_risk: float
    expected_shortfall: float
    quantile: float
    valid: bool = True


def gaussian_tail(returns: Numbers, level: float) -> Tail:
    """Return the tail of a normal fitted to ``returns``: sample mean kept, ddof 1."""
    r = _at_least(returns, 2)
    mean, deviation = float(r.mean()), float(r.std(ddof=1))
    return Tail(
        gaussian_value_at_risk(deviation, level, mean),
        gaussian_expected_shortfall(deviation, level, mean),
        -normal_quantile(level),
    )


def cornish_fisher_tail(returns: Numbers, level: float) -> Tail:
    """Return the tail with skewness and excess kurtosis of ``returns`` (biased, ddof 0) in it.

    Returns:
        ``valid`` is False where the expansion is not monotone, so that a rarer loss could come out
        smaller; the numbers are then for comparison only.
    Source:
        Cornish and Fisher (1938); the domain of validity and the shortfall: Maillard (2012), A
        user's guide to the Cornish Fisher expansion. The scale is biased too, ddof 0.
    """
    return moments_of(returns).cornish_fisher_tail(level)


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean, standard deviation, skewness and excess kurtosis, all of ddof 0."""

    mean: float
    deviation: float
    skew: float
    kurtosis: float

    def cornish_fisher_tail(self, level: float) -> Tail:
        """Return the tail that these moments make; see the function of that name."""
        skew, kurtosis = self.skew, self.kurtosis
        z = normal_quantile(1 - level)
        quantile = (
            z
            + (z**2 - 1) * skew / 6
            + (z**3 - 3 * z) * kurtosis / 24
            - (2 * z**3 - 5 * z) * skew**2 / 36
        )
        mass = normal_density(z) / (1 - level)
        shortfall = mass * (
            1 + skew * z / 6 + kurtosis * (z**2 - 1) / 24 - skew**2 * (2 * z**2 - 1) / 36
        )
        valid = _monotone(skew, kurtosis)
        return Tail(
            -self.mean - quantile * self.deviation,
            -self.mean + shortfall * self.deviation,
            quantile,
            valid,
        )


def moments_of(returns: Numbers) -> Moments:
    """Return the moments; raise UnavailableError for fewer than four returns, or no spread."""
    r = _at_least(returns, 4)
    skew, kurtosis = skew_and_kurtosis(r)
    return Moments(float(r.mean()), float(r.std()), skew, kurtosis)


def skew_and_kurtosis(returns: Numbers) -> tuple[float, float]:
    """Return skewness and excess kurtosis, ddof 0; raise UnavailableError without spread."""
    r = numbers(returns)
    about = r - r.mean()
    variance = float((about**2).mean())
    if variance == 0:
        raise UnavailableError("the returns do not vary")
    skew, fourth = float((about**3).mean()), float((about**4).mean())
    return skew / variance**1.5, fourth / variance**2 - 3


def ewma_volatilities(returns: Numbers, decay: float = 0.94) -> Array:
    """Return the forecast volatility for each row from the rows before it, shape (rows + 1,).

    The first forecast is the first row's own size, for want of better; the last one is for the
    next.
    """
    r = numbers(returns)
    variances = np.empty(len(r) + 1)
    moment, left = 0.0, 1.0
    variances[0] = r[0] ** 2
    for k, squared in enumerate((r * r).tolist()):
        moment, left = decay * moment + (1 - decay) * squared, left * decay
        variances[k + 1] = moment / (1 - left)
    return np.sqrt(variances)


def filtered_returns(returns: Numbers, decay: float = 0.94, skip: int = 10) -> Array:
    """Return past returns as they would be at today's volatility, without the first ``skip``.

    Raises:
        UnavailableError: fewer than ``skip + 1`` returns, or no volatility.
    Source:
        Barone-Adesi, Giannopoulos and Vosper (1999), J. Futures Markets 19(5), 583-602; the
        scaling of Hull and White (1998), J. Risk 1(1), 5-19.
    """
    r = _at_least(returns, skip + 1)
    volatilities = ewma_volatilities(r, decay)
    past, now = volatilities[skip:-1], float(volatilities[-1])
    if not (past > 0).all():
        raise UnavailableError("the volatility was zero")
    return np.asarray(r[skip:] / past * now)


def _monotone(skew: float, kurtosis: float) -> bool:
    """Whether the derivative of the expansion, a parabola in z, has no real root."""
    a = kurtosis / 8 - skew**2 / 6
    c = 1 - kurtosis / 8 + 5 * skew**2 / 36
    return (skew / 3) ** 2 - 4 * a * c <= 0 and c > 0


def _share(count: int, level: float) -> float:
    """Return how many of ``count`` rows lie in the tail; whole numbers free of rounding."""
    if not 0 < level < 1:
        raise ValueError(f"a level is in (0, 1), not {level}")
    share = (1 - level) * count
    return float(round(share)) if abs(share - round(share)) < 1e-9 * max(1, count) else share


def _tail_of(losses: Array, level: float) -> float:
    """Return how many of the losses lie in the tail; raise UnavailableError when none does."""
    share = _share(len(losses), level)
    if share <= 0:
        raise UnavailableError("the tail is empty")
    return share


def _at_least(returns: Numbers, count: int) -> Array:
    r = numbers(returns)
    if len(r) < count:
        raise UnavailableError(f"{len(r)} returns, {count} are needed")
    return r


_PARAMETRIC: Final[dict[str, Callable[[Numbers, float], Tail]]] = {
    "gaussian": gaussian_tail,
    "cornish_fisher": cornish_fisher_tail,
}
