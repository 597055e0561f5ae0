"""What happened, as lines of bytes: their hash names the run, and a file may keep them."""

from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from market.events import Fact
from market.wire import encode

_BATCH: Final = 1024  # facts do not change: many at once are written faster than one by one


class EventLog:
    """Lines of ``<kind> <data>``, the data as on the wire; hashed, and written where asked to.

    Args:
        path: of the file; None for the hash alone.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._hash = sha256()
        self._waiting: list[Fact] = []
        self._flushed = 0

    def __enter__(self) -> Self:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("wb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._flush()
        if self._file is not None:
            self._file.close()

    def write(self, fact: Fact) -> None:
        """Add a line for a fact."""
        self._waiting.append(fact)
        if len(self._waiting) >= _BATCH:
            self._flush()

    def line(self, kind: str, data: bytes) -> None:
        """Add a line."""
        self._flush()
        self._keep([b"%b %b\n" % (kind.encode(), data)])

    @property
    def length(self) -> int:
        """The lines so far."""
        return self._flushed + len(self._waiting)

    @property
    def digest(self) -> str:
        """The SHA-256 over all lines so far, in hexadecimal."""
        self._flush()
        return self._hash.hexdigest()

    def _flush(self) -> None:
        lines = [b"%b %b\n" % (fact.kind.encode(), encode(fact)) for fact in self._waiting]
        self._waiting.clear()
        self._keep(lines)

    def _keep(self, lines: list[bytes]) -> None:
        data = b"".join(lines)
        self._flushed += len(lines)
        self._hash.update(data)
        if self._file is not None:
            self._file.write(data)
