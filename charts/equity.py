"""An account's equity over time in a bounded number of points, and how far it is below its peak."""

from typing import Final

POINTS: Final = 360


class EquityCurve:
    """Equity at growing distances in time: when it is full, every second point goes.

    Attributes:
        drawdown: how far the equity is below its peak, a fraction of the peak.
        max_drawdown: the largest it has been.
    """

    def __init__(self, points: int = POINTS) -> None:
        self._most, self._stride, self._skipped = points, 1, 0
        self.points: list[tuple[float, float]] = []
        self._peak = float("-inf")
        self.drawdown = self.max_drawdown = 0.0

    def add(self, time: float, equity: float) -> bool | None:
        """Take in the equity at a time; True when a point was added, None when all changed."""
        self._peak = max(self._peak, equity)
        self.drawdown = (self._peak - equity) / self._peak if self._peak > 0 else 0.0
        self.max_drawdown = max(self.max_drawdown, self.drawdown)
        self._skipped += 1
        if self._skipped < self._stride and self.points:
            return False
        self._skipped = 0
        self.points.append((round(time, 3), equity))
        if len(self.points) <= self._most:
            return True
        self.points = self.points[::2]
        self._stride *= 2
        return None
