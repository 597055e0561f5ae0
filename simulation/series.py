"""Figures over time in bounded memory: when a series is full, every second point goes."""

from collections.abc import Callable
from typing import Final, Generic, TypeVar

MOST_POINTS: Final = 4096

T = TypeVar("T")


class Series(Generic[T]):
    """Points in order; never more than ``most``, evenly thinned over the whole time.

    The memory of a run is therefore the same for a day and for a thousand.
    """

    def __init__(self, most: int = MOST_POINTS) -> None:
        self._most, self._step, self.seen = most, 1, 0
        self.points: list[T] = []

    def add(self, point: T) -> None:
        """Keep the point, if it is one of those that are kept."""
        if self.seen % self._step == 0:
            self._keep(point)
        self.seen += 1

    def extend(self, count: int, make: Callable[[int], T]) -> None:
        """Add ``count`` points; ``make`` is asked, by their number from 0, for those that stay."""
        at = -self.seen % self._step
        while at < count:
            self._keep(make(at))
            at += self._step - (self.seen + at) % self._step
        self.seen += count

    def _keep(self, point: T) -> None:
        self.points.append(point)
        if len(self.points) >= self._most:
            del self.points[1::2]
            self._step *= 2
