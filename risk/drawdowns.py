"""How far below its peak a portfolio is: always from the equity, never from summed returns."""

from dataclasses import dataclass

import numpy as np

from risk.arrays import Array, Numbers, numbers
from risk.errors import UnavailableError
from risk.tails import historical_expected_shortfall


def equity_of(returns: Numbers, *, compounded: bool = True) -> Array:
    """Return the equity that ``returns`` make of 1, the start included (it is a peak too)."""
    r = numbers(returns)
    grown = np.cumprod(1 + r) if compounded else 1 + np.cumsum(r)
    return np.concatenate(([1.0], grown))


def drawdowns(equity: Numbers, *, relative: bool = True) -> Array:
    """Return the distance below the running peak at each point, a share of it if ``relative``.

    Raises:
        UnavailableError: no equity, or a relative drawdown from a peak that is not positive.
    """
    e = numbers(equity)
    if not e.size:
        raise UnavailableError("no equity yet")
    peaks = np.maximum.accumulate(e)
    if not relative:
        return np.asarray(peaks - e)
    if peaks[0] <= 0:
        raise UnavailableError("the peak is not positive")
    return np.asarray((peaks - e) / peaks)


def drawdown(equity: Numbers) -> float:
    """Return the share of its peak that the equity is below it now."""
    return float(drawdowns(equity)[-1])


def max_drawdown(equity: Numbers, *, relative: bool = True) -> float:
    """Return the deepest drawdown of the path."""
    return float(drawdowns(equity, relative=relative).max())


def conditional_drawdown(equity: Numbers, level: float = 0.95) -> float:
    """Return the mean of the worst ``1 - level`` share of the drawdowns (CDaR).

    The start, which has none, is not counted among them, as in riskfolio-lib.
    Source: Chekhlov, Uryasev and Zabarankin (2005), Int. J. Theor. Appl. Finance 8(1), 13-58.
    """
    return historical_expected_shortfall(-drawdowns(equity)[1:], level)


def ulcer_index(equity: Numbers) -> float:
    """Return the root mean square of the drawdowns, the start not counted."""
    found = drawdowns(equity)[1:]
    return float(np.sqrt((found * found).mean()))


@dataclass(slots=True)
class Peak:
    """The highest value seen and the deepest fall from a peak: drawdown in O(1) a value."""

    peak: float | None = None
    drawdown: float = 0.0
    max_drawdown: float = 0.0

    def see(self, value: float) -> None:
        """Take the newest value; a peak that is not positive has no drawdown to share."""
        if self.peak is None or value > self.peak:
            self.peak = value
        self.drawdown = (self.peak - value) / self.peak if self.peak > 0 else 0.0
        self.max_drawdown = max(self.max_drawdown, self.drawdown)
