"""A journal of a simulated exchange: the live file, so that its tools verify and replay it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from exchange.commands import AnyCommand, encode
from exchange.journal import FIRST_LINK, JournalFile, Record, linked, microseconds
from simulation.config import RunConfig
from simulation.errors import ConfigError
from simulation.line import first_time

_BATCH: Final = 1000


class SimulatedJournal:
    """Numbers and chains the commands as the live journal does, and writes them in batches."""

    def __init__(self, file: JournalFile, start_us: int) -> None:
        self._file, self._start = file, start_us
        self._seq, self._link = 0, FIRST_LINK
        self._waiting: list[tuple[AnyCommand, int]] = []

    def append(self, command: AnyCommand, time_us: int) -> None:
        """Keep a command that was carried out ``time_us`` microseconds after the start."""
        self._waiting.append((command, self._start + time_us))
        if len(self._waiting) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what waits; commands do not change, and many at once cost less."""
        if self._waiting:
            self._file.write([self._record(*waiting) for waiting in self._waiting])
            self._waiting.clear()

    def _record(self, command: AnyCommand, time: int) -> Record:
        self._seq += 1
        text = encode(command).decode()
        self._link = linked(self._link, self._seq, time, text)
        return Record(self._seq, time, text, self._link)


@contextmanager
def journal(path: Path | None, config: RunConfig) -> Iterator[SimulatedJournal | None]:
    """Give a journal in a new file; without a path there is none.

    Raises:
        ConfigError: there is a journal already.
        JournalError: it cannot be written.
    """
    if path is None:
        yield None
        return
    if path.exists():
        raise ConfigError(f"{path} is there already, and a journal is never written over")
    path.parent.mkdir(parents=True, exist_ok=True)
    with JournalFile(path, synchronous="normal") as file:
        made = SimulatedJournal(file, microseconds(first_time(config)))
        yield made
        made.flush()
