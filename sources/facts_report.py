"""The gates of a series as a table for people, and as a picture."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np

from market.errors import MarketError
from sources.facts import Gate, Returns, autocorrelation

LAGS = 100
HEADING = ("gate", "fact", "measured", "required", "result")


class NoPlotError(MarketError):
    """There is nothing to draw with."""

    def __init__(self) -> None:
        super().__init__("no plot: matplotlib is not installed (pip install matplotlib)")


def table(gates: Sequence[Gate]) -> str:
    """Return the gates as lines of aligned columns."""
    lines = [HEADING, *((g.name, g.fact, g.measured, g.required, _result(g)) for g in gates)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        + "\n"
        for line in lines
    )


def draw(returns: Returns, title: str, path: Path) -> None:
    """Write a picture of the returns, their tail and their memory.

    Raises:
        NoPlotError: matplotlib is not installed.
    """
    try:
        figure = import_module("matplotlib.figure").Figure(figsize=(11, 7), layout="constrained")
    except ImportError as error:
        raise NoPlotError from error
    (path_of_price, series), (tail, memory) = figure.subplots(2, 2)
    figure.suptitle(title)
    path_of_price.plot(np.cumsum(returns), linewidth=0.6)
    path_of_price.set(title="log price, from its start", xlabel="step")
    series.plot(returns, linewidth=0.4)
    series.set(title="log return", xlabel="step")
    sizes = np.sort(np.abs(returns[returns != 0]))[::-1]
    tail.loglog(sizes, np.arange(1, len(sizes) + 1) / len(returns), ".", markersize=2)
    tail.set(title="share of |return| above", xlabel="|return|")
    lags = range(1, LAGS + 1)
    memory.plot(lags, [autocorrelation(returns, lag) for lag in lags], label="return")
    memory.plot(lags, [autocorrelation(np.abs(returns), lag) for lag in lags], label="|return|")
    memory.set(title="autocorrelation", xlabel="lag")
    memory.legend()
    figure.savefig(path, dpi=120)


def _result(gate: Gate) -> str:
    return "pass" if gate.passed else "FAIL"
