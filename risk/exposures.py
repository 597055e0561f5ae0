"""The risk of one set of exposures, kept current at every tick in O(assets + rows + scenarios).

A tick moves one exposure and one row of the covariance. Both change ``v = S x`` and ``q = x' S x``
by terms that one row tells, so nothing is multiplied out again. What rounding adds up to is
measured whenever the state is made anew.
"""

from math import sqrt
from typing import Final

import numpy as np

from risk.arrays import Array
from risk.distributions import expected_shortfall_factor, normal_quantile
from risk.tails import tail_weights

LEVELS: Final = (0.95, 0.99)
_Z: Final = {level: normal_quantile(level) for level in LEVELS}
_FACTOR: Final = {level: expected_shortfall_factor(level) for level in LEVELS}


class Exposures:
    """Exposures x in money, and all that follows from them.

    Args:
        rates: covariance per second, shape (assets, assets); the very table, kept by its owner.
        exposures: x, shape (assets,).
        scenarios: relative moves of past rows, shape (rows, assets).
        shocks: relative moves of named scenarios, shape (scenarios, assets).
    """

    def __init__(self, rates: Array, exposures: Array, scenarios: Array, shocks: Array) -> None:
        self._rates, self.x = rates, exposures.copy()
        self._rows = list(rates)
        # what each asset moves in every scenario and shock, in one piece: one is read a tick
        moves = np.ascontiguousarray(np.concatenate((scenarios, -shocks)).T)
        self._moves, self._columns = moves, list(moves)
        self._term, self._gains = np.zeros(len(exposures)), np.zeros(moves.shape[1])
        self._count = len(scenarios)
        self._tails = {
            level: tail_weights(len(scenarios), level) for level in LEVELS if len(scenarios)
        }
        self.drift = 0.0
        self._make()

    def move(self, i: int, exposure: float) -> None:
        """Change the exposure to asset ``i``."""
        dx = exposure - float(self.x[i])
        if dx == 0:
            return
        row, outcomes, v = self._rows[i], self._outcomes, self.v
        self.q += dx * (2 * float(v[i]) + dx * float(row[i]))
        np.add(v, np.multiply(row, dx, out=self._term), out=v)
        self.x[i] = exposure
        np.add(outcomes, np.multiply(self._columns[i], dx, out=self._gains), out=outcomes)

    def row_changed(self, i: int, change: Array) -> None:
        """Follow a change of row (and column) ``i`` of the covariance, which was made already."""
        xi, moved, v = float(self.x[i]), float(change.dot(self.x)), self.v
        own = float(change[i]) * xi
        np.add(v, np.multiply(change, xi, out=self._term), out=v)
        v[i] += moved - own
        self.q += xi * (2 * moved - own)

    def remake(self) -> float:
        """Make everything anew; return how far the variance had drifted, relative to itself."""
        before = self.q
        self._make()
        scale = float(np.abs(self.x) @ np.abs(self._rates) @ np.abs(self.x))
        self.drift = abs(before - self.q) / scale if scale > 0 else 0.0
        return self.drift

    def volatility(self, seconds: float) -> float:
        """Return the standard deviation over ``seconds``, money; 0 where S is no covariance."""
        return sqrt(max(self.q, 0.0) * seconds)

    def gaussian(self, seconds: float) -> dict[float, tuple[float, float]]:
        """Return value at risk and expected shortfall at each level, money."""
        deviation = self.volatility(seconds)
        return {level: (_Z[level] * deviation, _FACTOR[level] * deviation) for level in LEVELS}

    def historical(self) -> dict[float, tuple[float, float]]:
        """Return value at risk (rule ``upper``) and shortfall at each level, money of one row."""
        profits = self.profits.copy()
        profits.sort()
        return {
            level: (-float(profits[len(tail) - 1]), -float(profits[: len(tail)].dot(tail)))
            for level, tail in self._tails.items()
        }

    def contributions(self) -> Array:
        """Return each asset's part of the variance, shape (assets,); they add up to it."""
        parts: Array = self.x * self.v
        return parts

    def worst_stress(self) -> float:
        """Return the largest loss of the named scenarios, money; 0 without one."""
        return float(self.stresses.max(initial=0.0))

    def _make(self) -> None:
        self.v: Array = self._rates @ self.x
        self.q = float(self.x @ self.v)
        self._outcomes: Array = self.x @ self._moves
        self.profits: Array = self._outcomes[: self._count]
        self.stresses: Array = self._outcomes[self._count :]  # losses
