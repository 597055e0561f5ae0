"""The one log on the console: whole lines, each with the name of its process before it."""

import os
import select
from collections.abc import Mapping, Sequence
from typing import Final

_PALETTE: Final = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_LINE_MAX: Final = 65_536
_CHUNK: Final = 4096  # PIPE_BUF: a pipe that polls writable takes this much without blocking


class Console:
    """Prefixes lines; never blocks on a terminal that is held, and says what it left out."""

    def __init__(self, fd: int, names: Sequence[str], *, color: bool) -> None:
        self._fd: int | None = fd
        width = max(map(len, names), default=0)
        self._prefixes = {
            name: _prefix(name.ljust(width), _PALETTE[at % len(_PALETTE)] if color else None)
            for at, name in enumerate(names)
        }
        self._width = width
        self._begun: dict[tuple[str, str], bytes] = {}
        self._dropped = 0

    def feed(self, name: str, channel: str, data: bytes) -> None:
        """Print the lines that ``data`` completes; keep the rest for the next time."""
        *lines, rest = (self._begun.pop((name, channel), b"") + data).split(b"\n")
        if len(rest) > _LINE_MAX:
            lines, rest = [*lines, rest], b""
        if rest:
            self._begun[name, channel] = rest
        self._print(name, lines)

    def end(self, name: str) -> None:
        """Print what a process that ended left without a newline."""
        for channel in ("stdout", "stderr"):
            if rest := self._begun.pop((name, channel), b""):
                self._print(name, [rest])

    def say(self, name: str, text: str) -> None:
        """Print a line of our own about a process."""
        self._print(name, [text.encode()])

    def _print(self, name: str, lines: Sequence[bytes]) -> None:
        prefix = self._prefixes.get(name) or _prefix(name.ljust(self._width), None)
        for line in lines:
            self._write(b"%b%b\n" % (prefix, line.rstrip(b"\r")))

    def _write(self, line: bytes) -> None:
        if self._dropped and self._accepts():
            note, self._dropped = f"... {self._dropped} lines not shown\n", 0
            self._put(note.encode())
        for start in range(0, len(line), _CHUNK):
            if not self._accepts():
                self._dropped += 1
                return
            self._put(line[start : start + _CHUNK])

    def _accepts(self) -> bool:
        if self._fd is None:
            return False
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return bool(poll.poll(0))

    def _put(self, data: bytes) -> None:
        if self._fd is not None:
            try:
                os.write(self._fd, data)
            except OSError:  # the terminal is closed: the log files go on
                self._fd = None


def wants_color(fd: int, env: Mapping[str, str]) -> bool:
    """Return whether to color: a terminal, and no NO_COLOR (no-color.org)."""
    return os.isatty(fd) and not env.get("NO_COLOR") and env.get("TERM") != "dumb"


def _prefix(name: str, color: int | None) -> bytes:
    text = f"{name} | " if color is None else f"\x1b[{color}m{name} |\x1b[0m "
    return text.encode()
