"""Where a portfolio stands with its limits, what survives a restart of it, and what others see."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from market.errors import SettingsError
from risk.limits import Standing
from risk.report import LimitReport


class StandingReport(Struct, frozen=True, kw_only=True):
    """What a portfolio may do now, and why; ``account`` is "" where it is no account."""

    portfolio: str
    account: str
    standing: Standing
    limits: dict[str, LimitReport]


class Guard(Struct, frozen=True, kw_only=True):
    """What survives of the limits: the peak they count from, and the values that halted."""

    peak: float | None = None
    halted: dict[str, float] = {}


class GuardRepository(Protocol):
    """Keeps the guard of each portfolio, by name."""

    def all(self) -> dict[str, Guard]:
        """Return every guard."""
        ...

    def save(self, guards: dict[str, Guard]) -> None:
        """Keep these, in place of those of the same names."""
        ...

    def remove(self, name: str) -> None:
        """Keep the guard no more; nothing happens when there is none of that name."""
        ...


class InMemoryGuardRepository:
    """Keeps guards for as long as the process lives."""

    def __init__(self) -> None:
        self._kept: dict[str, Guard] = {}

    def all(self) -> dict[str, Guard]:
        return dict(self._kept)

    def save(self, guards: dict[str, Guard]) -> None:
        self._kept |= guards

    def remove(self, name: str) -> None:
        self._kept.pop(name, None)


class SqliteGuardRepository:
    """Keeps guards in a SQLite file; each call opens and closes it.

    Raises:
        SettingsError: the file cannot be made, or is no database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as database:
                database.execute(
                    "CREATE TABLE IF NOT EXISTS guards (name TEXT PRIMARY KEY, guard TEXT NOT NULL)"
                )
        except (OSError, sqlite3.Error) as error:
            raise SettingsError("DATA_DIR", f"{path} will not do: {error}") from error

    def all(self) -> dict[str, Guard]:
        with self._open() as database:
            rows = database.execute("SELECT name, guard FROM guards").fetchall()
        return {name: msgspec.json.decode(guard, type=Guard) for name, guard in rows}

    def save(self, guards: dict[str, Guard]) -> None:
        rows = [(name, msgspec.json.encode(guard).decode()) for name, guard in guards.items()]
        with self._open() as database:
            database.executemany(
                "INSERT INTO guards VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET guard = excluded.guard",
                rows,
            )

    def remove(self, name: str) -> None:
        with self._open() as database:
            database.execute("DELETE FROM guards WHERE name = ?", (name,))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=5)) as database, database:
            yield database
