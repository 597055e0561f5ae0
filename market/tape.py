"""The stream on disk: frames in numbered segments, so that a history outlives its process.

A segment is itself an event stream: it opens with the ``snapshot`` as of its first event, and
holds the frames as they were sent. Frames are in the kernel's hands before any reader gets them,
so that killing the process loses nothing that was delivered. A crash of the machine may; then the
boot id has changed since a tape that was not closed, and a new epoch begins.

What is appended ends with a note, if its writer keeps notes: frames without theirs are of a write
that a kill cut short, and that no reader has seen.
"""

import fcntl
import itertools
import os
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from market.errors import GarbledEventError, MarketError
from market.events import Fact
from market.hub import Hub
from market.wire import Decoder, EventId

log = structlog.get_logger("market.tape")

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_SEGMENT: Final = re.compile(r"([0-9a-f]{8})-(\d{20})\.sse")
_FRAME: Final = re.compile(rb"id: (\S+)\nevent: (\S+)\ndata: (.*)")
_CLOSED: Final = b": closed\n\n"
_NOTE: Final = b": note "


class TapeInUseError(MarketError):
    """Another process writes the tape in this folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} is in use by another process; give this one its own DATA_DIR")
        self.folder = folder


@dataclass(frozen=True, slots=True)
class Kept:
    """An event as the tape holds it."""

    id: EventId
    fact: Fact
    frame: bytes


@dataclass(slots=True)
class Recovered:
    """What a tape held: where it starts, everything's state there, the events since, a footnote."""

    start: EventId
    opening: Fact | None = None
    events: list[Kept] = field(default_factory=list)
    footnote: str = ""

    @property
    def head(self) -> EventId:
        """The id of the newest event."""
        return self.events[-1].id if self.events else self.start


def recorded(folder: Path, decoder: Decoder | None = None) -> Iterator[Fact]:
    """Yield what the tape in a folder holds: how everything stood at first, then each event.

    The tape may be in use: nothing is locked, cut or removed, and what is being written is left
    out, as are kinds that the decoder does not know. The oldest segment may be gone meanwhile.

    Raises:
        GarbledEventError: a segment is damaged, or events are missing in the middle.
    """
    known, head = decoder or Decoder(), None
    for path in _segments(folder):
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            continue
        for found in map(_FRAME.fullmatch, raw[: raw.rfind(b"\n\n") + 2].split(b"\n\n")):
            if found is None:  # a comment
                continue
            here, is_state = _parsed(found[1]), found[2] == b"snapshot"
            if head is not None and here.n != head.n + (not is_state):
                raise GarbledEventError("segment", f"{here} does not follow {head}")
            fact = (
                None if is_state and head is not None else known.decode(found[2].decode(), found[3])
            )
            head = here
            if fact is not None:
                yield fact


class Tape:
    """A log of frames in a folder: at least the newest ``keep`` events of one epoch.

    Args:
        folder: made if it is missing; locked while the tape is open.
        keep: how many events must be there for readers that resume.

    Raises:
        TapeInUseError: another process has the folder.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._keep = folder, keep
        self._per_segment = max(1, keep // 4)
        self._lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise TapeInUseError(folder) from error
        self._segment: int | None = None
        self._segment_upto = 0
        self._opening: Callable[[], bytes] = bytes
        self._footnote: Callable[[], str] = str
        self._noted = ""
        self.epoch = secrets.token_hex(4)

    def recover(self, decoder: Decoder | None = None) -> Recovered | None:
        """Return what the tape holds, or None when nothing of it can be relied on.

        What can't be relied on is thrown away, and said so in the log.
        """
        segments = self._segments()
        if not segments:
            return None
        try:
            found = _read(segments, decoder or Decoder())
        except (GarbledEventError, OSError) as error:
            log.error("tape_unreadable", problem=str(error), folder=str(self._folder))
            found = None
        if found is None:
            for path in self._segments():
                path.unlink()
            return None
        self.epoch, self._noted = found.start.epoch, found.footnote
        return found

    def restore(self, hub: Hub, decoder: Decoder | None = None) -> Recovered | None:
        """Put what the tape holds back into ``hub``, which has published nothing yet."""
        found = self.recover(decoder)
        if found is not None:
            hub.begin(found.start.n)
            for kept in found.events:
                hub.restore(kept.fact.topic, kept.frame)
        hub.epoch = self.epoch
        return found

    def renew(self) -> None:
        """Let a new epoch begin: what the tape holds is void, and goes once that has begun."""
        self.epoch = secrets.token_hex(4)

    def begin(
        self, upto: int, opening: Callable[[], bytes], footnote: Callable[[], str] = str
    ) -> None:
        """Make ready to append what follows event ``upto``.

        Args:
            opening: gives the snapshot frame as of now, or nothing, for the head of a segment.
            footnote: gives a line to keep beside the frames, such as where they came from.
        """
        self._opening, self._footnote = opening, footnote
        self._noted = footnote()
        self._start(upto)
        for path in _named(self._folder):
            if not path.name.startswith(self.epoch):
                path.unlink()

    def append(self, frames: bytes, upto: int) -> None:
        """Keep the frames of the events up to number ``upto``."""
        if self._segment is None:
            return
        self._noted = self._footnote()
        try:
            _write(self._segment, frames + _note(self._noted))
            if upto >= self._segment_upto:
                self._finish(b"")
                self._start(upto)
                self._forget(upto)
        except OSError as error:  # a disk that is full: better no history than one with a hole
            log.error("tape_lost", problem=str(error), folder=str(self._folder))
            self._abandon()

    def following(self, after: int, decoder: Decoder | None = None) -> Iterator[Kept]:
        """Yield the events after number ``after`` that are on disk; in any thread.

        Raises:
            GarbledEventError: what is on disk is not what was written.
        """
        segments = self._segments()
        for n, path in enumerate(segments):
            if n + 1 < len(segments) and _begins_after(segments[n + 1]) <= after:
                continue
            raw = path.read_bytes() if path.exists() else b""
            for kept in _kept(raw[: raw.rfind(b"\n\n") + 2], decoder or Decoder()):
                if isinstance(kept, Kept) and kept.fact.kind != "snapshot" and kept.id.n > after:
                    yield kept

    def notes(self) -> Iterator[str]:
        """Yield the notes on the tape, the oldest first."""
        for path in self._segments():
            for block in path.read_bytes().split(b"\n\n"):
                if block.startswith(_NOTE):
                    yield block.removeprefix(_NOTE).decode()

    def close(self) -> None:
        """Put everything on the disk itself, and let the folder go."""
        try:
            self._finish(_CLOSED)
            for path in self._segments():  # while it runs nothing waits for the disk
                _synchronize(path)
        except OSError as error:  # what it lacks is then cut off, or begins a new epoch
            log.warning("tape_not_closed", problem=str(error), folder=str(self._folder))
        finally:
            os.close(self._lock)

    def _start(self, upto: int) -> None:
        """Open the segment of the events after ``upto``."""
        new = self._folder / "new"  # it gets its name as a whole: a kill must not leave half a head
        self._segment = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_APPEND, 0o644)
        self._segment_upto = upto + self._per_segment
        after = EventId(self.epoch, upto)
        head = f": boot {_boot_id()}\n\n: after {after}\n\n".encode()
        _write(self._segment, head + self._opening() + _note(self._noted))
        new.rename(self._folder / f"{self.epoch}-{upto:020d}.sse")

    def _finish(self, last: bytes) -> None:
        if self._segment is not None:
            _write(self._segment, last)
            os.close(self._segment)
            self._segment = None

    def _forget(self, upto: int) -> None:
        """Remove the segments whose events are all older than ``keep`` says."""
        segments = self._segments()
        for path, following in itertools.pairwise(segments):
            if _begins_after(following) <= upto - self._keep:
                path.unlink()

    def _abandon(self) -> None:
        if self._segment is not None:
            os.close(self._segment)
            self._segment = None
        for path in self._segments():
            path.unlink()

    def _segments(self) -> list[Path]:
        return _segments(self._folder)


def _named(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if _SEGMENT.fullmatch(path.name)]


def _segments(folder: Path) -> list[Path]:
    """Return the paths of the newest epoch's segments, the oldest first."""
    named = _named(folder)
    newest = max(named, key=lambda path: path.stat().st_mtime_ns, default=None)
    return sorted(path for path in named if newest and path.name[:8] == newest.name[:8])


def _begins_after(path: Path) -> int:
    return int(path.name[9:29])


def _note(text: str) -> bytes:
    return b"%b%b\n\n" % (_NOTE, text.encode()) if text else b""


def _read(segments: list[Path], decoder: Decoder) -> Recovered | None:
    """Return what the segments hold; None when the last may have lost what was on it.

    Raises:
        GarbledEventError: a segment is damaged before its last frame.
    """
    found: Recovered | None = None
    for path in segments:
        whole = _whole(path, is_last=path is segments[-1])
        if whole is None:
            return None
        for kept in _kept(whole, decoder):
            found = _with(found, kept)
    return found


def _whole(path: Path, *, is_last: bool) -> bytes | None:
    """Return the whole frames of a segment, its torn tail cut off."""
    raw = path.read_bytes()
    whole = raw[: raw.rfind(b"\n\n") + 2] if b"\n\n" in raw else b""
    if is_last:
        whole = _noted(whole)
    if len(whole) < len(raw):
        if not is_last:
            raise GarbledEventError("segment", f"{path.name} is cut off")
        log.warning("tape_tail_cut", segment=path.name, bytes=len(raw) - len(whole))
        os.truncate(path, len(whole))
    if is_last and not _is_safe(whole):
        log.warning("tape_not_closed", segment=path.name, then="a new epoch begins")
        return None
    return whole


def _noted(whole: bytes) -> bytes:
    """Return a segment without frames whose note is missing; all of it when it has no notes."""
    note = whole.rfind(b"\n\n" + _NOTE)
    if note < 0 or whole.endswith(_CLOSED):
        return whole
    return whole[: whole.index(b"\n\n", note + 2) + 2]


def _with(found: Recovered | None, kept: "Kept | EventId | str") -> Recovered:
    """Return what was found, and now this too; raise GarbledEventError when it does not follow."""
    if isinstance(kept, EventId):
        if found is not None and kept != found.head:
            raise GarbledEventError("segment", f"it begins after {kept}, not {found.head}")
        return found or Recovered(kept)
    if found is None:
        raise GarbledEventError("segment", "it has no head")
    if isinstance(kept, str):
        found.footnote = kept
    elif kept.fact.kind == "snapshot":
        found.opening = found.opening or kept.fact
    elif kept.id == EventId(found.start.epoch, found.head.n + 1):
        found.events.append(kept)
    else:
        raise GarbledEventError("segment", f"{kept.id} does not follow {found.head}")
    return found


def _kept(whole: bytes, decoder: Decoder) -> Iterator[Kept | EventId | str]:
    """Yield the events of a segment, where it begins, and as text the notes in it."""
    for block in whole.split(b"\n\n")[:-1]:
        if block.startswith(_NOTE):
            yield block.removeprefix(_NOTE).decode()
        elif block.startswith(b": after "):
            yield _parsed(block.removeprefix(b": after "))
        elif not block.startswith(b":"):
            found = _FRAME.fullmatch(block)
            fact = decoder.decode(found[2].decode(), found[3]) if found else None
            if found is None or fact is None:
                raise GarbledEventError("segment", f"no frame of ours: {block[:60]!r}")
            yield Kept(_parsed(found[1]), fact, block + b"\n\n")


def _parsed(text: bytes) -> EventId:
    found = EventId.parse(text.decode(errors="replace"))
    if found is None:
        raise GarbledEventError("segment", f"no id of ours: {text[:60]!r}")
    return found


def _is_safe(whole: bytes) -> bool:
    """Tell whether all that was written to a last segment must still be there."""
    boot = b": boot %b\n\n" % _boot_id().encode()
    return whole.endswith(_CLOSED) or (bool(_boot_id()) and whole.startswith(boot))


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _synchronize(path: Path) -> None:
    """Wait until the disk itself has a file."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
