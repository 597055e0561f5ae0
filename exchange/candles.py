"""Ticks -> candles of every interval; pure, and exact to the last digit.

A candle is what happened between two moments that are multiples of its interval since 1970, UTC, by
the ticks' own times. It opens with the earliest tick and closes with the latest, whichever came
first; of ticks of the same time, the one that came first is the earlier. So a candle depends on the
ticks that are in it and not on how they came, and parts of a candle can be merged.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from functools import reduce
from itertools import pairwise
from typing import Final, NamedTuple

from market.events import Candle, Tick
from market.values import Symbol

SECOND: Final = 1_000_000
INTERVALS: Final[Mapping[str, int]] = {
    "1s": SECOND,
    "5s": 5 * SECOND,
    "15s": 15 * SECOND,
    "1m": 60 * SECOND,
    "5m": 300 * SECOND,
    "15m": 900 * SECOND,
    "1h": 3600 * SECOND,
    "4h": 14_400 * SECOND,
    "1d": 86_400 * SECOND,
}
"""The length of each interval in microseconds; each is a multiple of the one before."""

LENGTHS: Final = tuple(INTERVALS.values())
LONGER: Final = tuple(enumerate(LENGTHS))[1:]
NAMES: Final = {length: name for name, length in INTERVALS.items()}

NEVER: Final = -(2**62)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EVER: Final = datetime.max.replace(tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_LAST: Final = _EVER.replace(microsecond=0)
_add: Final = Context(prec=60).add  # sums of volumes must not be rounded


class Bar:
    """What a price did in a span of time, or in a part of it; times in microseconds since 1970."""

    __slots__ = ("close", "close_at", "high", "low", "open", "open_at", "time", "trades", "volume")

    def __init__(  # noqa: PLR0917  built by the million
        self,
        time: int,
        open: Decimal,
        high: Decimal,
        low: Decimal,
        close: Decimal,
        volume: Decimal,
        trades: int,
        open_at: int,
        close_at: int,
    ) -> None:
        self.time, self.open, self.high, self.low, self.close = time, open, high, low, close
        self.volume, self.trades = volume, trades
        self.open_at, self.close_at = open_at, close_at

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bar) and self.values() == other.values()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"Bar{self.values()}"

    def values(self) -> tuple[int, Decimal, Decimal, Decimal, Decimal, Decimal, int, int, int]:
        """Return time, open, high, low, close, volume, trades, and when it opened and closed."""
        return (
            self.time,
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            self.trades,
            self.open_at,
            self.close_at,
        )

    def add(self, at: int, price: Decimal, volume: Decimal) -> None:
        """Take in a tick that came after all that is in here already."""
        if at >= self.close_at:
            self.close, self.close_at = price, at
        elif at < self.open_at:
            self.open, self.open_at = price, at
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.volume = _add(self.volume, volume)
        self.trades += 1

    @classmethod
    def of_run(cls, ticks: Sequence[Tick]) -> "Bar":
        """Return what ticks of one second make, none of them earlier than the one before."""
        prices = [tick.price for tick in ticks]
        begin, end = microseconds(ticks[0].time), microseconds(ticks[-1].time)
        volume = reduce(_add, [tick.volume for tick in ticks])
        time, count = begin - begin % SECOND, len(ticks)
        high, low = max(prices), min(prices)
        return cls(time, prices[0], high, low, prices[-1], volume, count, begin, end)

    def merge(self, other: "Bar") -> None:
        """Take in another part of the same span, whose ticks came later."""
        if other.close_at >= self.close_at:
            self.close, self.close_at = other.close, other.close_at
        if other.open_at < self.open_at:
            self.open, self.open_at = other.open, other.open_at
        if other.high > self.high:  # noqa: PLR1730  max and min take three times as long
            self.high = other.high
        if other.low < self.low:  # noqa: PLR1730
            self.low = other.low
        self.volume = _add(self.volume, other.volume)
        self.trades += other.trades

    def within(self, length: int) -> "Bar":
        """Return a copy, as the part that it is of the span of ``length`` around it."""
        return Bar(
            self.time - self.time % length,
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            self.trades,
            self.open_at,
            self.close_at,
        )

    def candle(self, symbol: Symbol, length: int, *, closed: bool, amended: bool = False) -> Candle:
        """Return the candle that this is."""
        return Candle(
            symbol=symbol,
            interval=NAMES[length],
            time=datetime.fromtimestamp(self.time // SECOND, UTC),  # it is a whole second
            open=self.open,
            high=self.high,
            low=self.low,
            close=self.close,
            volume=self.volume,
            trades=self.trades,
            closed=closed,
            amended=amended,
        )


class Closed(NamedTuple):
    """A bar that is complete, and the length of its interval."""

    length: int
    bar: Bar


class CandleBuilder:
    """The candles of one symbol, in all intervals.

    Only the shortest candle takes in ticks; a longer one takes in each shorter one when that
    closes, and has the parts that are still open merged in when it is asked for. A candle closes
    when a tick of a later one arrives: by the market's time, whatever the clock says.

    Attributes:
        began: when the shortest candle did; a tick from before that is late.
    """

    __slots__ = ("_bars", "_shortest", "_until", "began")

    def __init__(self) -> None:
        self._bars: list[Bar | None] = [None] * len(LENGTHS)
        self._shortest: Bar | None = None
        self.began, self._until = NEVER, NEVER

    def restore(self, parts: Iterable[tuple[int, Bar]]) -> None:
        """Go on from bars by their lengths: the shortest whole, each longer without what is in it.

        Those of ``parts`` are as `parts_of` names them; nothing was taken yet.
        """
        for length, bar in parts:
            level = LENGTHS.index(length)
            kept = self._bars[level]
            if kept is None:
                self._bars[level] = bar.within(length)
            else:
                kept.merge(bar)
        self._begin(self._bars[0])

    def take(self, at: int, price: Decimal, volume: Decimal) -> Sequence[Closed]:
        """Take in a tick; return what it closed, the shortest first."""
        shortest = self._shortest
        if at < self._until and shortest is not None:
            if at >= self.began:
                shortest.add(at, price, volume)
            else:
                self._take_late(at, price, volume)
            return ()
        closed = [] if shortest is None else self._close(shortest, at)
        self._begin(Bar(at - at % SECOND, price, price, price, price, volume, 1, at, at))
        return closed

    def merge(self, part: Bar) -> None:
        """Take in a part of the shortest candle, whose ticks came after all that is in it."""
        assert self._shortest is not None
        self._shortest.merge(part)

    @property
    def span(self) -> tuple[datetime, datetime]:
        """From its newest tick to its end, the shortest candle only grows."""
        if self._shortest is None:
            return _EVER, _EVER
        newest = moment(self._shortest.close_at)
        return newest, end_of(newest)

    def _begin(self, shortest: Bar | None) -> None:
        self._bars[0] = self._shortest = shortest
        if shortest is not None:
            self.began, self._until = shortest.time, shortest.time + SECOND

    def closed_around(self, at: int) -> Iterator[tuple[int, int]]:
        """Yield the length and the time of each candle around ``at`` that has closed."""
        shortest = self._bars[0]
        return closed_around(at, at if shortest is None else shortest.time)

    def forming(self, length: int) -> Bar | None:
        """Return the candle of an interval that has not closed, None before the first tick."""
        if self._bars[0] is None:
            return None
        made: Bar | None = None
        for bar in reversed(self._bars[: LENGTHS.index(length) + 1]):
            if bar is not None and made is None:
                made = bar.within(length)
            elif bar is not None and made is not None:
                made.merge(bar)
        return made

    def _close(self, bar: Bar, at: int) -> list[Closed]:
        """Close what ends before ``at``, each taken into the next longer one."""
        closed, bars, done = [Closed(SECOND, bar)], self._bars, bar
        for level, length in LONGER:
            whole = bars[level]
            if whole is None:
                whole = bars[level] = done.within(length)
            else:
                whole.merge(done)
            if at < whole.time + length:
                break
            closed.append(Closed(length, whole))
            bars[level], done = None, whole
        return closed

    def _take_late(self, at: int, price: Decimal, volume: Decimal) -> None:
        """Take a tick into the shortest candle around it that is still open, if there is one."""
        shortest = self._bars[0]
        for level, length in enumerate(LENGTHS):
            if shortest is not None and at // length == shortest.time // length:
                kept = self._bars[level]
                if kept is None:
                    began = at - at % length
                    self._bars[level] = Bar(began, price, price, price, price, volume, 1, at, at)
                else:
                    kept.add(at, price, volume)
                return


def closed_around(at: int, newest: int) -> Iterator[tuple[int, int]]:
    """Yield the length and the time of each candle around ``at`` that ``newest`` has closed."""
    for length in LENGTHS:
        if at // length < newest // length:
            yield length, at - at % length


def folded(ticks: Iterable[tuple[int, Decimal, Decimal]]) -> dict[tuple[int, int], Bar]:
    """Return the bars of every interval of one symbol's ticks, by length and time.

    The ticks are (time, price, volume) in the order in which they came.
    """
    shortest: dict[int, Bar] = {}
    for at, price, volume in ticks:
        time = at - at % SECOND
        bar = shortest.get(time)
        if bar is None:
            shortest[time] = Bar(time, price, price, price, price, volume, 1, at, at)
        else:
            bar.add(at, price, volume)
    return _lengthened(shortest)


def bars_of(ticks: Iterable[Tick]) -> dict[tuple[int, int], Bar]:
    """Return what `folded` does; it is quicker the more ticks there are in a second."""
    shortest: dict[int, Bar] = {}
    for part in map(Bar.of_run, _runs(ticks)):
        whole = shortest.setdefault(part.time, part)
        if whole is not part:
            whole.merge(part)
    return _lengthened(shortest)


def _lengthened(shortest: dict[int, Bar]) -> dict[tuple[int, int], Bar]:
    """Return the shortest bars with those of every longer interval."""
    found = {(SECOND, time): bar for time, bar in shortest.items()}
    bars = shortest
    for length in LENGTHS[1:]:
        longer: dict[int, Bar] = {}
        for bar in bars.values():
            whole = longer.get(bar.time - bar.time % length)
            if whole is None:
                part = bar.within(length)
                longer[part.time] = part
            else:
                whole.merge(bar)
        found |= {(length, time): bar for time, bar in longer.items()}
        bars = longer
    return found


def _runs(ticks: Iterable[Tick]) -> Iterator[list[Tick]]:
    """Yield the ticks in runs, each of one second and in the order of their times."""
    run: list[Tick] = []
    last, until = _EVER, _EVER
    for tick in ticks:
        if not last <= tick.time < until:
            if run:
                yield run
            run, until = [], end_of(tick.time)
        last = tick.time
        run.append(tick)
    if run:
        yield run


def end_of(at: datetime) -> datetime:
    """Return the end of the second of a time."""
    begin = at.replace(microsecond=0)
    return begin + _SECOND if begin < _LAST else _EVER


def parts_of(newest: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield which bars a builder is restored from, when ``newest`` is its shortest one's time.

    Each is the length of the bar to make, the length of the closed bars that it is made from, and
    the span [from, to) of their times.
    """
    yield SECOND, SECOND, newest, newest + SECOND
    for shorter, length in pairwise(LENGTHS):
        yield length, shorter, newest - newest % length, newest - newest % shorter


def microseconds(time: datetime) -> int:
    """Return the whole microseconds since 1970."""
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def moment(at: int) -> datetime:
    """Return the time that is so many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=at)


def plain(tick: Tick) -> tuple[int, Decimal, Decimal]:
    """Return a tick as a builder takes it: its time, price and volume."""
    since = tick.time - _EPOCH
    at = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return at, tick.price, tick.volume
