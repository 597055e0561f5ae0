"""How fast risk is: one price tick against a full recompute, ours beside the libraries'.

``python benchmarks/risk.py`` runs ours; skfolio and riskfolio-lib take part when they are installed
in the same environment (they are no dependency of ours). Each time is the median of many calls, and
beside it stands the largest relative difference from a plain numpy computation of the same numbers.
``--soak 10000000`` feeds a watched portfolio so many ticks and prints what memory it takes.
"""

import argparse
import resource
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import numpy as np

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder: it too has a "risk"

from market.events import Tick  # noqa: E402
from market.values import Symbol  # noqa: E402
from risk import measures  # noqa: E402
from risk.arrays import Array  # noqa: E402
from risk.covariance import EwmaCovariance, LiveCovariance, ewma_covariance, sample_covariance  # noqa: E402
from risk.drawdowns import Peak  # noqa: E402
from risk.exposures import Exposures  # noqa: E402
from risk.limits import Limits  # noqa: E402
from risk.market_state import Estimators  # noqa: E402
from risk.monitor import Monitor  # noqa: E402
from risk.portfolio import Portfolio  # noqa: E402
from risk.terms import Terms  # noqa: E402

ROWS, SHOCKS = 500, 50
HALF_LIVES_S = (60.0, 900.0, 86_400.0)
LEVELS = (0.95, 0.99)


@dataclass(frozen=True)
class Result:
    """One line of the table; times in microseconds."""

    what: str
    size: int
    median_us: float
    p99_us: float
    error: float | None = None

    def __str__(self) -> str:
        error = "" if self.error is None else f"{self.error:10.1e}"
        return (
            f"{self.what:<52}{self.size:>6}{self.median_us:>14.1f}{self.p99_us:>14.1f}{error:>12}"
        )


@dataclass(frozen=True)
class Book:
    """The same data for everyone."""

    returns: Array
    weights: Array
    shocks: Array

    @classmethod
    def of(cls, size: int) -> "Book":
        """Return a market of ``size`` assets with a common factor, and a long portfolio in it."""
        rng = np.random.RandomState(size)
        draws = rng.randn(ROWS, size)
        weights = np.arange(1, size + 1) / (size * (size + 1) / 2)
        returns = 0.01 * (draws + 0.5 * draws[:, :1])
        return cls(returns, weights, 0.1 * rng.randn(SHOCKS, size))


def timed(what: str, size: int, call: Callable[[], Any], *, seconds: float = 1.0) -> Result:
    """Return how long ``call`` takes, from at least five and at most 5000 calls."""
    call()
    times: list[float] = []
    end = perf_counter() + seconds
    while len(times) < 5 or (perf_counter() < end and len(times) < 5000):
        started = perf_counter()
        call()
        times.append((perf_counter() - started) * 1e6)
    return Result(what, size, median(times), quantiles(times, n=100)[98])


def off_by(found: Iterable[float], wanted: Iterable[float]) -> float:
    """Return the largest relative difference."""
    pairs = zip(found, wanted, strict=True)
    return max(abs(a - b) / max(abs(b), 1e-300) for a, b in pairs)


def plain(book: Book) -> list[float]:
    """Return what all are compared with, by plain numpy: sigma, VaR, ES, a contribution."""
    covariance = np.cov(book.returns, rowvar=False)
    sigma = float(np.sqrt(book.weights @ covariance @ book.weights))
    losses = np.sort(-(book.returns @ book.weights))[::-1]
    tails = [(round((1 - level) * ROWS), level) for level in LEVELS]
    vars_ = [float(losses[count - 1]) for count, _ in tails]
    means = [float(losses[:count].mean()) for count, _ in tails]
    part = float(book.weights[0] * (covariance @ book.weights)[0]) / sigma
    return [sigma, *vars_, *means, part]


def ours(book: Book) -> list[float]:
    """Return the same by our public functions."""
    covariance = sample_covariance(book.returns)
    pnl = book.returns @ book.weights
    return [
        measures.volatility(covariance, book.weights),
        *(measures.value_at_risk(pnl, level) for level in LEVELS),
        *(measures.expected_shortfall(pnl, level) for level in LEVELS),
        float(measures.contributions(covariance, book.weights)[0]),
    ]


def batches(size: int) -> list[Result]:
    """Time full recomputes: numpy, ours, and whoever else is installed."""
    book = Book.of(size)
    wanted = plain(book)
    contestants: dict[str, Callable[[Book], list[float]]] = {
        "full batch, plain numpy": plain,
        "full batch, ours": ours,
    }
    if find_spec("skfolio"):
        contestants["full batch, skfolio Portfolio"] = by_skfolio
    if find_spec("riskfolio") and size <= 100:
        contestants["full batch, riskfolio-lib"] = by_riskfolio
    results = []
    for what, compute in contestants.items():
        found = compute(book)
        timing = timed(what, size, lambda compute=compute: compute(book))  # type: ignore[misc]
        error = off_by(found, wanted)
        results.append(Result(what, size, timing.median_us, timing.p99_us, error))
    return results


def by_skfolio(book: Book) -> list[float]:
    """Return the same by skfolio; its value at risk takes the next smaller loss."""
    skfolio: Any = import_module("skfolio")
    found = skfolio.Portfolio(X=book.returns, weights=book.weights)
    var = [measures.historical_value_at_risk(book.returns @ book.weights, c) for c in LEVELS]
    shortfalls = []
    for level in LEVELS:
        found.cvar_beta = level
        shortfalls.append(float(found.cvar))
    part = float(found.contribution(skfolio.RiskMeasure.STANDARD_DEVIATION)[0])
    return [float(found.standard_deviation), *var, *shortfalls, part]


def by_riskfolio(book: Book) -> list[float]:
    """Return the same by riskfolio-lib."""
    pd: Any = import_module("pandas")
    rp: Any = import_module("riskfolio")
    frame = pd.DataFrame(book.returns)
    covariance = frame.cov()
    weights = pd.DataFrame(book.weights)
    pnl = book.returns @ book.weights
    sigma = float(np.sqrt(book.weights @ covariance.to_numpy() @ book.weights))
    parts = rp.Risk_Contribution(weights, frame, covariance, rm="MV")
    return [
        sigma,
        *(float(rp.VaR_Hist(pnl, alpha=round(1 - level, 9))) for level in LEVELS),
        *(float(rp.CVaR_Hist(pnl, alpha=round(1 - level, 9))) for level in LEVELS),
        float(np.ravel(parts)[0]),
    ]


class TickedBook:
    """A portfolio that is told every number at every price tick."""

    def __init__(self, size: int) -> None:
        book = Book.of(size)
        self.rates = np.array(ewma_covariance(book.returns[-50:]))
        self.kept = Exposures(self.rates, 1e6 * book.weights, book.returns, book.shocks)
        self.peak, self.size, self.value, self.n = Peak(), size, 1e6, 0
        self.moves = np.random.RandomState(1).randn(10_000) * 1e-4

    def tick(self) -> None:
        """Move one price: P&L, drawdown, volatility, VaR, ES, contributions, 50 stresses."""
        self.n += 1
        i, move = self.n % self.size, float(self.moves[self.n % 10_000])
        before = float(self.kept.x[i])
        self.kept.move(i, before * (1 + move))
        self.value += before * move
        self.peak.see(self.value)
        self.kept.gaussian(60.0)
        self.kept.historical()
        self.kept.contributions()
        self.kept.worst_stress()

    def error(self) -> float:
        """Return how far the numbers are from a computation anew."""
        x, s = self.kept.x, self.rates
        sigma = float(np.sqrt(x @ s @ x))
        parts = x * (s @ x)
        return max(
            abs(self.kept.volatility(1.0) / sigma - 1),
            float(np.abs(self.kept.contributions() - parts).max() / np.abs(parts).max()),
        )


class TickedEstimate:
    """The live estimator, at three half-lives, with a portfolio's variance that follows it.

    Args:
        whole: tell every number of the portfolio at every tick too.
    """

    def __init__(self, size: int, *, whole: bool = False) -> None:
        self.live, self.size, self.n = LiveCovariance(size, HALF_LIVES_S, 1), size, 0
        self.moves = np.random.RandomState(1).randn(10_000) * 1e-4
        self.levels = np.zeros(size)
        for _ in range(3 * size):
            self.estimate()
        book, empty = Book.of(size), np.zeros((0, size))
        rows, shocks = (book.returns, book.shocks) if whole else (empty, empty)
        self.kept = Exposures(self.live.headline_rates, np.full(size, 1e3), rows, shocks)
        self.peak, self.value, self.whole = Peak(), 1e3 * size, whole

    def estimate(self) -> tuple[int, Array | None]:
        """Take one tick into the estimator."""
        self.n += 1
        i = self.n % self.size
        self.levels[i] += self.moves[self.n % 10_000]
        return i, self.live.update(i, 0.01 * self.n, float(self.levels[i]))

    def tick(self) -> None:
        """Take one tick into the estimator and the portfolio."""
        i, change = self.estimate()
        if change is not None:
            self.kept.row_changed(i, change)
        if self.whole:
            self._tell(i)

    def _tell(self, i: int) -> None:
        kept, move = self.kept, float(self.moves[self.n % 10_000])
        before = float(kept.x[i])
        kept.move(i, before * (1 + move))
        self.value += before * move
        self.peak.see(self.value)
        kept.gaussian(60.0)
        kept.historical()
        kept.contributions()
        kept.worst_stress()

    def error(self) -> float:
        """Return how far the variance is from a computation anew."""
        x = self.kept.x
        return abs(self.kept.q / float(x @ self.live.headline_rates @ x) - 1)


def ticks(size: int) -> list[Result]:
    """Time one tick of each kind."""
    book, estimate, ewma = TickedBook(size), TickedEstimate(size), EwmaCovariance(size, 0.94)
    whole = TickedEstimate(size, whole=True)
    row = Book.of(size).returns[0]
    results = []
    for what, one in (
        ("one price tick: every number, 50 stresses", book),
        ("one tick of the live estimator, 3 half-lives", estimate),
        ("the two together: a whole tick", whole),
    ):
        timing = timed(what, size, one.tick)
        results.append(Result(what, size, timing.median_us, timing.p99_us, one.error()))
    results.append(timed("one row of the reference estimator", size, lambda: ewma.push(row)))
    return results


def soak(count: int) -> None:
    """Feed a watched portfolio ``count`` ticks, a report every thousandth; print the memory."""
    names = tuple(Symbol(name) for name in ("BTC", "TCS", "META"))
    monitor = Monitor(names, Estimators(), Terms(shocks={"crash": {"*": -0.1}}))
    limits = Limits(max_var=1e9, max_drawdown=0.99)
    monitor.put(Portfolio.of("default", {"BTC": 0.5, "TCS": 0.3, "META": 0.2}, limits=limits))
    start, moves = datetime(2026, 1, 1, tzinfo=UTC), np.random.RandomState(1).randn(9973) * 1e-4
    prices, begun = [70_400.0, 33.95, 505.47], perf_counter()
    for n in range(count):
        i = n % 3
        prices[i] *= 1 + float(moves[n % 9973])
        tick = Tick(
            symbol=names[i],
            price=Decimal(f"{prices[i]:.4f}"),
            volume=Decimal(1 + n % 50),
            time=start + timedelta(milliseconds=10 * n),
            seq=n // 3 + 1,
        )
        monitor.take(tick)
        if n % 1000 == 999:
            monitor.report("default")
            monitor.news()
        if n in (9_999, 99_999) or (n + 1) % max(1, count // 10) == 0:
            us = (perf_counter() - begun) / (n + 1) * 1e6
            told = f"{us:6.1f} us each {_rss_mb():8.1f} MB"
            print(f"{n + 1:>12,} ticks {told}, drift {monitor.report('default').drift}", flush=True)


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--soak", type=int, metavar="TICKS", help="memory over so many ticks")
    asked = parser.parse_args()
    sizes = asked.sizes
    if asked.soak:
        soak(asked.soak)
        return
    warnings.simplefilter("ignore")
    for name, peer in (("skfolio", "skfolio"), ("riskfolio-lib", "riskfolio")):
        if not find_spec(peer):
            print(f"{name} is not installed here: left out")
    print(f"T = {ROWS}; error: largest relative difference from plain numpy\n")
    print(f"{'':<52}{'assets':>6}{'median us':>14}{'p99 us':>14}{'error':>12}")
    for size in sizes:
        for result in ticks(size) + batches(size):
            print(result, flush=True)


if __name__ == "__main__":
    main()
