"""Many sources -> one numbered stream. Each is read by a task of its own and disturbs no other."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final

import structlog

from exchange.source import Source
from market.clock import Clock
from market.errors import InvalidValueError, StreamError
from market.events import Fact, Gap, Shutdown, SourceState, State, Tick
from market.feed import Feed, FeedEnded, FeedGarbled, FeedLost, FeedOpened
from market.hub import Hub
from market.values import Instrument, Symbol

log = structlog.get_logger("exchange.merging")

RETRY_REFUSED_S: Final = 5.0
MOST_SEQ: Final = 2**63


class Merging:
    """The sources of the exchange, merged into the order in which their ticks arrive.

    Args:
        instruments: what is streamed; a tick of anything else, or off the grid, is a fault.
        hub: where ticks and the states of sources are published.
        clock: the time of a change of state.
        stale_after_s: how long a connected source may be silent.
        on_tick: told of each merged tick, after it was published.
        now: seconds on a clock that never goes back; the event loop's, unless another is given.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        *,
        hub: Hub,
        clock: Clock,
        stale_after_s: float,
        on_tick: Callable[[Tick], None] = lambda _: None,
        now: Callable[[], float] = lambda: asyncio.get_running_loop().time(),
    ) -> None:
        self.sources = {of.symbol: Source(of) for of in instruments}
        self._hub, self._clock, self._on_tick = hub, clock, on_tick
        self._stale_after, self._now = stale_after_s, now

    @property
    def states(self) -> dict[Symbol, State]:
        """How each source is."""
        return {symbol: source.state for symbol, source in self.sources.items()}

    @property
    def ticks(self) -> list[Tick]:
        """The last tick of each symbol that has had one."""
        return [source.tick for source in self.sources.values() if source.tick is not None]

    @property
    def read_to(self) -> dict[Symbol, str]:
        """The id that each source's stream was read to."""
        return {symbol: source.last_id for symbol, source in self.sources.items()}

    def silent(self, now: float) -> set[Symbol]:
        """Return the symbols whose source has not been heard for longer than it may be."""
        sources = self.sources.items()
        return {symbol for symbol, of in sources if now - of.heard > self._stale_after}

    def restore(self, facts: Iterable[Fact], read_to: Mapping[str, str]) -> None:
        """Take up where an earlier process left off: its stream's facts, and how far it read."""
        for fact in facts:
            if isinstance(fact, Tick) and fact.symbol in self.sources:
                self.sources[fact.symbol].tick = fact
            elif isinstance(fact, SourceState) and fact.symbol in self.sources:
                self.sources[fact.symbol].told = fact.state
        for symbol, source in self.sources.items():
            source.last_id = read_to.get(symbol, "")

    def begin(self) -> None:
        """Tell of each source that was up when an earlier process ended that it is down for now."""
        for source in self.sources.values():
            if source.told not in (None, State.DOWN):
                self._publish(source, State.DOWN)

    async def read(self, symbol: Symbol, open_feed: Callable[[str], Feed]) -> None:
        """Read one source for ever; ``open_feed`` opens its feed after a given last id."""
        source = self.sources[symbol]
        while True:
            feed = open_feed(source.last_id)
            try:
                async with aclosing(feed.batches()) as batches:
                    await self._follow(source, feed, batches)
            except StreamError as error:
                self._fault(source, "source_refused", problem=str(error))
            except Exception:  # whatever it is, the other sources shall not notice
                source.faults += 1
                log.exception("source_not_read", symbol=symbol)
            source.connected_at = None
            self._change(source, State.DOWN)
            await asyncio.sleep(RETRY_REFUSED_S)

    async def _follow(
        self, source: Source, feed: Feed, batches: AsyncGenerator[list[Fact], None]
    ) -> None:
        async for facts in batches:
            for fact in facts:
                self.take(source.instrument.symbol, fact)
            source.last_id = feed.last_id

    def watch(self, now: float) -> None:
        """Mark as stale what is connected and has been silent for too long; call it regularly."""
        for source in self.sources.values():
            if source.connected_at is None:
                continue
            if now - max(source.heard, source.connected_at) > self._stale_after:
                self._change(source, State.STALE)

    def take(self, symbol: Symbol, fact: Fact) -> None:
        """Take the next fact of a source's stream, or of the line that it comes over."""
        source = self.sources[symbol]
        if isinstance(fact, Tick):
            self._merge(source, fact)
        else:
            self._note(source, fact)

    def _note(self, source: Source, fact: Fact) -> None:
        """Take note of what happened to a source beside its ticks."""
        match fact:
            case FeedLost(reason=reason):
                source.connected_at = None
                self._change(source, State.DOWN, reason=reason)
            case FeedEnded():
                log.info("source_ended", symbol=source.instrument.symbol)
            case FeedGarbled(problem=problem):
                self._fault(source, "source_garbled", problem=problem)
            case Gap():
                self._fault(source, "source_gap", missed=fact.missed, reason=fact.reason)
                source.source_seq = 0
            case Shutdown(reason=reason):
                log.info("source_leaving", symbol=source.instrument.symbol, reason=reason)
            case FeedOpened():
                source.connected_at = self._now()

    def _merge(self, source: Source, tick: Tick) -> None:
        """Publish a source's tick under the exchange's own number, when it is one."""
        of = source.instrument
        if tick.symbol != of.symbol or not 0 < tick.seq < MOST_SEQ:
            problem = f"tick {tick.seq % MOST_SEQ} of {tick.symbol[:20]!r}"
            self._fault(source, "source_lies", problem=problem)
            return
        if tick.seq != source.source_seq + 1:
            self._count(source, tick.seq)
        source.source_seq = tick.seq
        try:
            price, volume = source.prices.written(tick.price), source.volumes.written(tick.volume)
            time = tick.time if tick.time.tzinfo is UTC else _in_utc(tick.time)
        except InvalidValueError as error:
            self._fault(source, "source_lies", problem=str(error))
            return
        source.heard = self._now()
        if source.state is not State.UP:
            self._change(source, State.UP)
        seq = source.tick.seq + 1 if source.tick is not None else 1
        merged = Tick(symbol=of.symbol, price=price, volume=volume, time=time, seq=seq)
        source.tick = merged
        source.ticks += 1
        self._hub.publish(merged)
        self._on_tick(merged)

    def _count(self, source: Source, seq: int) -> None:
        """Notice ticks that the source numbered and that never came."""
        missing = seq - source.source_seq - 1
        if source.source_seq and missing > 0:
            source.lost_ticks += missing
            self._fault(source, "ticks_lost", missing=missing, before=seq)

    def _change(self, source: Source, state: State, **why: object) -> None:
        if source.state is state:
            return
        source.state = state
        symbol = source.instrument.symbol
        speak = log.info if state is State.UP else log.warning
        speak("source_" + state.value, symbol=symbol, **why)
        self._publish(source, state)

    def _publish(self, source: Source, state: State) -> None:
        symbol = source.instrument.symbol
        self._hub.publish(SourceState(symbol=symbol, state=state, since=self._clock.now()))

    def _fault(self, source: Source, event: str, **what: object) -> None:
        """Log a source's fault; a source that never stops is quoted less and less often."""
        source.faults += 1
        if source.faults < 10 or source.faults & (source.faults - 1) == 0:
            log.warning(event, symbol=source.instrument.symbol, faults=source.faults, **what)


def _in_utc(time: datetime) -> datetime:
    """Return the time in UTC; raise InvalidValueError when it does not say which time it is."""
    if time.tzinfo is None:
        raise InvalidValueError("a time without its zone")
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise InvalidValueError("a time out of all reason") from error
