"""How prices move together: the reference estimator, and the choice between it and the live one.

Two estimators, because each is wrong in its own way. The *reference* samples all prices by a
calendar clock (previous tick) and weighs the rows exponentially: always positive semidefinite, the
figure that libraries reproduce, too small in its covariances when the clock is fast (Epps 1979).
The *live* one (`hayashi_yoshida`) takes each tick as it comes: unbiased, but it need not be
positive.
"""

from dataclasses import dataclass
from math import exp, inf, isfinite
from typing import Any

import numpy as np

from risk.arrays import Array, Numbers, numbers
from risk.hayashi_yoshida import LiveCovariance, decayed_rate, hayashi_yoshida

__all__ = [
    "MIN_EFFECTIVE_SIZE",
    "Estimate",
    "EwmaCovariance",
    "LiveCovariance",
    "choose",
    "decay_of",
    "decayed_rate",
    "effective_size",
    "epps_attenuation",
    "ewma_covariance",
    "hayashi_yoshida",
    "mean_and_variance",
    "relative_error",
    "sample_covariance",
]

MIN_EFFECTIVE_SIZE = 10.0
"""Below it an estimate is not published: its relative error is above 22 %."""

_AGREEMENT = (0.8, 1.25)


def decay_of(half_life_s: float, step_s: float) -> float:
    """Return the weight that a step of ``step_s`` seconds leaves; a half-life leaves 1/2."""
    if half_life_s <= 0 or step_s <= 0:
        raise ValueError("a half-life and a step are positive")
    return float(2 ** (-step_s / half_life_s))


def effective_size(weights: Numbers) -> float:
    """Return (sum w)^2 / sum w^2: how many equal observations ``weights`` are worth; 0 for none."""
    w = numbers(weights)
    squares = float(w @ w)
    return float(w.sum()) ** 2 / squares if squares else 0.0


def relative_error(size: float) -> float:
    """Return the relative standard error of a volatility from ``size`` returns, 1/sqrt(2n)."""
    return float((2 * size) ** -0.5) if size > 0 else inf


class EwmaCovariance:
    """Exponentially weighted second moments about zero, divided by the weight seen so far.

    ``M <- decay M + (1 - decay) r r'`` from zero, read as ``M / (1 - decay^n)``: RiskMetrics
    (1996), chapter 5, without the bias of a start at the first row. Positive semidefinite by
    construction.
    """

    def __init__(self, size: int, decay: float) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"a decay is in (0, 1), not {decay}")
        self.size, self.decay, self.rows = size, decay, 0
        self._moments = np.zeros((size, size))
        self._remaining = 1.0

    def push(self, row: Array) -> None:
        """Take the returns of one step, shape (size,); raise ValueError when one is not finite."""
        if not np.isfinite(row).all():
            raise ValueError("a return that is not finite")
        self._moments *= self.decay
        self._moments += np.multiply.outer((1 - self.decay) * row, row)
        self._remaining *= self.decay
        self.rows += 1

    @property
    def matrix(self) -> Array:
        """The covariance of one step, shape (size, size); zeros before the first row."""
        return self._moments / (1 - self._remaining) if self.rows else self._moments.copy()

    @property
    def effective_size(self) -> float:
        """How many equally weighted rows the estimate is worth; (1+decay)/(1-decay) in the end."""
        left = self._remaining
        return (1 + self.decay) / (1 - self.decay) * (1 - left) / (1 + left)


def ewma_covariance(returns: Array, decay: float = 0.94) -> Array:
    """Return the covariance of ``returns``, shape (rows, assets), by `EwmaCovariance`."""
    rows = numbers(returns)
    estimator = EwmaCovariance(rows.shape[1], decay)
    for row in rows:
        estimator.push(row)
    return estimator.matrix


def sample_covariance(returns: Array) -> Array:
    """Return the sample covariance (ddof 1) of ``returns``, shape (rows, assets)."""
    rows = numbers(returns)
    if len(rows) < 2:
        raise ValueError("a sample covariance needs two rows")
    about = rows - rows.mean(axis=0)
    return np.asarray(about.T @ about / (len(rows) - 1))


def mean_and_variance(values: Numbers) -> tuple[float, float]:
    """Return the mean and sample variance (ddof 1) in one pass, free of cancellation.

    Source: Welford (1962), Technometrics 4(3), 419-420.
    """
    mean = total = 0.0
    count = 0
    for count, value in enumerate(numbers(values).tolist(), start=1):
        before = value - mean
        mean += before / count
        total += before * (value - mean)
    if count < 2:
        raise ValueError("a sample variance needs two values")
    return mean, total / (count - 1)


def epps_attenuation(rate_a: float, rate_b: float, interval_s: float) -> float:
    """Return the share of a covariance that previous-tick sampling keeps, in [0, 1].

    Args:
        rate_a, rate_b: mean ticks per second of the two assets, as Poisson arrivals.
        interval_s: the step of the calendar clock.
    Source:
        the effect: Epps (1979), JASA 74, 291-298; Zhang (2011), J. Econometrics 160, 33-47.
        kappa = 1 - [(1-ea)/a + (1-eb)/b - (2-ea-eb)/(a+b)] / D with ea = exp(-a D): derived here.
    """
    if min(rate_a, rate_b, interval_s) <= 0:
        raise ValueError("rates and the interval are positive")
    one_a, one_b = 1 - exp(-rate_a * interval_s), 1 - exp(-rate_b * interval_s)
    lag = one_a / rate_a + one_b / rate_b - (one_a + one_b) / (rate_a + rate_b)
    return 1 - lag / interval_s


@dataclass(frozen=True, slots=True)
class Estimate:
    """The covariance rate in use: which estimator it is of, and why it is not the live one."""

    rates: Array
    label: str
    reason: str = ""
    alarm: str = ""


def choose(live: Array, reference: Array | None, exposure: Array) -> Estimate:
    """Return the live estimate where it can stand for a covariance, else the reference.

    Args:
        live, reference: covariance per second, shape (assets, assets); None: not warm yet.
        exposure: shape (assets,), money or weights; only assets held are looked at.
    Returns:
        the one to publish; ``reason`` says why it is the reference, ``alarm`` that the two disagree
        by more than a quarter in volatility. Without a reference a live estimate that is no
        covariance is repaired by clipping its negative eigenvalues, and ``reason`` says so.
    """
    held = np.ix_(exposure != 0, exposure != 0)
    flaw = _flaw(live[held], exposure[exposure != 0])
    if flaw and reference is not None:
        return Estimate(reference, "reference", reason=flaw)
    if flaw:
        return Estimate(_repaired(live, held), "live, repaired", reason=f"{flaw}; no reference yet")
    return Estimate(live, "live", alarm=_disagreement(live, reference, exposure))


def _flaw(part: Array, x: Array) -> str:
    diagonal = np.diagonal(part)
    if not x.size:
        return ""
    if diagonal.min() <= 0:
        return "live variance is not positive"
    deviation = np.sqrt(diagonal)
    if (np.abs(part) > np.multiply.outer(deviation, deviation) * (1 + 1e-12)).any():
        return "live correlation is beyond one"
    if not float(x @ part @ x) > 0:
        return "live portfolio variance is not positive"
    return ""


def _repaired(live: Array, held: tuple[Any, ...]) -> Array:
    """Return the nearest covariance in the Frobenius norm, for the assets held: Higham (1988)."""
    values, vectors = np.linalg.eigh(live[held])
    repaired = live.copy()
    repaired[held] = (vectors * np.maximum(values, 0)) @ vectors.T
    return repaired


def _disagreement(live: Array, reference: Array | None, x: Array) -> str:
    if reference is None:
        return ""
    base = float(x @ reference @ x)
    if not (base > 0 and isfinite(base)):
        return ""
    ratio = (float(x @ live @ x) / base) ** 0.5
    low, high = _AGREEMENT
    return "" if low <= ratio <= high else f"live / reference volatility is {ratio:.3g}"
