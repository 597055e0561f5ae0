"""Candles for the stream: each close once, and what forms as often as somebody looks.

Closes are always published, so that whoever resumes gets every one. A candle that forms is a state
and not an event: it is published for those intervals that a reader has asked for within the last
minute, and not oftener than the beat. What is published is in the history like any event, and is
replayed to whoever was away.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from exchange.candles import INTERVALS, LENGTHS, NAMES, Bar, CandleBuilder, end_of, plain
from exchange.history_file import CandleKey
from market.events import Candle, Fact, Tick
from market.streaming import Variants
from market.values import Symbol

LEASE_S: Final = 60.0
VARIANTS: Final = {Candle.kind: Variants(name="interval", known=tuple(INTERVALS), default="1m")}


class _Forming:
    """The candles of a symbol, and the ticks that wait to be taken into them together."""

    __slots__ = ("builder", "last", "until", "waiting")

    def __init__(self) -> None:
        self.builder = CandleBuilder()
        self.waiting: list[Tick] = []
        self.last, self.until = self.builder.span

    def settle(self) -> CandleBuilder:
        """Return the candles with all that waited in them."""
        if self.waiting:
            waiting, self.waiting = self.waiting, []
            self.builder.merge(Bar.of_run(waiting))
        return self.builder


class CandleStream:
    """The candles of all symbols on their way to the stream.

    Args:
        publish: where they go.
        is_wanted: tells whether a reader is there for a kind and subject.
    """

    def __init__(
        self,
        symbols: Iterable[Symbol],
        publish: Callable[[Fact], object],
        is_wanted: Callable[[tuple[str, str]], bool],
    ) -> None:
        self._symbols = {symbol: _Forming() for symbol in symbols}
        self._publish, self._is_wanted = publish, is_wanted
        self._changed: set[Symbol] = set()
        self._wanted_at: dict[tuple[Symbol, int], float] = {}

    def restore(self, symbol: Symbol, parts: Iterable[tuple[int, Bar]]) -> None:
        """Go on from what is kept of a symbol; see CandleBuilder."""
        forming = self._symbols[symbol]
        forming.builder.restore(parts)
        forming.last, forming.until = forming.builder.span

    def take(self, tick: Tick) -> Sequence[CandleKey]:
        """Take in a tick, publish what it closed; return what had closed and holds it, too."""
        forming, time = self._symbols[tick.symbol], tick.time
        if forming.last <= time < forming.until:  # as most: it closes nothing, nor is it late
            forming.waiting.append(tick)
            forming.last = time
            return ()
        begins = time >= forming.until
        late = self._turn(forming.settle(), tick)
        self._changed.add(tick.symbol)
        forming.last, forming.until = (time, end_of(time)) if begins else forming.builder.span
        return late

    def _turn(self, builder: CandleBuilder, tick: Tick) -> Sequence[CandleKey]:
        symbol = tick.symbol
        at, price, volume = plain(tick)
        if at < builder.began:
            amended = [(symbol, length, time) for length, time in builder.closed_around(at)]
            builder.take(at, price, volume)
            return amended
        for length, bar in builder.take(at, price, volume):
            self._publish(bar.candle(symbol, length, closed=True))
        return ()

    def beat(self, now: float) -> None:
        """Publish what forms and has changed; ``now`` is in seconds, and never goes back."""
        changed, self._changed = self._changed, set()
        for symbol, forming in self._symbols.items():
            if forming.waiting:
                forming.settle()
                changed.add(symbol)
            for length in LENGTHS:
                if self._is_due(symbol, length, now, changed):
                    self._publish_forming(symbol, length)

    def _is_due(self, symbol: Symbol, length: int, now: float, changed: set[Symbol]) -> bool:
        key = symbol, length
        is_new = False
        if self._is_wanted((f"{Candle.kind}:{NAMES[length]}", symbol)):
            is_new = key not in self._wanted_at
            self._wanted_at[key] = now
        if now - self._wanted_at.get(key, now - 2 * LEASE_S) > LEASE_S:
            self._wanted_at.pop(key, None)
            return False
        return is_new or symbol in changed

    def _publish_forming(self, symbol: Symbol, length: int) -> None:
        forming = self._symbols[symbol].settle().forming(length)
        if forming is not None:
            self._publish(forming.candle(symbol, length, closed=False))
