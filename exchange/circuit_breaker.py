"""Whether a price moved too far in too short a time."""

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

Seen = tuple[datetime, int]
"""A price in ticks and when it was seen."""


class CircuitBreaker:
    """The extremes of a sliding window of prices; a move of ``percent`` within it breaks it.

    The two queues hold what can still become an extreme (falling highs, rising lows), so both are
    shorter than the move that would break it is in ticks. Source: Lemire (2006), Streaming
    Maximum-Minimum Filter Using No More than Three Comparisons per Element.
    """

    __slots__ = ("_highs", "_lows", "_move", "_of", "_window")

    def __init__(self, percent: Decimal, window_s: float) -> None:
        share = Fraction(percent) / 100
        self._move, self._of = share.numerator, share.denominator
        self._window = timedelta(seconds=window_s)
        self._highs: deque[Seen] = deque()
        self._lows: deque[Seen] = deque()

    def breaks(self, price: int, time: datetime) -> bool:
        """Take a price in; return whether it moved too far, and start afresh from it if so."""
        if not self._move:
            return False
        since = time - self._window
        moved = False
        for line in (self._highs, self._lows):
            while line and line[0][0] < since:
                line.popleft()
            if line:
                extreme = line[0][1]
                moved = moved or abs(price - extreme) * self._of >= self._move * extreme
        if moved:
            self.reset()
        self._take_in(price, time)
        return moved

    def reset(self) -> None:
        """Forget every price."""
        self._highs.clear()
        self._lows.clear()

    def _take_in(self, price: int, time: datetime) -> None:
        while self._highs and self._highs[-1][1] <= price:
            self._highs.pop()
        self._highs.append((time, price))
        while self._lows and self._lows[-1][1] >= price:
            self._lows.pop()
        self._lows.append((time, price))

    def state(self) -> tuple[tuple[Seen, ...], tuple[Seen, ...]]:
        """Return what ``restore`` takes."""
        return tuple(self._highs), tuple(self._lows)

    def restore(self, highs: Sequence[Seen], lows: Sequence[Seen]) -> None:
        """Stand where ``state`` was taken."""
        self._highs, self._lows = deque(highs), deque(lows)
