"""Stylized facts of returns, as gates: does a series of prices behave like a market's?

The facts are those of Cont (2001), Empirical properties of asset returns: stylized facts and
statistical issues, Quantitative Finance 1, 223-236; the bounds are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from market.errors import InvalidValueError

Returns = NDArray[np.float64]

BURSTY: Final = 1.5  # variance over mean of the arrivals in a window; 1 if nothing excites them
AGGREGATE: Final = 240  # steps of the long horizon: four hours of minutes
FEWEST: Final = 20 * AGGREGATE  # returns, for a kurtosis of the long horizon to mean anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One fact: what was measured, what it has to be, and whether it is."""

    name: str
    fact: str
    measured: str
    required: str
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Prices with a title; the volume of each price and the times of arrivals where known."""

    title: str
    prices: Sequence[float] | Returns
    volumes: Sequence[float] | Returns | None = None
    times: Sequence[float] | Returns | None = None

    def gates(self) -> tuple[Gate, ...]:
        """Return the gates that can be held against it; InvalidValueError where none can be."""
        volumes = self.volumes
        traded = None if volumes is None else np.asarray(volumes, dtype=np.float64)[1:]
        found = gates(log_returns(self.prices), traded)
        return found if self.times is None else (*found, arrivals(self.times))


def log_returns(prices: Sequence[float] | Returns) -> Returns:
    """Return the logarithms of price over price before, shape (prices - 1,).

    Raises:
        InvalidValueError: a price is not above 0, or there are too few, or they never change.
    """
    series = np.asarray(prices, dtype=np.float64)
    if len(series) <= FEWEST:
        raise InvalidValueError(f"{len(series)} prices are too few: the gates need {FEWEST + 1}")
    if not (np.isfinite(series).all() and (series > 0).all()):
        raise InvalidValueError("every price must be a number above 0")
    returns: Returns = np.diff(np.log(series))
    if not returns.any():
        raise InvalidValueError("the price never changes")
    return returns


def gates(returns: Returns, volumes: Returns | None = None) -> tuple[Gate, ...]:
    """Return the gates g1 to g5 of a series of log returns, and g6 where its volumes are known.

    Raises:
        InvalidValueError: there is not one volume for each return, or one is no number.
    """
    found = (
        memory(returns),
        heavy_peak(returns),
        heavy_tail(returns),
        clusters(returns),
        leverage(returns),
    )
    return found if volumes is None else (*found, trade(returns, volumes))


def memory(returns: Returns) -> Gate:
    """Return gate g1: no linear autocorrelation at lags 2 to 20; lag 1 may hold a bounce."""
    worst = max(abs(robust_z(returns, lag)) for lag in range(2, 21))
    return Gate(
        name="g1",
        fact="no memory in returns",
        measured=f"max |z| {worst:.2f}",
        required="max |z|, lags 2..20 < 3.5",
        passed=worst < 3.5,
    )


def heavy_peak(returns: Returns) -> Gate:
    """Return gate g2: more kurtosis than a normal law, and less of it over a longer horizon."""
    short, long = excess_kurtosis(returns), excess_kurtosis(aggregated(returns, AGGREGATE))
    return Gate(
        name="g2",
        fact="kurtosis falls with horizon",
        measured=f"{short:.2f} -> {long:.2f} at {AGGREGATE}",
        required="> 1, falling",
        passed=short > 1 and long < short,
    )


def heavy_tail(returns: Returns) -> Gate:
    """Return gate g3: a tail index between that of infinite variance and that of a thin tail."""
    index = hill(returns)
    return Gate(
        name="g3",
        fact="heavy tail",
        measured=f"Hill {index:.2f}",
        required="Hill, top 1 % in (2, 5)",
        passed=2 < index < 5,
    )


def clusters(returns: Returns) -> Gate:
    """Return gate g4: large moves follow large moves, for a while."""
    sizes = np.abs(returns)
    near, far = autocorrelation(sizes, 1), autocorrelation(sizes, 20)
    return Gate(
        name="g4",
        fact="volatility clusters",
        measured=f"{near:.3f}, {far:.3f}",
        required="|r| ACF(1) > .10, ACF(20) > .05",
        passed=near > 0.10 and far > 0.05,
    )


def leverage(returns: Returns) -> Gate:
    """Return gate g5: a fall stirs the market more than a rise."""
    effect = leverage_effect(returns)
    return Gate(
        name="g5",
        fact="leverage",
        measured=f"{effect:.4f}",
        required="corr(r, later r^2) < -.01",
        passed=effect < -0.01,
    )


def trade(returns: Returns, volumes: Returns) -> Gate:
    """Return gate g6: much is traded where the price moves much.

    Raises:
        InvalidValueError: there is not one volume for each return, or one is no number.
    """
    if len(volumes) != len(returns) or not np.isfinite(volumes).all():
        raise InvalidValueError("a volume for each return is needed, a number each")
    varies = bool(np.ptp(volumes)) and bool(np.ptp(np.abs(returns)))
    together = float(np.corrcoef(volumes, np.abs(returns))[0, 1]) if varies else 0.0
    return Gate(
        name="g6",
        fact="volume moves with price",
        measured=f"{together:.3f}",
        required="corr(volume, |r|) > .10",
        passed=together > 0.10,
    )


def arrivals(times: Sequence[float] | Returns, windows: int = 1000) -> Gate:
    """Return gate g7 of increasing times: they come in bursts, as no Poisson process would.

    The variance of the counts in ``windows`` windows over their mean, the index of dispersion, is
    1 for a Poisson process; Cox and Lewis (1966), The Statistical Analysis of Series of Events.

    Raises:
        InvalidValueError: there are fewer times than windows.
    """
    if len(times) <= windows:
        raise InvalidValueError(
            f"{len(times)} arrivals are too few: more than {windows} are needed"
        )
    counts, _ = np.histogram(times, bins=windows, range=(0.0, float(times[-1])))
    ratio = float(counts.var() / counts.mean())
    return Gate(
        name="g7",
        fact="arrivals in bursts",
        measured=f"Fano {ratio:.2f}",
        required=f"variance / mean > {BURSTY}",
        passed=ratio > BURSTY,
    )


def robust_z(returns: Returns, lag: int) -> float:
    """Return the z of the autocorrelation at ``lag``, robust to heteroskedasticity.

    ``sum r_t r_{t-k} / sqrt(sum (r_t r_{t-k})^2)``, of returns less their mean; the usual band of
    ``3 / sqrt(n)`` is broken by clusters alone.

    Source:
        Taylor (1984), Applied Statistics 33, 300-308; Lo and MacKinlay (1988), RFS 1, 41-66.
    """
    centered = returns - returns.mean()
    products = centered[lag:] * centered[:-lag]
    return float(products.sum() / np.sqrt(np.square(products).sum()))


def autocorrelation(series: Returns, lag: int) -> float:
    """Return the sample autocorrelation at ``lag``."""
    centered = series - series.mean()
    total = float(np.dot(centered, centered))
    return float(np.dot(centered[lag:], centered[:-lag])) / total if total else 0.0


def excess_kurtosis(returns: Returns) -> float:
    """Return the fourth standardized moment less 3, the normal law's."""
    centered = returns - returns.mean()
    variance = float(np.square(centered).mean())
    return float((centered**4).mean()) / variance**2 - 3 if variance else 0.0


def aggregated(returns: Returns, steps: int) -> Returns:
    """Return the sums of ``steps`` returns at a time, without overlap; the rest is left out."""
    whole = len(returns) // steps * steps
    sums: Returns = returns[:whole].reshape(-1, steps).sum(axis=1)
    return sums


def hill(returns: Returns, share: float = 0.01) -> float:
    """Return Hill's tail index of the largest ``share`` of sizes; inf for a tail that is flat.

    Source:
        Hill (1975), Annals of Statistics 3, 1163-1174.
    """
    sizes = np.sort(np.abs(returns))[::-1]
    count = max(1, int(len(sizes) * share))
    threshold = sizes[count]
    if threshold <= 0:
        return 0.0
    mean_excess = float(np.log(sizes[:count] / threshold).mean())
    return 1 / mean_excess if mean_excess > 0 else float("inf")


def leverage_effect(returns: Returns, lags: int = 10) -> float:
    """Return the mean correlation of a return with the squares of the ``lags`` returns after it."""
    squares = np.square(returns)
    found = [np.corrcoef(returns[:-lag], squares[lag:])[0, 1] for lag in range(1, lags + 1)]
    return float(np.mean(found))
