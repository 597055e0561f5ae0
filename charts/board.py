"""What the page shows, kept once for all pages: each part knows the version it last changed at.

A page that has seen version *n* is sent the parts that changed since. Whatever happened in between
is conflated by that: a slow page, a page that was away and came back with its last id, and a page
that is served ten times a second all cost the same, and none is ever sent the same thing twice.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

WITHOUT_KEY: Final = ""


class Log:
    """The newest entries of something that only grows, each with its version."""

    __slots__ = ("_entries", "_forgotten", "kept")

    def __init__(self, kept: int) -> None:
        self.kept, self._forgotten = kept, 0
        self._entries: deque[tuple[int, Any]] = deque()

    def append(self, version: int, entry: Any) -> None:
        """Take in the newest entry."""
        self._entries.append((version, entry))
        if len(self._entries) > self.kept:
            self._forgotten = self._entries.popleft()[0]

    def replace(self, version: int, entries: Iterable[Any]) -> None:
        """Begin anew with these entries; whoever saw an earlier version gets all of them."""
        self._entries = deque((version, entry) for entry in entries)
        self._forgotten = version

    def since(self, version: int) -> dict[str, Any] | None:
        """Return what a page that saw ``version`` lacks; ``all`` when it must begin anew."""
        if version < self._forgotten:
            return {"all": True, "entries": [entry for _, entry in self._entries]}
        found: list[Any] = []
        for stamp, entry in reversed(self._entries):
            if stamp <= version:
                break
            found.append(entry)
        return {"all": version == 0, "entries": found[::-1]} if found else None


class Board:
    """Parts and logs by kind and key, under one version that counts every change.

    An empty board is at version 1: whoever is at 0 has seen nothing, not even that it is empty.

    Args:
        epoch: 8 hex digits, the life of this board.
    """

    def __init__(self, epoch: str) -> None:
        self.epoch, self.version, self.closed = epoch, 1, False
        self._parts: dict[str, dict[str, tuple[int, Any]]] = {}
        self._logs: dict[str, dict[str, Log]] = {}
        self._listeners: list[Callable[[], None]] = []

    def change(self) -> int:
        """Count a change; return its version."""
        self.version += 1
        if self._listeners:
            for wake in self._listeners:
                wake()
        return self.version

    def put(self, kind: str, key: str, value: Any) -> None:
        """Set one part; nothing happens when that is what it was."""
        parts = self._parts.setdefault(kind, {})
        known = parts.get(key)
        if known is None or known[1] != value:
            parts[key] = (self.change(), value)

    def get(self, kind: str, key: str = WITHOUT_KEY) -> Any:
        """Return a part, or None when it was never set."""
        known = self._parts.get(kind, {}).get(key)
        return None if known is None else known[1]

    def all(self, kind: str) -> dict[str, Any]:
        """Return all parts of a kind."""
        return {key: value for key, (_, value) in self._parts.get(kind, {}).items()}

    def append(self, kind: str, key: str, entry: Any, kept: int) -> None:
        """Add to a log that keeps the newest ``kept`` entries."""
        self._log(kind, key, kept).append(self.change(), entry)

    def replace(self, kind: str, key: str, entries: Iterable[Any], kept: int) -> None:
        """Let a log begin anew with these entries."""
        self._log(kind, key, kept).replace(self.change(), entries)

    def entries(self, kind: str, key: str = WITHOUT_KEY) -> list[Any]:
        """Return what a log holds, the oldest first."""
        log = self._logs.get(kind, {}).get(key)
        return [] if log is None else (log.since(-1) or {}).get("entries", [])

    def changed(self, kind: str, version: int, keys: Iterable[str] | None = None) -> dict[str, Any]:
        """Return the parts of a kind that changed after ``version``, of the ``keys`` if given."""
        parts = self._parts.get(kind, {})
        chosen = parts.items() if keys is None else [(k, parts[k]) for k in keys if k in parts]
        return {key: value for key, (stamp, value) in chosen if stamp > version}

    def logged(self, kind: str, version: int, key: str = WITHOUT_KEY) -> dict[str, Any] | None:
        """Return what a log has since ``version``, None when that is nothing."""
        log = self._logs.get(kind, {}).get(key)
        return None if log is None else log.since(version)

    def keys(self, kind: str) -> list[str]:
        """Return the keys of the logs of a kind."""
        return list(self._logs.get(kind, ()))

    def reset(self, epoch: str, kept: Iterable[str] = ()) -> None:
        """Forget everything but some kinds of parts; pages that come back begin anew too."""
        parts = {kind: self.all(kind) for kind in kept}
        self.epoch, self.version = epoch, 0
        self._parts.clear()
        self._logs.clear()
        self.change()
        for kind, values in parts.items():
            for key, value in values.items():
                self.put(kind, key, value)

    def drop(self, keys: Collection[str], kinds: Collection[str], epoch: str) -> None:
        """Forget what some kinds have under some keys; pages begin anew, to lose it, too."""
        shelves: tuple[Mapping[str, dict[str, Any]], ...] = (self._parts, self._logs)
        for shelf in shelves:
            for kind in kinds:
                for key in keys:
                    shelf.get(kind, {}).pop(key, None)
        self.epoch = epoch
        self.change()

    def _log(self, kind: str, key: str, kept: int) -> Log:
        logs = self._logs.setdefault(kind, {})
        log = logs.get(key)
        if log is None:
            log = logs[key] = Log(kept)
        return log

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call ``wake`` after every change and at the close; return what ends that."""
        self._listeners.append(wake)
        return lambda: self._listeners.remove(wake)

    def close(self) -> None:
        """Let every page go."""
        self.closed = True
        for wake in list(self._listeners):
            wake()
