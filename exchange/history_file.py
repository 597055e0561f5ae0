"""The history on disk: ticks, trades and candles in SQLite, and how far they have come.

A batch is one transaction with the number of the last event in it, so that each event is in here
once, whatever happens in between. Numbers are text, exact as they were written; times are whole
microseconds since 1970. Candles are merged: a part of one is read, added to, and written back.
"""

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple, Self

import structlog

from exchange.candles import LENGTHS, Bar, bars_of, microseconds
from market.errors import MarketError
from market.events import Candle, Tick, Trade
from market.values import Symbol
from market.wire import EventId

log = structlog.get_logger("exchange.history")

HISTORY: Final = "history.sqlite"
CHUNK_ROWS: Final = 2000
STATEMENT_ROWS: Final = 100
HOUR: Final = 3_600_000_000

CandleKey = tuple[Symbol, int, int]
"""The symbol, the length and the time of a candle."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS ticks
  (symbol TEXT, time INTEGER, seq INTEGER, life INTEGER, price TEXT NOT NULL, volume TEXT NOT NULL,
   PRIMARY KEY (symbol, time, seq, life)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trades
  (symbol TEXT, time INTEGER, trade_id INTEGER, life INTEGER, price TEXT NOT NULL,
   quantity TEXT NOT NULL, side TEXT NOT NULL,
   PRIMARY KEY (symbol, time, trade_id, life)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS candles
  (symbol TEXT, length INTEGER, time INTEGER, open TEXT NOT NULL, high TEXT NOT NULL,
   low TEXT NOT NULL, close TEXT NOT NULL, volume TEXT NOT NULL, trades INTEGER NOT NULL,
   open_at INTEGER NOT NULL, close_at INTEGER NOT NULL,
   PRIMARY KEY (symbol, length, time)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS progress
  (id INTEGER PRIMARY KEY CHECK (id = 1), epoch TEXT NOT NULL, n INTEGER NOT NULL,
   life INTEGER NOT NULL);
"""
BAR: Final = "time, open, high, low, close, volume, trades, open_at, close_at"
_KEYS: Final = {
    "ticks": "symbol, time, seq, life",
    "trades": "symbol, time, trade_id, life",
    "candles": "symbol, length, time",
}


class HistoryError(MarketError):
    """The history cannot be read or written; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What is kept of each table, a symbol (of candles: a symbol and interval); 0 is all of it.

    ``hours`` count back from the newest tick of the symbol. Both are exceeded by 1 % at most, and
    by 100 rows, before what is too much goes.
    """

    ticks: int = 0
    ticks_hours: int = 0
    trades: int = 0
    trades_hours: int = 0
    candles: int = 0
    candles_hours: int = 0

    def of(self, table: str) -> tuple[int, int]:
        """Return the rows and the hours that are kept of a table."""
        return getattr(self, table), getattr(self, f"{table}_hours")


class Batch(NamedTuple):
    """What happened up to an event, and which candles that had closed it has changed."""

    facts: Collection[Tick | Trade]
    upto: EventId
    late: Collection[CandleKey] = ()


class Series(NamedTuple):
    """The rows that are kept or go together; ``length`` is 0 where there are no candles."""

    table: str
    symbol: str
    length: int = 0

    @property
    def where(self) -> tuple[str, list[object]]:
        """Return the condition that its rows meet, and what belongs into that."""
        if self.length:
            return "symbol = ? AND length = ?", [self.symbol, self.length]
        return "symbol = ?", [self.symbol]


class HistoryFile:
    """The writer's side of the history; one thread at a time.

    Raises:
        HistoryError: the file cannot be opened; one that is damaged is put aside, and said so.
    """

    def __init__(self, path: Path, keeping: Keeping) -> None:
        self.path, self._keeping = path, keeping
        self._rows: Counter[Series] = Counter()
        self._oldest: dict[Series, int] = {}
        self._newest: dict[str, int] = {}
        try:
            self._connection = _opened(path)
        except sqlite3.OperationalError as error:
            raise HistoryError(f"{path}: {error}") from error
        except sqlite3.DatabaseError as error:
            aside = path.with_suffix(".damaged")
            log.error("history_damaged", problem=str(error), kept_as=str(aside))
            _put_aside(path, aside)
            self._connection = _opened(path)
        self._count()

    @property
    def progress(self) -> EventId | None:
        """The last event that is in here, None when there is none."""
        found = self._connection.execute("SELECT epoch, n FROM progress").fetchone()
        return EventId(*found) if found is not None else None

    def store(self, batch: Batch) -> list[Candle]:
        """Keep a batch; return the candles of its ``late`` as they are with it.

        Raises:
            sqlite3.Error: nothing of it was kept.
        """
        ticks = [fact for fact in batch.facts if isinstance(fact, Tick)]
        trades = [fact for fact in batch.facts if isinstance(fact, Trade)]
        with self._transaction():
            life = self._advance(batch.upto)
            new = self._insert_ticks(ticks, life)
            new += self._insert_trades(trades, life)
            amended = list(self.amended(batch.late))
        self._rows += new
        return amended

    def bars(self, symbol: Symbol, length: int, begin: int, end: int) -> Iterator[Bar]:
        """Yield the kept bars of a symbol whose time is in [begin, end), the oldest first."""
        found = self._connection.execute(
            f"SELECT {BAR} FROM candles WHERE symbol = ? AND length = ?"  # noqa: S608  our own words
            " AND time >= ? AND time < ? ORDER BY time",
            (symbol, length, begin, end),
        )
        return map(bar_of, found)

    def amended(self, late: Iterable[CandleKey]) -> Iterator[Candle]:
        """Yield candles that closed before, as they are now."""
        for symbol, length, time in sorted(late):
            for bar in self.bars(symbol, length, time, time + 1):
                yield bar.candle(symbol, length, closed=True, amended=True)

    def newest(self, symbol: Symbol, before: int = 2**62) -> Bar | None:
        """Return the newest of the shortest bars of a symbol that begins ``before`` then."""
        found = self._connection.execute(
            f"SELECT {BAR} FROM candles WHERE symbol = ? AND length = ? AND time < ?"  # noqa: S608
            " ORDER BY time DESC LIMIT 1",
            (symbol, LENGTHS[0], before),
        ).fetchone()
        return bar_of(found) if found is not None else None

    def trim(self, budget_s: float) -> int:
        """Remove what is more than is kept, for about so long; return how many rows went.

        It goes in chunks, each a transaction of its own.
        """
        until, gone = monotonic() + budget_s, 0
        for series in tuple(self._rows):
            while chunk := self._trim(series):
                gone += chunk
                if monotonic() >= until:
                    return gone
        return gone

    def remove_trades(self, after: int) -> int:
        """Remove the trades with numbers ``after`` that one; return the last number there was."""
        with self._transaction():
            gone = self._connection.execute(
                "DELETE FROM trades WHERE trade_id > ? RETURNING symbol, trade_id", (after,)
            ).fetchall()
        for symbol, count in Counter(symbol for symbol, _ in gone).items():
            series = Series("trades", symbol)
            self._rows[series] -= count
            self._oldest.pop(series, None)
        return max((trade_id for _, trade_id in gone), default=after)

    def rows(self, table: str) -> int:
        """Return how many rows a table has."""
        return sum(count for series, count in self._rows.items() if series.table == table)

    def close(self) -> None:
        """Put everything where it belongs and let the file go."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- in ------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _advance(self, upto: EventId) -> int:
        """Note how far the history has come; return the number of the epoch among all of them."""
        found = self._connection.execute("SELECT epoch, life FROM progress").fetchone()
        epoch, life = found or ("", 0)
        life += epoch != upto.epoch
        self._connection.execute(
            "INSERT OR REPLACE INTO progress VALUES (1, ?, ?, ?)", (upto.epoch, upto.n, life)
        )
        return int(life)

    def _insert_ticks(self, ticks: Sequence[Tick], life: int) -> Counter[Series]:
        """Keep ticks and merge them into the candles; return the new rows of each series."""
        by_symbol: dict[Symbol, list[Tick]] = {}
        for tick in ticks:
            by_symbol.setdefault(tick.symbol, []).append(tick)
        rows = [
            (symbol, microseconds(t.time), t.seq, life, str(t.price), str(t.volume))
            for symbol, found in by_symbol.items()
            for t in found
        ]
        self._insert("ticks", rows)
        new: Counter[Series] = Counter()
        for symbol, found in by_symbol.items():
            new[Series("ticks", symbol)] = len(found)
            bars = bars_of(found)
            new.update(self._merge_candles(symbol, bars))
            newest = max(bar.close_at for bar in bars.values())
            self._newest[symbol] = max(newest, self._newest.get(symbol, newest))
        return new

    def _insert_trades(self, trades: Iterable[Trade], life: int) -> Counter[Series]:
        rows = [
            (
                t.symbol,
                microseconds(t.time),
                t.trade_id,
                life,
                str(t.price),
                str(t.quantity),
                t.side,
            )
            for t in trades
        ]
        self._insert("trades", rows)
        return Counter(Series("trades", symbol) for symbol, *_ in rows)

    def _merge_candles(self, symbol: Symbol, parts: dict[tuple[int, int], Bar]) -> Iterator[Series]:
        """Merge parts into the candles; yield the series of each candle that is new."""
        rows: list[tuple[str | int, ...]] = []
        for (length, time), part in parts.items():
            bar = next(self.bars(symbol, length, time, time + 1), None)
            if bar is None:
                bar = part
                yield Series("candles", symbol, length)
            else:
                bar.merge(part)
            rows.append((symbol, length, *_row(bar)))
        self._insert("candles", rows)

    def _insert(self, table: str, rows: Sequence[tuple[str | int, ...]]) -> None:
        """Insert rows by the hundred: each statement lets go of the interpreter's lock once."""
        for begin in range(0, len(rows), STATEMENT_ROWS):
            some = rows[begin : begin + STATEMENT_ROWS]
            marks = ", ".join([f"({', '.join('?' * len(some[0]))})"] * len(some))
            self._connection.execute(
                f"INSERT OR REPLACE INTO {table} VALUES {marks}",  # noqa: S608  our own words
                tuple(chain.from_iterable(some)),
            )

    # -- out -----------------------------------------------------------------------------------

    def _count(self) -> None:
        execute = self._connection.execute
        for table in ("ticks", "trades"):
            for symbol, count in execute(f"SELECT symbol, count(*) FROM {table} GROUP BY symbol"):  # noqa: S608
                self._rows[Series(table, symbol)] = count
        for symbol, length, count in execute(
            "SELECT symbol, length, count(*) FROM candles GROUP BY symbol, length"
        ):
            self._rows[Series("candles", symbol, length)] = count
        for symbol, newest in execute("SELECT symbol, max(time) FROM ticks GROUP BY symbol"):
            self._newest[symbol] = newest

    def _trim(self, series: Series) -> int:
        """Remove a chunk of what is too much of a series; return how many rows that were."""
        most, hours = self._keeping.of(series.table)
        surplus = self._rows[series] - most if most else 0
        if surplus > max(100, most // 100):
            return self._remove(series, min(surplus, CHUNK_ROWS), 2**62)
        if hours and series.symbol in self._newest:
            cutoff = self._newest[series.symbol] - hours * HOUR - series.length
            if self._first(series) < cutoff - hours * HOUR // 100:
                return self._remove(series, CHUNK_ROWS, cutoff)
        return 0

    def _first(self, series: Series) -> int:
        """Return the time of the oldest row of a series; of one that is empty, a late one."""
        if series not in self._oldest:
            where, given = series.where
            query = f"SELECT min(time) FROM {series.table} WHERE {where}"  # noqa: S608
            found = self._connection.execute(query, given).fetchone()[0]
            if found is None:
                return 2**62
            self._oldest[series] = found
        return self._oldest[series]

    def _remove(self, series: Series, most: int, before: int) -> int:
        where, given = series.where
        keys = _KEYS[series.table]
        with self._transaction():
            gone = self._connection.execute(
                f"DELETE FROM {series.table} WHERE ({keys}) IN (SELECT {keys} FROM {series.table}"  # noqa: S608
                f" WHERE {where} AND time < ? ORDER BY {keys} LIMIT ?)",
                (*given, before, most),
            ).rowcount
        self._rows[series] -= gone
        self._oldest.pop(series, None)
        return gone


def bar_of(row: tuple[int, str, str, str, str, str, int, int, int]) -> Bar:
    """Return the bar in a row of ``BAR``."""
    time, *prices, volume, trades, open_at, close_at = row
    opened, high, low, closed = map(Decimal, prices)
    return Bar(time, opened, high, low, closed, Decimal(volume), trades, open_at, close_at)


def _row(bar: Bar) -> tuple[str | int, ...]:
    """Return the row of ``BAR`` that a bar is."""
    time, *numbers, trades, open_at, close_at = bar.values()
    return time, *map(str, numbers), trades, open_at, close_at


def _opened(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000;"
            + SCHEMA
        )
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _put_aside(path: Path, aside: Path) -> None:
    path.replace(aside)
    for tail in ("-wal", "-shm"):
        path.with_name(path.name + tail).unlink(missing_ok=True)
