"""An account's equity over time in a bounded number of points, and how far it is below its peak."""

from collections.abc import Sequence
from typing import Final

POINTS: Final = 360
_EARLY: Final = 0.75  # of a distance: who adds once a second does not do so to the millisecond


class EquityCurve:
    """Equity at growing distances in time: when it is full, every second point goes.

    Attributes:
        drawdown: how far the equity is below its peak, a fraction of the peak.
        max_drawdown: the largest it has been.
        has_past: whether it begins with what was before anyone looked.
    """

    def __init__(self, points: int = POINTS) -> None:
        self._most, self._distance_s = points, 0.0
        self.points: list[tuple[float, float]] = []
        self.has_past, self._peak = False, float("-inf")
        self.drawdown = self.max_drawdown = 0.0

    def add(self, time: float, equity: float) -> bool | None:
        """Take in the equity at a time; True when a point was added, None when all changed."""
        self._peak = max(self._peak, equity)
        self.drawdown = (self._peak - equity) / self._peak if self._peak > 0 else 0.0
        self.max_drawdown = max(self.max_drawdown, self.drawdown)
        if self.points and time - self.points[-1][0] < _EARLY * self._distance_s:
            return False
        self.points.append((round(time, 3), equity))
        if len(self.points) <= self._most:
            return True
        self._distance_s = 2 * (time - self.points[0][0]) / (len(self.points) - 1)
        self.points = self.points[::2]
        return None

    def begin_with(self, past: Sequence[tuple[float, float]]) -> None:
        """Put what was before the first point in front of it; later points keep its distance."""
        first = self.points[0][0] if self.points else float("inf")
        before, after = [point for point in past if point[0] < first], self.points
        self.points, self.has_past, self._peak = [], True, float("-inf")
        if len(before) > 1:
            self._distance_s = (before[-1][0] - before[0][0]) / (len(before) - 1)
        for time, equity in [*before, *after]:
            self.add(time, equity)
