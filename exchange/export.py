"""``python -m exchange export``: the history as a CSV or Parquet file."""

import csv
import sqlite3
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, TypeVar

from exchange.archive import EVER, Archive, Page, Span
from exchange.candles import INTERVALS
from exchange.times import parsed_time
from market.errors import InvalidValueError, MarketError
from market.events import Candle, Tick, Trade
from market.values import Symbol

TABLES: Final = ("ticks", "trades", "candles")
PAGE_ROWS: Final = 5000
QUERY_S: Final = 600.0

COLUMNS: Final = {
    "ticks": ("symbol", "time", "seq", "price", "volume"),
    "trades": ("symbol", "time", "trade_id", "price", "quantity", "side"),
    "candles": (
        "symbol",
        "interval",
        "time",
        "open",
        "high",
        "low",
        "close",
        "volume",
        "trades",
        "closed",
    ),
}

Row = Tick | Trade | Candle
Kept = TypeVar("Kept", Tick, Trade, Candle)
Read = Callable[[Span], Page[Kept]]


class ExportError(MarketError):
    """What was asked for cannot be exported; the message says why."""


def main(arguments: Sequence[str], history: Path) -> int:
    """Write what ``arguments`` ask for; raise ExportError when that cannot be."""
    asked = parser().parse_args(arguments)
    try:
        span = _span(asked)
        write = _writer(asked)
        if not history.exists():
            raise ExportError(f"there is no history in {history} yet")
        archive = Archive(history, QUERY_S)
        try:
            count = write(_rows(archive, asked, span))
        finally:
            archive.close()
    except (sqlite3.Error, OSError, InvalidValueError) as error:
        raise ExportError(str(error)) from error
    sys.stdout.write(f"{count} {asked.table} in {asked.to_file}\n")
    return 0


def parser() -> ArgumentParser:
    """Return the parser of ``python -m exchange export``."""
    made = ArgumentParser(
        "python -m exchange export",
        description="Write ticks, trades or candles of the history to a file, the oldest first.",
    )
    add = made.add_argument
    add("--table", choices=TABLES, required=True)
    add("--symbol", type=str.upper, help="only this one; all of them without it")
    add(
        "--interval",
        choices=tuple(INTERVALS),
        default="1m",
        help="of the candles (%(default)s)",
    )
    add("--from", dest="since", metavar="TIME", help="the first time, such as 2026-11-20T05:00:00Z")
    add("--to", dest="until", metavar="TIME", help="the time before which the last one is")
    add(
        "--to-file",
        type=Path,
        required=True,
        metavar="FILE",
        help="its ending says what it is: .csv or .parquet",
    )
    return made


def _span(asked: Namespace) -> Span:
    since = -EVER if asked.since is None else parsed_time(asked.since)
    return Span(since, EVER if asked.until is None else parsed_time(asked.until))


def _rows(archive: Archive, asked: Namespace, span: Span) -> Iterator[Row]:
    """Yield the rows asked for, symbol by symbol."""
    known = archive.symbols()
    symbols = known if asked.symbol is None else [Symbol(asked.symbol)]
    if asked.symbol is not None and asked.symbol not in known:
        raise ExportError(
            f"{asked.symbol} is not in the history, only {', '.join(known) or 'none'}"
        )
    return chain.from_iterable(_of(archive, symbol, asked, span) for symbol in symbols)


def _of(archive: Archive, symbol: Symbol, asked: Namespace, span: Span) -> Iterator[Row]:
    if asked.table == "ticks":
        return _paged(lambda part: archive.ticks(symbol, part, PAGE_ROWS), span)
    if asked.table == "trades":
        return _paged(lambda part: archive.trades(symbol, part, PAGE_ROWS), span)
    length = INTERVALS[asked.interval]
    return _paged(lambda part: archive.candles(symbol, length, part, PAGE_ROWS), span)


def _paged(read: "Read[Kept]", span: Span) -> Iterator[Kept]:
    """Yield all rows, a page at a time: no query holds up the exchange's writing for long."""
    while True:
        page = read(span)
        yield from page.items
        if page.last is None:
            return
        span = span._replace(after=page.last)


def _writer(asked: Namespace) -> Callable[[Iterator[Row]], int]:
    columns, path = COLUMNS[asked.table], asked.to_file
    if path.suffix == ".csv":
        return lambda rows: _write_csv(path, columns, rows)
    if path.suffix == ".parquet":
        _arrow()
        return lambda rows: _write_parquet(path, columns, rows)
    raise ExportError(f"{path.name} ends neither in .csv nor in .parquet")


def _write_csv(path: Path, columns: Sequence[str], rows: Iterator[Row]) -> int:
    count = 0
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for count, row in enumerate(rows, start=1):  # noqa: B007  it is the number of rows
            writer.writerow([_text(getattr(row, column)) for column in columns])
    return count


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S.%fZ}"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _write_parquet(path: Path, columns: Sequence[str], rows: Iterator[Row]) -> int:
    arrow, parquet = _arrow()
    kinds: dict[str, Any] = {
        "time": arrow.timestamp("us", tz="UTC"),
        "closed": arrow.bool_(),
        **dict.fromkeys(("symbol", "interval", "side"), arrow.string()),
        **dict.fromkeys(("seq", "trade_id", "trades"), arrow.int64()),
    }
    exact = arrow.decimal128(38, 12)
    schema = arrow.schema([(column, kinds.get(column, exact)) for column in columns])
    count = 0
    with parquet.ParquetWriter(path, schema) as writer:
        while chunk := list(islice(rows, PAGE_ROWS)):
            plain = [{column: _plain(getattr(row, column)) for column in columns} for row in chunk]
            writer.write_batch(arrow.RecordBatch.from_pylist(plain, schema=schema))
            count += len(chunk)
    return count


def _plain(value: object) -> object:
    return str(value) if isinstance(value, str) else value


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise ExportError(
            "Parquet needs pyarrow, which is not installed: pip install 'sandpit[export]',"
            " or export to a .csv file"
        ) from error
    return pa, parquet
