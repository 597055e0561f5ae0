"""Virtual time: what is due next happens next, and the clock jumps there."""

from collections.abc import Callable
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Final

from market.clock import ManualClock
from simulation.errors import StuckError

MOST_AT_ONCE: Final = 200_000

# What is due at one instant happens in this order: a scenario acts, commands reach the exchange,
# facts reach the agents, and only then does the next price come.
ACTION, COMMAND, HEARING, TICK, WATCH, SAMPLE, REPORT = range(7)

Action = Callable[[], None]


class EventLoop:
    """Runs actions in the order of (time, priority, sequence).

    Time is in whole microseconds since the start, so that no sum of times depends on the machine.
    Whoever sets things up in an order of its own (by name) gets the same run in any other.
    ``most_at_once`` things may happen at one instant.
    """

    def __init__(self, clock: ManualClock, most_at_once: int = MOST_AT_ONCE) -> None:
        self.clock, self.start, self._most = clock, clock.now(), most_at_once
        self.now = 0
        self._heap: list[tuple[int, int, int, Action]] = []
        self._sequence = self._at_once = 0

    @property
    def seconds(self) -> float:
        """The seconds since the start."""
        return self.now / 1e6

    def time(self) -> float:
        """Return the seconds since the start, as the clock of a live loop does."""
        return self.now / 1e6

    def at(self, time: int, priority: int, action: Action) -> None:
        """Let ``action`` happen at ``time``, or now if that is past."""
        self._sequence += 1
        heappush(self._heap, (max(time, self.now), priority, self._sequence, action))

    def after(self, delay: int, priority: int, action: Action) -> None:
        """Let ``action`` happen ``delay`` microseconds from now."""
        self.at(self.now + delay, priority, action)

    def run(self, until: int) -> None:
        """Run what is due up to ``until``, that included; then it is that time.

        Raises:
            StuckError: too many things happened at one instant.
        """
        heap = self._heap
        while heap and heap[0][0] <= until:
            time, _, _, action = heappop(heap)
            if time != self.now:
                self._move(time)
            elif (made := self._at_once + 1) > self._most:
                raise StuckError(f"at {self.clock.now()} so much happens that time stands still")
            else:
                self._at_once = made
            action()
        if until > self.now:
            self._move(until)

    def moment(self, time: int) -> datetime:
        """Return the time that is ``time`` microseconds after the start."""
        return self.start + timedelta(microseconds=time)

    def _move(self, time: int) -> None:
        self.clock.advance_us(time - self.now)
        self.now, self._at_once = time, 0
