"""The history: every tick and trade, and their candles, for those who ask later.

What is published is handed over in memory and written by a thread of its own, a batch at a time.
Should that fall behind or fail, the history leaves out no event: the stream's tape on disk has them
all, and is read from where the history stopped. So it is after a crash, too.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

import structlog

from exchange.archive import Archive, Span
from exchange.candle_stream import CandleStream
from exchange.candles import LENGTHS, Bar, closed_around, microseconds, parts_of
from exchange.history_file import Batch, CandleKey, HistoryFile, Keeping
from exchange.streams import Taped
from market.errors import GarbledEventError
from market.events import Candle, Tick, Trade
from market.segment import Kept
from market.values import Symbol
from market.wire import EventId

log = structlog.get_logger("exchange.history")

FLUSH_S: Final = 0.5  # whoever asks does not wait for it
RETRY_S: Final = 1.0
TRIM_S: Final = 0.02
WAIT_S: Final = 1.0
MOST_PENDING: Final = 100_000
CHUNK: Final = 5_000

Answer = TypeVar("Answer")


class History:
    """Keeps what the exchange's stream tells.

    Args:
        path: of the database.
        market: the stream, whose tape fills up what was missed.
        most_pending: how many events may wait in memory to be written.

    Attributes:
        overflows: how often more than that waited, or writing failed.
        reread: events that were taken from the tape.
        lost: events that were not on the tape any more, either.
        was_ahead: whether it held events of the tape's epoch that were not on the tape at the
            start: the tape is an older copy, for it is written first.

    Raises:
        HistoryError: the database cannot be opened.
    """

    def __init__(
        self, path: Path, keeping: Keeping, market: Taped, most_pending: int = MOST_PENDING
    ) -> None:
        self._file, self._market, self._most = HistoryFile(path, keeping), market, most_pending
        self._pending: list[Tick | Trade] = []
        self._late: set[CandleKey] = set()
        self._late_missed: set[CandleKey] = set()
        self._amended: list[Candle] = []
        self._is_behind, self._taken_to = False, 0
        self._turn = asyncio.Lock()
        self._writer = ThreadPoolExecutor(1, "history-writer")
        self._reader = ThreadPoolExecutor(1, "history-reader")
        self._archive: Archive | None = None
        self.overflows, self.reread, self.lost = 0, 0, 0
        self.was_ahead = False
        self._fill_up()

    @property
    def backlog(self) -> int:
        """How many events wait to be written."""
        return len(self._pending)

    def take(self, fact: Tick | Trade, late: Iterable[CandleKey] = ()) -> None:
        """Keep what was just published, and know which closed candles it has changed."""
        if len(self._pending) >= self._most and not self._is_behind:
            self._fall_behind("more events wait than there is room for")
        if self._is_behind:
            self._late_missed.update(late)
            return
        self._pending.append(fact)
        self._taken_to = self._market.hub.head
        if late:
            self._late.update(late)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write for the length of the block, and all that is left at its end."""
        writing = asyncio.create_task(self._write())
        try:
            yield
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            await self.flush()
            self.close()

    async def flush(self) -> None:
        """Write what was published so far, and tell of the closed candles that it changed."""
        async with self._turn:
            loop = asyncio.get_running_loop()
            hub = self._market.hub
            self._market.commit()
            facts, self._pending = self._pending, []
            late, self._late = self._late, set()
            try:
                if facts:
                    batch = Batch(facts, EventId(hub.epoch, self._taken_to), late)
                    amended = await loop.run_in_executor(self._writer, self._store, batch)
                    self._market.publish(*amended)
                elif self._is_behind:
                    late, self._late_missed = self._late_missed, set()
                    self._is_behind, upto = False, hub.head
                    amended = await loop.run_in_executor(self._writer, self._read_again, upto, late)
                    self._market.publish(*amended)
            except (sqlite3.Error, GarbledEventError, OSError) as error:
                self._pending = []  # what follows a hole waits until that is filled from the tape
                self._late_missed |= late | self._late
                self._late = set()
                self._fall_behind(str(error))
                await asyncio.sleep(RETRY_S)

    async def read(self, query: Callable[[Archive], Answer]) -> Answer:
        """Return what ``query`` finds, with all that was published before; it runs in a thread.

        Raises:
            sqlite3.Error: the history cannot be read.
            SlowQueryError: it takes too long.
        """
        if self._pending or self._turn.locked():  # a flush on its way holds what is not pending
            await asyncio.wait({asyncio.ensure_future(self.flush())}, timeout=WAIT_S)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reader, lambda: query(self._opened()))

    def restore(self, stream: CandleStream, symbols: Iterable[Symbol]) -> list[Candle]:
        """Let the stream's candles go on from what is kept; return what was never told of them."""
        for symbol in symbols:
            newest = self._file.newest(symbol)
            if newest is not None:
                stream.restore(symbol, self._parts(symbol, newest))
        return [*self._untold(), *self._amended]

    def forget_trades(self, after: int) -> int:
        """Remove the trades with numbers ``after`` that one; return the last number there was.

        It is for before anything runs: they did not happen.
        """
        return self._file.remove_trades(after)

    def newest(self, limit: int) -> Iterator[Tick | Trade]:
        """Yield the newest ticks and trades of each symbol, the oldest first."""
        archive, span = self._opened(), Span(forward=False)
        for symbol in archive.symbols():
            yield from archive.ticks(symbol, span, limit).items[::-1]
            yield from archive.trades(symbol, span, limit).items[::-1]

    def close(self) -> None:
        """Let the database go."""
        self._writer.shutdown()
        self._reader.shutdown()
        if self._archive is not None:
            self._archive.close()
        self._file.close()

    # -- written -------------------------------------------------------------------------------

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.flush()

    def _store(self, batch: Batch) -> list[Candle]:
        amended = self._file.store(batch)
        self._file.trim(TRIM_S)
        return amended

    def _opened(self) -> Archive:
        if self._archive is None:
            self._archive = Archive(self._file.path)
        return self._archive

    # -- caught up -----------------------------------------------------------------------------

    def _fall_behind(self, problem: str) -> None:
        """Leave it to the tape to remember, until there is room again."""
        self._is_behind = True
        self.overflows += 1
        if self.overflows & (self.overflows - 1) == 0:  # one that goes on is not worth a line each
            log.warning("history_behind", problem=problem, times=self.overflows)

    def _fill_up(self) -> None:
        """Store what an earlier process published and did not store."""
        found = self._market.recovered
        if found is None:
            return
        known = self._file.progress
        after = known.n if known is not None and known.epoch == found.start.epoch else 0
        self.was_ahead = after > found.head.n
        events = [kept for kept in found.events if kept.id.n > after]
        late = self._late_among(events)
        self._store_kept(events, found.head)
        self._amended = list(self._file.amended(late))
        log.info("history_filled_up", events=self.reread, after=after, upto=found.head.n)

    def _late_among(self, events: Iterable[Kept]) -> set[CandleKey]:
        """Return the candles that had closed before ticks that are in them, too."""
        newest, late = dict[Symbol, int](), set[CandleKey]()
        for tick in (kept.fact for kept in events if isinstance(kept.fact, Tick)):
            at, symbol = microseconds(tick.time), tick.symbol
            if symbol not in newest:
                bar = self._file.newest(symbol)
                newest[symbol] = at if bar is None else bar.time
            late.update(
                (symbol, length, time) for length, time in closed_around(at, newest[symbol])
            )
            newest[symbol] = max(newest[symbol], at)
        return late

    def _read_again(self, upto: int, late: Iterable[CandleKey]) -> list[Candle]:
        """Store what was published up to then and is on the tape; return ``late`` with it."""
        known, epoch = self._file.progress, self._market.hub.epoch
        after = known.n if known is not None and known.epoch == epoch else 0
        events = self._market.following(after)
        within = (kept for kept in events if kept.id.n <= upto)
        first = next(within, None)
        missing = (first.id.n if first is not None else upto + 1) - after - 1
        if missing:
            self.lost += missing
            log.error("history_lost", events=missing, after=after)
        if first is not None:
            self._store_kept([first], first.id)
        self._store_kept(within, EventId(epoch, upto))
        return list(self._file.amended(late))

    def _store_kept(self, events: Iterable[Kept], upto: EventId) -> None:
        for chunk in _chunks(iter(events)):
            facts = [kept.fact for kept in chunk if isinstance(kept.fact, Tick | Trade)]
            self._file.store(Batch(facts, chunk[-1].id))
            self.reread += len(chunk)
        self._file.store(Batch([], upto))
        self._file.trim(TRIM_S)

    def _parts(self, symbol: Symbol, newest: Bar) -> Iterator[tuple[int, Bar]]:
        for length, of, begin, end in parts_of(newest.time):
            for bar in self._file.bars(symbol, of, begin, end):
                yield length, bar

    def _untold(self) -> list[Candle]:
        """Return what the last tick on the tape closed, where the tape does not go on to say so."""
        events = self._market.recovered.events if self._market.recovered is not None else []
        told = set[tuple[Symbol, str]]()
        for kept in reversed(events):
            if isinstance(kept.fact, Candle) and kept.fact.closed:
                told.add((kept.fact.symbol, kept.fact.interval))
            elif isinstance(kept.fact, Tick):
                closed = self._closed_by(kept.fact)
                return [of for of in closed if (of.symbol, of.interval) not in told]
        return []

    def _closed_by(self, tick: Tick) -> Iterator[Candle]:
        symbol, at = tick.symbol, microseconds(tick.time)
        newest = self._file.newest(symbol)
        if newest is None or newest.trades > 1 or newest.open_at != at:
            return  # it was not the first of its second: whatever closed did so before
        before = self._file.newest(symbol, newest.time)
        for length in LENGTHS if before is not None else ():
            assert before is not None
            if before.time // length < newest.time // length:
                begin = before.time - before.time % length
                for bar in self._file.bars(symbol, length, begin, begin + 1):
                    yield bar.candle(symbol, length, closed=True)


def _chunks(events: Iterator[Kept]) -> Iterator[list[Kept]]:
    while chunk := list(islice(events, CHUNK)):
        yield chunk
