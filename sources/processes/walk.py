"""The original walk: one step a tick in the current direction, which flips now and then."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from sources.processes.price_process import check

CEILING: Final = 10**12  # a price stays below it
EXACT: Final = 2**50  # ticks; beyond it a float no longer tells every grid point apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A walk on the tick grid that first falls: ``p -= U{0..step_max} * d``, then ``d`` may flip.

    Args:
        step_max: the longest step, in ticks.
        flip: probability per tick that the direction turns after the step.
        tick_size: one step of the grid, in the quote currency.

    The steps are integers drawn by ``Random.random`` alone, the one generator that Python promises
    to keep, so that a seed gives the same prices on every machine. The free walk has no bounds;
    what is yielded is the free walk folded into [one tick, 10^12), as if mirrors stood there: its
    position and its direction are both reflected, and no draw is added, so that a path is untouched
    until it meets a mirror. Steps of one direction follow each other, so that the returns have the
    autocorrelation ``E[u]^2 / E[u^2] * (1 - 2 * flip)^k`` at lag k: 0.5 at lag 1 by default.
    """

    step_max: int = 10
    flip: float = 0.15
    tick_size: float = 1.0

    def __post_init__(self) -> None:
        check("step_max", self.step_max, self.step_max >= 1, "at least 1")
        check("flip", self.flip, 0 <= self.flip <= 1, "a probability")
        check("tick_size", self.tick_size, self.tick_size > 0, "above 0")

    def prices(self, start: float, rng: Random) -> Iterator[float]:
        """Yield the prices after ``start``, each a whole number of ticks."""
        free, direction, steps = round(start / self.tick_size), 1, self.step_max + 1
        top = min(round(CEILING / self.tick_size) - 1, EXACT)
        while True:
            free -= direction * int(rng.random() * steps)
            if rng.random() < self.flip:
                direction = -direction
            yield folded(free, top) * self.tick_size


def folded(free: int, top: int) -> int:
    """Return where a path that has no bounds stands between mirrors at 1 and ``top``."""
    if 1 <= free <= top:
        return free
    period = 2 * (top - 1)
    way = (free - 1) % period
    return 1 + min(way, period - way)
