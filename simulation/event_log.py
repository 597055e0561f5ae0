"""What happened, as lines of bytes: their hash names the run, and a file may keep them."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from market.events import Fact
from market.wire import encode_many


class EventLog:
    """Lines of ``<kind> <data>``, the data as on the wire; hashed, and written where asked to.

    Args:
        path: of the file; None for the hash alone.

    Attributes:
        length: the lines so far.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._hash = sha256()
        self._heads = _Heads()
        self.length = 0

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
        if self._file is not None:
            self._file.close()

    def take(self, facts: Sequence[Fact]) -> None:
        """Add a line for each of the facts."""
        parts = [b"\n"] * (3 * len(facts))
        parts[0::3] = [self._heads[type(fact)] for fact in facts]
        parts[1::3] = encode_many(facts)
        self._keep(b"".join(parts), len(facts))

    def line(self, kind: str, data: bytes) -> None:
        """Add a line."""
        self._keep(b"%b %b\n" % (kind.encode(), data), 1)

    @property
    def digest(self) -> str:
        """The SHA-256 over all lines so far, in hexadecimal."""
        return self._hash.hexdigest()

    def _keep(self, data: bytes, lines: int) -> None:
        self.length += lines
        self._hash.update(data)
        if self._file is not None:
            self._file.write(data)


class _Heads(dict[type[Fact], bytes]):
    """What the lines of each kind begin with."""

    def __missing__(self, kind: type[Fact]) -> bytes:
        head = self[kind] = kind.kind.encode() + b" "
        return head
