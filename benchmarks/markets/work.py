"""The work that every market is given, decided before any clock starts, and what was done of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

STEP: Final = 0.01  # the tick size
LEVELS: Final = 5  # quotes on a side
QUOTED: Final = 10  # quantity of a quote
AMOUNT: Final = 5  # quantity of an order
MOST_MOVE: Final = 10  # ticks that a price moves at a time
AGENTS: Final = 10
MOST_RESTING: Final = 3  # orders of an agent
CASH: Final = 1_000_000_000  # nobody runs out of it

Quotes = tuple[list[int], list[int]]
"""Those withdrawn and those placed at a tick. A quote is its price in ticks, an ask's negative."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was done in how many seconds of the processor; a fill is a trade, counted once."""

    seconds: float
    ticks: int
    placed: int
    withdrawn: int
    fills: int

    @property
    def orders(self) -> int:
        """Orders entered: those placed and those withdrawn; one that is moved is both."""
        return self.placed + self.withdrawn

    @property
    def events(self) -> int:
        """Ticks, orders placed, orders withdrawn, and fills."""
        return self.ticks + self.orders + self.fills

    @property
    def us_a_tick(self) -> float:
        """Microseconds a tick, whatever happens at it."""
        return self.seconds / self.ticks * 1e6

    @property
    def us_an_order(self) -> float:
        """Microseconds an order entered, whatever else happens."""
        return self.seconds / max(1, self.orders) * 1e6

    @property
    def us_an_event(self) -> float:
        """Microseconds an event."""
        return self.seconds / self.events * 1e6


def prices(count: int) -> list[int]:
    """Return a price that walks up and down, in ticks."""
    rng, price, found = Random(7), 10_000, []
    for _ in range(count):
        price = max(5_000, min(15_000, price + rng.randint(-MOST_MOVE, MOST_MOVE)))
        found.append(price)
    return found


def turns(path: Sequence[int]) -> list[int]:
    """Return what the rule of the turns orders at each tick: 1 buys, -1 sells, 0 is nothing.

    It buys on a peak when it holds nothing, and sells on a dip when it holds something.
    """
    found, held = [0, 0], False
    for before, middle, now in zip(path, path[1:], path[2:], strict=False):
        peak, dip = before < middle > now, before > middle < now
        turned = (dip and held) or (peak and not held)
        found.append((-1 if held else 1) if turned else 0)
        held ^= turned
    return found


def quotes(path: Sequence[int], farther: int = 0) -> list[Quotes]:
    """Return which quotes the house withdraws and which it places at each tick.

    Around each price stand `LEVELS` bids and asks, a tick apart, the best a tick away. What has the
    right price stays, unless somebody has taken of it: then it is withdrawn and placed anew.

    Args:
        farther: ticks that all stand farther away than the house's.
    """
    standing: set[int] = set()
    taken, found = 0, []
    for price, turn in zip(path, turns(path), strict=True):
        wanted = {sign * price - 1 - level for sign in (1, -1) for level in range(LEVELS)}
        leaving = (standing - wanted) | (standing & {taken})
        coming = (wanted - standing) | (wanted & {taken})
        found.append(
            (
                sorted(q - farther for q in leaving),
                sorted((q - farther for q in coming), reverse=True),
            )
        )
        standing = wanted
        taken = -turn * price - 1  # a buyer takes of the best ask
    return found


class Dice:
    """The thoughts of an agent without any: it buys, or it sells, at a limit around the price.

    Half of the agents buy and the others sell, as in Gode and Sunder (1993), Journal of Political
    Economy 101, 119-137, so that nobody trades with itself. An agent that has `MOST_RESTING` orders
    in the book takes the oldest back before it places another.
    """

    def __init__(self, number: int) -> None:
        self._rng = Random(1000 + number)
        self.buys = number % 2 == 0

    def limit(self, price: int) -> int:
        """Return the limit of its next order, in ticks."""
        away = self._rng.randint(-5, 20)
        return price - away if self.buys else price + away
