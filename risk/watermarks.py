"""Which ticks are news: duplicates and replays are dropped, holes are counted."""

from dataclasses import dataclass
from datetime import datetime

from market.events import SourceState, State, Tick
from market.values import Symbol


@dataclass(slots=True)
class _Mark:
    seq: int
    time: datetime


class Watermarks:
    """The newest tick seen of each symbol."""

    def __init__(self) -> None:
        self._marks: dict[Symbol, _Mark] = {}
        self._since: dict[Symbol, datetime] = {}
        self.replayed, self.missed, self.renumbered = 0, 0, 0

    def admits(self, tick: Tick) -> bool:
        """Tell whether ``tick`` is news, and remember it if so.

        An earlier time is a replay, whatever the number. A number that was seen is one too, unless
        its time is later: then its source has begun to count anew.
        """
        mark = self._marks.get(tick.symbol)
        if mark is not None and (
            tick.time < mark.time or (tick.seq <= mark.seq and tick.time == mark.time)
        ):
            self.replayed += 1
            return False
        if mark is not None:
            self._count(mark, tick)
        self._marks[tick.symbol] = _Mark(tick.seq, tick.time)
        return True

    def note(self, state: SourceState) -> bool:
        """Take a change of a source, False for a replay. After ``down`` it may begin anew."""
        if state.symbol in self._since and state.since <= self._since[state.symbol]:
            return False
        self._since[state.symbol] = state.since
        if state.state is State.DOWN:
            self._marks.pop(state.symbol, None)
        return True

    def forget(self) -> None:
        """Begin anew: the history that these marks were of is over."""
        self._marks.clear()
        self._since.clear()

    def _count(self, mark: _Mark, tick: Tick) -> None:
        if tick.seq <= mark.seq:
            self.renumbered += 1
        else:
            self.missed += tick.seq - mark.seq - 1
