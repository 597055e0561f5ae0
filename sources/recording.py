"""Recorded prices in a CSV file, plain or gzip, read row by row; a bad row is named by its line."""

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from io import TextIOWrapper
from pathlib import Path
from typing import Final, TypeVar

from msgspec import Struct

from market.errors import MarketError
from sources.quoting import LIMIT

Cell = TypeVar("Cell", Decimal, datetime)

GZIP: Final = b"\x1f\x8b"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# an epoch time below the first bound is in seconds, then in milliseconds, then in microseconds
UNITS: Final = ((10**11, 10**6), (10**14, 10**3), (10**17, 1))


class RecordingError(MarketError):
    """The file is not a recording that can be replayed."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path, self.problem = path, problem


class BadRowError(RecordingError):
    """One row is wrong; ``line`` is where it ends in the file, the heading being line 1."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        super().__init__(path, f"line {line}: {problem}")
        self.line = line


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What the columns are called; None for one that is not there."""

    price: str
    time: str | None = None
    volume: str | None = None


class Row(Struct, frozen=True, kw_only=True, gc=False):
    """A recorded price, above 0; its volume, at least 0; its time, in UTC, never falling."""

    line: int
    price: Decimal
    volume: Decimal | None = None
    time: datetime | None = None


def heading(path: Path) -> tuple[str, ...]:
    """Return the names of the columns; raise RecordingError when the file has none."""
    with _lines(path) as lines:
        return _heading(path, lines)


def rows(
    path: Path,
    columns: Columns,
    *,
    lowest: Decimal = Decimal(0),
    on_bad: Callable[[BadRowError], None] | None = None,
) -> Iterator[Row]:
    """Yield the rows of a recording as they are read.

    Args:
        lowest: a price below it is wrong.
        on_bad: called with a row that is left out; without it the first bad row ends the reading.

    Raises:
        BadRowError: a row is wrong, and there is no ``on_bad``.
        RecordingError: the file cannot be read, is empty, or lacks a column.
    """
    with _lines(path) as lines:
        form = _Form(path, _heading(path, lines), columns, lowest)
        last: datetime | None = None
        for values in filter(None, lines):
            try:
                row = form.row(lines.number, values, last)
            except BadRowError as error:
                if on_bad is None:
                    raise
                on_bad(error)
            else:
                last = row.time
                yield row


class _Form:
    """What a row of this file has to look like."""

    def __init__(
        self, path: Path, names: tuple[str, ...], columns: Columns, lowest: Decimal
    ) -> None:
        self._path, self._names, self._lowest = path, names, lowest
        self._price = self._place(columns.price)
        self._time = None if columns.time is None else self._place(columns.time)
        self._volume = None if columns.volume is None else self._place(columns.volume)

    def row(self, line: int, values: list[str], last: datetime | None) -> Row:
        """Return the values as a row; raise BadRowError that says what is wrong with them."""
        if len(values) != len(self._names):
            problem = f"{len(values)} columns where the heading has {len(self._names)}"
            raise BadRowError(self._path, line, problem)
        price = self._read(line, values, self._price, _price)
        if price < self._lowest:
            problem = f"{self._names[self._price]} {price} is below {self._lowest}, half a tick"
            raise BadRowError(self._path, line, problem)
        volume = None if self._volume is None else self._read(line, values, self._volume, _volume)
        if self._time is None:
            return Row(line=line, price=price, volume=volume)
        time = self._read(line, values, self._time, _time)
        if last is not None and time < last:
            raise BadRowError(self._path, line, f"{self._names[self._time]} goes back to {time}")
        return Row(line=line, price=price, volume=volume, time=time)

    def _place(self, name: str) -> int:
        if name not in self._names:
            raise RecordingError(self._path, f"no column {name!r} among {', '.join(self._names)}")
        if (count := self._names.count(name)) > 1:
            raise RecordingError(self._path, f"{count} columns {name!r}")
        return self._names.index(name)

    def _read(self, line: int, values: list[str], at: int, cast: Callable[[str], Cell]) -> Cell:
        text = values[at].strip()
        try:
            return cast(text)
        except (ValueError, OverflowError, InvalidOperation) as error:
            problem = f"{self._names[at]} {text[:40]!r}: {error}"
            raise BadRowError(self._path, line, problem) from error


def _price(text: str) -> Decimal:
    value = _number(text)
    if value <= 0:
        raise ValueError("a price is above 0")
    return value


def _volume(text: str) -> Decimal:
    value = _number(text)
    if value < 0:
        raise ValueError("a volume is at least 0")
    return value


def _number(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise ValueError("not a number") from error
    if not value.is_finite() or not -LIMIT < value < LIMIT:
        raise ValueError("not a number below 10^12")
    return value


def _time(text: str) -> datetime:
    """Return a time in UTC from ISO 8601, or from seconds, milliseconds or microseconds of 1970."""
    if not text.replace(".", "", 1).isdecimal():
        time = datetime.fromisoformat(text)
        if time.tzinfo is UTC:
            return time
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    value = Decimal(text)
    for bound, factor in UNITS:
        if value < bound:
            return EPOCH + timedelta(microseconds=int(value * factor))
    raise ValueError("neither ISO 8601 nor seconds, ms or us since 1970")


class _Lines:
    """The rows of a CSV file as they are read, and the number of the line read last."""

    def __init__(self, path: Path, text: TextIOWrapper) -> None:
        self._path, self._rows = path, csv.reader(text, strict=True)

    @property
    def number(self) -> int:
        return self._rows.line_num

    def __iter__(self) -> Iterator[list[str]]:
        try:
            yield from self._rows
        except (OSError, EOFError, zlib.error, csv.Error) as error:
            raise BadRowError(self._path, self.number + 1, str(error)) from error


def _heading(path: Path, lines: _Lines) -> tuple[str, ...]:
    for values in filter(None, lines):
        return tuple(value.strip() for value in values)
    raise RecordingError(path, "is empty")


@contextmanager
def _lines(path: Path) -> Iterator[_Lines]:
    try:
        with path.open("rb") as raw:
            zipped = raw.read(len(GZIP)) == GZIP
    except OSError as error:
        raise RecordingError(path, error.strerror or str(error)) from error
    with (
        (gzip.open if zipped else open)(path, "rb") as file,
        # a byte that is not UTF-8 spoils its own cell, not the rows around it
        TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="") as text,
    ):
        yield _Lines(path, text)
