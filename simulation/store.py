"""Results of many runs in one SQLite file: a sweep that was stopped goes on where it was."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from simulation.errors import ConfigError
from simulation.results import RunResult

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS configs
  (digest TEXT PRIMARY KEY, name TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs (
  config TEXT NOT NULL, seed INTEGER NOT NULL, log TEXT NOT NULL, result TEXT NOT NULL,
  PRIMARY KEY (config, seed));
CREATE TABLE IF NOT EXISTS bots (
  config TEXT NOT NULL, seed INTEGER NOT NULL, bot TEXT NOT NULL, pnl REAL NOT NULL,
  sharpe REAL, max_drawdown REAL NOT NULL, hit_rate REAL, fills INTEGER NOT NULL,
  PRIMARY KEY (config, seed, bot));
"""
_DECODER: Final = msgspec.json.Decoder(RunResult)


class Store:
    """Results by configuration and seed; a result is kept once, and never changed.

    Raises:
        ConfigError: the file is no such store.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path)
        try:
            self._connection.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise ConfigError(f"{path}: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def seeds(self, config: str) -> set[int]:
        """Return the seeds that are there already."""
        found = self._connection.execute("SELECT seed FROM runs WHERE config = ?", (config,))
        return {seed for (seed,) in found}

    def describe(self, digest: str, name: str, body: str) -> None:
        """Keep what a digest stands for."""
        with self._connection as connection:
            connection.execute(
                "INSERT OR IGNORE INTO configs VALUES (?, ?, ?)", (digest, name, body)
            )

    def add(self, result: RunResult) -> None:
        """Keep a result; one that is there already stays."""
        body = msgspec.json.encode(result).decode()
        with self._connection as connection:
            connection.execute(
                "INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?)",
                (result.config, result.seed, result.log, body),
            )
            connection.executemany(
                "INSERT OR IGNORE INTO bots VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        result.config,
                        result.seed,
                        bot.name,
                        float(bot.pnl),
                        bot.sharpe,
                        bot.max_drawdown,
                        bot.hit_rate,
                        bot.fills,
                    )
                    for bot in result.bots
                ],
            )

    def results(self, config: str) -> Iterator[RunResult]:
        """Yield the results of a configuration, by seed; ConfigError for one that is spoiled."""
        found = self._connection.execute(
            "SELECT seed, result FROM runs WHERE config = ? ORDER BY seed", (config,)
        )
        for seed, body in found:
            try:
                yield _DECODER.decode(body)
            except msgspec.DecodeError as error:
                raise ConfigError(f"the result of seed {seed} is spoiled: {error}") from error
