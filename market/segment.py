"""One file of a tape: what it is called, what is in it, and how much of that can be relied on.

A segment is itself an event stream. It begins with comments that name the boot of the machine and
the event it follows, and with the ``snapshot`` as of there; then come the frames as they were sent,
and after what was written together a note, if its writer keeps notes.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from market.errors import GarbledEventError
from market.events import Fact
from market.wire import Decoder, EventId

log = structlog.get_logger("market.tape")

CLOSED: Final = b": closed\n\n"
_AFTER: Final = b": after "
_NOTE: Final = b": note "
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_NAME: Final = re.compile(r"([0-9a-f]{8})-(\d{20})\.sse")
_FRAME: Final = re.compile(rb"id: (\S+)\nevent: (\S+)\ndata: (.*)")


@dataclass(frozen=True, slots=True)
class Kept:
    """An event as the tape holds it."""

    id: EventId
    fact: Fact
    frame: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """The file in a folder whose events follow one."""

    folder: Path
    follows: EventId

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.folder / f"{self.follows.epoch}-{self.follows.n:020d}.sse"

    def head(self) -> bytes:
        """Return how it begins, but for the snapshot."""
        return f": boot {_boot_id()}\n\n: after {self.follows}\n\n".encode()

    def blocks(self) -> list[bytes]:
        """Return the whole blocks that are in it now; none when it is gone."""
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return []
        return raw.split(b"\n\n")[:-1]

    def frames(self) -> Iterator[tuple[EventId, str, bytes]]:
        """Yield the id, kind and data of the snapshot and of each event that is in it now.

        Raises:
            GarbledEventError: an id is none of ours.
        """
        for found in filter(None, map(_FRAME.fullmatch, self.blocks())):
            yield _parsed(found[1]), found[2].decode(), found[3]

    def notes(self) -> Iterator[str]:
        """Yield the notes that are in it now, the oldest first."""
        for block in self.blocks():
            if block.startswith(_NOTE):
                yield block.removeprefix(_NOTE).decode()

    def contents(self, decoder: Decoder) -> Iterator[Kept | EventId | str]:
        """Yield its events with the snapshot before them, where it begins, and its notes as text.

        Raises:
            GarbledEventError: something else is in it.
        """
        for block in self.blocks():
            if block.startswith(_NOTE):
                yield block.removeprefix(_NOTE).decode()
            elif block.startswith(_AFTER):
                yield _parsed(block.removeprefix(_AFTER))
            elif not block.startswith(b":"):
                yield _kept(block, decoder)

    def check(self) -> None:
        """Raise GarbledEventError when it ends in the middle of a block."""
        if not self.path.read_bytes().endswith(b"\n\n"):
            raise GarbledEventError("segment", f"{self.path.name} is cut off")

    def mend(self) -> bool:
        """Cut off what a kill left unfinished; tell whether all that was written is still there."""
        raw = self.path.read_bytes()
        whole = _noted(raw[: raw.rfind(b"\n\n") + 2] if b"\n\n" in raw else b"")
        if len(whole) < len(raw):
            log.warning("tape_tail_cut", segment=self.path.name, bytes=len(raw) - len(whole))
            os.truncate(self.path, len(whole))
        boot = b": boot %b\n\n" % _boot_id().encode()
        is_safe = whole.endswith(CLOSED) or (bool(_boot_id()) and whole.startswith(boot))
        if not is_safe:
            log.warning("tape_not_closed", segment=self.path.name, then="a new epoch begins")
        return is_safe


def note(text: str) -> bytes:
    """Return a note as a segment holds it; of an empty one nothing."""
    return b"%b%b\n\n" % (_NOTE, text.encode()) if text else b""


def every_segment(folder: Path) -> list[Segment]:
    """Return all segments in a folder, of whatever epoch, the oldest of each first."""
    names = (_NAME.fullmatch(path.name) for path in sorted(folder.iterdir()))
    return [Segment(folder, EventId(name[1], int(name[2]))) for name in names if name]


def segments(folder: Path) -> list[Segment]:
    """Return the newest epoch's segments, the oldest first."""
    every = every_segment(folder)
    newest = max(every, key=lambda of: of.path.stat().st_mtime_ns, default=None)
    return [of for of in every if newest and of.follows.epoch == newest.follows.epoch]


def _kept(block: bytes, decoder: Decoder) -> Kept:
    found = _FRAME.fullmatch(block)
    fact = decoder.decode(found[2].decode(), found[3]) if found else None
    if found is None or fact is None:
        raise GarbledEventError("segment", f"no frame of ours: {block[:60]!r}")
    return Kept(_parsed(found[1]), fact, block + b"\n\n")


def _parsed(text: bytes) -> EventId:
    found = EventId.parse(text.decode(errors="replace"))
    if found is None:
        raise GarbledEventError("segment", f"no id of ours: {text[:60]!r}")
    return found


def _noted(whole: bytes) -> bytes:
    """Return a segment without frames whose note is missing; all of it when it has no notes."""
    last = whole.rfind(b"\n\n" + _NOTE)
    if last < 0 or whole.endswith(CLOSED):
        return whole
    return whole[: whole.index(b"\n\n", last + 2) + 2]


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""
