"""Time as an argument: the wall clock for processes, a clock set by hand for everything else."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells what time it is."""

    def now(self) -> datetime:
        """Return the time, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the time of the machine, in UTC."""
        return datetime.now(UTC)


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now, self._ahead_us = start, 0

    def now(self) -> datetime:
        """Return the time it was last set to."""
        if self._ahead_us:
            self._now += timedelta(microseconds=self._ahead_us)
            self._ahead_us = 0
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move the time forward; raise ValueError when asked to go back."""
        if by < timedelta(0):
            raise ValueError(f"time does not go back: {by}")
        self._now += by

    def advance_us(self, by: int) -> None:
        """Move the time forward by so many microseconds, which are not negative.

        It costs next to nothing: which time that is comes out when it is asked for.
        """
        self._ahead_us += by
