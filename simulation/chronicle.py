"""What happened, kept for those who need not know at once, and handed on to them in batches."""

from collections.abc import Callable, Sequence
from typing import Final

from market.events import Fact
from simulation.event_loop import EventLoop

BATCH: Final = 1024

Reader = Callable[[Sequence[Fact], Sequence[float]], None]


class Chronicle:
    """Facts in their order, each with its second since the start.

    Facts do not change, so nobody has to look at them one by one: the same code over many of them
    costs half of what it costs when everything else runs in between.

    Args:
        reader: takes the facts and their seconds.
    """

    def __init__(self, loop: EventLoop, reader: Reader) -> None:
        self._loop, self._reader = loop, reader
        self._facts: list[Fact] = []
        self._times: list[int] = []

    def note(self, fact: Fact) -> None:
        """Keep a fact that happens now."""
        self._facts.append(fact)
        self._times.append(self._loop.now)
        if len(self._facts) >= BATCH:
            self.catch_up()

    def catch_up(self) -> None:
        """Hand on what was kept."""
        facts, seconds = self._facts, [time / 1e6 for time in self._times]
        self._facts, self._times = [], []
        if facts:
            self._reader(facts, seconds)
