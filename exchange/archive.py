"""The history as it is read: pages of ticks, trades and candles, each bounded in rows and time."""

import sqlite3
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any, Final, Generic, NamedTuple, TypeVar

from exchange.candles import moment
from exchange.history_file import BAR, bar_of
from market.errors import MarketError
from market.events import Candle, Tick, Trade
from market.values import Side, Symbol

QUERY_S: Final = 2.0
STEPS: Final = 10_000  # of SQLite's machine, between two looks at the time
EVER: Final = 2**62

Item = TypeVar("Item")


class SlowQueryError(MarketError):
    """A query was given up because it took too long."""


class Place(NamedTuple):
    """Where a page ends: the time of its last row, and the number that tells rows apart there."""

    time: int
    n: int = 0


class Span(NamedTuple):
    """Which rows are asked for, and in which direction they are paged through.

    Args:
        begin: the first time, included, in microseconds since 1970.
        end: the last time, excluded.
        forward: from ``begin`` on; else from ``end`` back.
        after: read on from there, in the direction.
    """

    begin: int = -EVER
    end: int = EVER
    forward: bool = True
    after: Place | None = None


class Page(NamedTuple, Generic[Item]):
    """Rows in the order in which they are paged through, and where the next page begins after."""

    items: list[Item]
    last: Place | None


class Archive:
    """Reads a history, which another thread or process may be writing.

    Raises:
        sqlite3.Error: there is none, or it is no history.
    """

    def __init__(self, path: Path, query_s: float = QUERY_S) -> None:
        self._query_s, self._until = query_s, 0.0
        self._connection = sqlite3.connect(
            f"file:{path}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("PRAGMA query_only = ON")
        self._connection.execute("PRAGMA busy_timeout = 1000")
        self._connection.set_progress_handler(lambda: monotonic() > self._until, STEPS)

    def ticks(self, symbol: Symbol, span: Span, limit: int) -> Page[Tick]:
        """Return ticks; raise SlowQueryError when that takes too long."""

        def made(row: tuple[int, int, str, str]) -> Tick:
            time, seq, price, volume = row
            return Tick(
                symbol=symbol,
                price=Decimal(price),
                volume=Decimal(volume),
                time=moment(time),
                seq=seq,
            )

        return self._paged("ticks", "seq", "price, volume", symbol, span, limit, made)

    def trades(self, symbol: Symbol, span: Span, limit: int) -> Page[Trade]:
        """Return trades; raise SlowQueryError when that takes too long."""

        def made(row: tuple[int, int, str, str, str]) -> Trade:
            time, trade_id, price, quantity, side = row
            return Trade(
                symbol=symbol,
                price=Decimal(price),
                quantity=Decimal(quantity),
                side=Side(side),
                trade_id=trade_id,
                time=moment(time),
            )

        columns = "price, quantity, side"
        return self._paged("trades", "trade_id", columns, symbol, span, limit, made)

    def candles(self, symbol: Symbol, length: int, span: Span, limit: int) -> Page[Candle]:
        """Return candles; all but the newest have closed. SlowQueryError: it takes too long."""
        begin, end, forward, after = span
        if after is not None:
            begin, end = (after.time + 1, end) if forward else (begin, after.time)
        found = self._run(
            f"SELECT {BAR} FROM candles WHERE symbol = ? AND length = ? AND time >= ? AND time < ?"  # noqa: S608
            f" ORDER BY time {_order(forward=forward)} LIMIT ?",
            (symbol, length, begin, end, limit + 1),
        )
        newest = self._run(
            "SELECT max(time) FROM candles WHERE symbol = ? AND length = ?", (symbol, length)
        )[0][0]
        bars = [bar_of(row) for row in found]
        items = [bar.candle(symbol, length, closed=bar.time < newest) for bar in bars[:limit]]
        return Page(items, Place(bars[limit - 1].time) if len(bars) > limit else None)

    def symbols(self) -> list[Symbol]:
        """Return the symbols that have had a tick."""
        return [symbol for (symbol,) in self._run("SELECT DISTINCT symbol FROM candles", ())]

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    def _paged(
        self,
        table: str,
        number: str,
        columns: str,
        symbol: Symbol,
        span: Span,
        limit: int,
        made: Callable[..., Item],
    ) -> Page[Item]:
        compare = ">" if span.forward else "<"
        after = span.after or (Place(-EVER) if span.forward else Place(EVER))
        order = _order(forward=span.forward)
        found = self._run(
            f"SELECT time, {number}, {columns} FROM {table} WHERE symbol = ? AND time >= ?"  # noqa: S608
            f" AND time < ? AND (time, {number}) {compare} (?, ?)"
            f" ORDER BY time {order}, {number} {order} LIMIT ?",
            (symbol, span.begin, span.end, *after, limit + 1),
        )
        last = Place(*found[limit - 1][:2]) if len(found) > limit else None
        return Page([made(row) for row in found[:limit]], last)

    def _run(self, query: str, given: tuple[object, ...]) -> list[Any]:
        self._until = monotonic() + self._query_s
        try:
            return self._connection.execute(query, given).fetchall()
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                raise SlowQueryError(f"given up after {self._query_s:g} s") from error
            raise


def _order(*, forward: bool) -> str:
    return "ASC" if forward else "DESC"
