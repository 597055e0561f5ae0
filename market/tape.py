"""The stream on disk: frames in numbered segments, so that a history outlives its process.

Frames are in the kernel's hands before any reader gets them, so that killing the process loses
nothing that was delivered. A crash of the machine may; then the boot id has changed since a tape
that was not closed, and a new epoch begins.

What is appended ends with a note, if its writer keeps notes: frames without theirs are of a write
that a kill cut short, and that no reader has seen.
"""

import fcntl
import itertools
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from market.errors import GarbledEventError, MarketError
from market.events import Fact
from market.hub import Hub
from market.segment import CLOSED, Kept, Segment, every_segment, note, segments
from market.wire import Decoder, EventId

log = structlog.get_logger("market.tape")


class TapeInUseError(MarketError):
    """Another process writes the tape in this folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} is in use by another process; give this one its own DATA_DIR")
        self.folder = folder


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
    for segment in segments(folder):
        for here, kind, data in segment.frames():
            is_state = kind == "snapshot"
            if head is not None and here.n != head.n + (not is_state):
                raise GarbledEventError("segment", f"{here} does not follow {head}")
            fact = None if is_state and head is not None else known.decode(kind, data)
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
        kept = segments(self._folder)
        if not kept:
            return None
        try:
            found = _read(kept, decoder or Decoder())
        except (GarbledEventError, OSError) as error:
            log.error("tape_unreadable", problem=str(error), folder=str(self._folder))
            found = None
        if found is None:
            for segment in kept:
                segment.path.unlink(missing_ok=True)
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
        for segment in every_segment(self._folder):
            if segment.follows.epoch != self.epoch:
                segment.path.unlink()

    def append(self, frames: bytes, upto: int) -> None:
        """Keep the frames of the events up to number ``upto``."""
        if self._segment is None:
            return
        self._noted = self._footnote()
        try:
            _write(self._segment, frames + note(self._noted))
            if upto >= self._segment_upto:
                self._finish()
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
        kept = segments(self._folder)
        for n, segment in enumerate(kept):
            if n + 1 < len(kept) and kept[n + 1].follows.n <= after:
                continue
            for event in segment.contents(decoder or Decoder()):
                if isinstance(event, Kept) and event.fact.kind != "snapshot" and event.id.n > after:
                    yield event

    def notes(self) -> Iterator[str]:
        """Yield the notes on the tape, the oldest first."""
        for segment in segments(self._folder):
            yield from segment.notes()

    def close(self) -> None:
        """Put everything on the disk itself, and let the folder go."""
        try:
            self._finish(CLOSED)
            for segment in segments(self._folder):  # while it runs nothing waits for the disk
                _synchronize(segment.path)
        except OSError as error:  # what it lacks is then cut off, or begins a new epoch
            log.warning("tape_not_closed", problem=str(error), folder=str(self._folder))
        finally:
            os.close(self._lock)

    def _start(self, upto: int) -> None:
        """Open the segment of the events after ``upto``."""
        new = self._folder / "new"  # it gets its name as a whole: a kill must not leave half a head
        self._segment = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_APPEND, 0o644)
        self._segment_upto = upto + self._per_segment
        named = Segment(self._folder, EventId(self.epoch, upto))
        _write(self._segment, named.head() + self._opening() + note(self._noted))
        new.rename(named.path)

    def _finish(self, last: bytes = b"") -> None:
        if self._segment is not None:
            _write(self._segment, last)
            os.close(self._segment)
            self._segment = None

    def _forget(self, upto: int) -> None:
        """Remove the segments whose events are all older than ``keep`` says."""
        for segment, following in itertools.pairwise(segments(self._folder)):
            if following.follows.n <= upto - self._keep:
                segment.path.unlink()

    def _abandon(self) -> None:
        if self._segment is not None:
            os.close(self._segment)
            self._segment = None
        for segment in segments(self._folder):
            segment.path.unlink()


def _read(kept: list[Segment], decoder: Decoder) -> Recovered | None:
    """Return what the segments hold; None when the last may have lost what was on it.

    Raises:
        GarbledEventError: a segment is damaged before its last frame.
    """
    for segment in kept[:-1]:
        segment.check()
    if not kept[-1].mend():
        return None
    found: Recovered | None = None
    for segment in kept:
        for content in segment.contents(decoder):
            found = _with(found, content)
    return found


def _with(found: Recovered | None, kept: Kept | EventId | str) -> Recovered:
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
