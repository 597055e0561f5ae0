"""Where a price turns: dips and peaks over three consecutive ticks."""

from enum import Enum
from typing import Final

from market.events import Fact, Gap, Snapshot, Tick
from market.values import Symbol

_TICKS: Final = 3  # what it takes to see a turn


class Turn(Enum):
    """The shape of three consecutive prices; equal neighbors make neither."""

    DIP = "dip"
    PEAK = "peak"


class Turns:
    """Remembers the last three ticks of each symbol; a hole in ``seq`` or a gap starts afresh."""

    def __init__(self) -> None:
        self._last: dict[Symbol, list[Tick]] = {}

    def seen(self, fact: Fact) -> Turn | None:
        """Take a fact in; return the turn when it is a tick that completes one."""
        match fact:
            case Tick():
                return self._turn(fact)
            case Gap():
                self._last.clear()
            case Snapshot():
                self._last = {tick.symbol: [tick] for tick in fact.ticks}
        return None

    def _turn(self, tick: Tick) -> Turn | None:
        last = self._last.setdefault(tick.symbol, [])
        if last and tick.seq != last[-1].seq + 1:
            last.clear()
        last.append(tick)
        if len(last) < _TICKS:
            return None
        p0, p1, p2 = last[0].price, last[1].price, tick.price
        del last[0]
        if p0 > p1 < p2:
            return Turn.DIP
        return Turn.PEAK if p0 < p1 > p2 else None
