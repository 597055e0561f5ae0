"""The reference estimator at work: prices sampled by a calendar clock into rows of returns.

Previous tick: at each beat of the clock every asset has the price of its last tick. The rows feed
the exponentially weighted covariance, the historical scenarios, and the backtest.
"""

from collections.abc import Callable

import numpy as np

from risk.arrays import Array
from risk.covariance import EwmaCovariance, decay_of

OnRow = Callable[[Array], None]


class Reference:
    """Rows of returns by the clock, the last ``history`` of them at hand.

    Args:
        size: how many assets.
        clock_s: seconds between two beats.
        half_life_s: of the covariance.
        history: rows kept as scenarios, oldest first in ``scenarios``.
    """

    def __init__(self, size: int, clock_s: float, half_life_s: float, history: int) -> None:
        self.clock_s, self.half_life_s, self.history = clock_s, half_life_s, history
        self._covariance = EwmaCovariance(size, decay_of(half_life_s, clock_s))
        self._ring = np.zeros((history, size), order="F")
        self._base: Array | None = None
        self._next = 0.0
        self.rows = 0

    def advance(self, time_s: float, levels: Array, on_row: OnRow) -> None:
        """Make a row for each beat up to ``time_s`` from the ``levels`` that stood before it."""
        if self._base is None:
            self._base = levels.copy()
            self.realign(time_s)
        while self._next <= time_s:
            assert self._base is not None
            row = levels - self._base
            self._covariance.push(row)
            self._ring[self.rows % self.history] = row
            self.rows += 1
            self._base = levels.copy()
            self._next += self.clock_s
            on_row(row)

    def realign(self, time_s: float) -> None:
        """Let the next beat be a whole step from ``time_s``: the clock stood still in a silence."""
        self._next = time_s + self.clock_s

    def hide(self, i: int, change: float) -> None:
        """Keep the change of asset ``i`` over a gap out of the row that is being made."""
        if self._base is not None:
            self._base[i] += change

    @property
    def effective_size(self) -> float:
        """How many equal rows the covariance is worth."""
        return self._covariance.effective_size if self.rows else 0.0

    @property
    def decay(self) -> float:
        """The weight that one beat leaves."""
        return self._covariance.decay

    @property
    def rates(self) -> Array:
        """The covariance per second, shape (assets, assets)."""
        return self._covariance.matrix / self.clock_s

    @property
    def scenarios(self) -> Array:
        """The kept rows, oldest first, shape (rows, assets)."""
        if self.rows <= self.history:
            return self._ring[: self.rows]
        cut = self.rows % self.history
        return np.concatenate((self._ring[cut:], self._ring[:cut]))
