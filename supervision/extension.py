"""What we add to supervisor, through its own door: an RPC interface is handed the supervisor.

It prints what the processes print, keeps what they say on standard error in their log files (their
logging writes those itself, but a traceback at import comes before that), sets how long a failing
process waits, and looks around ten times a second instead of once.
"""

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from supervisor import events

from supervision.console import Console, wants_color

_FIRST_WAIT_S: Final = 0.25
_POLL_S: Final = 0.1


class _Process(Protocol):
    """What we use of a process of supervisor's."""

    config: Any
    backoff: int
    delay: float


class _Event(Protocol):
    """What we use of an event of supervisor's."""

    @property
    def process(self) -> _Process: ...

    channel: str
    data: bytes


class Extension:
    """Listens to the events of one supervisor."""

    def __init__(
        self, console: Console, *, log_dir: Path, log_max_bytes: int, restart_max_s: float
    ) -> None:
        self._console = console
        self._log_dir = log_dir
        self._log_max_bytes = log_max_bytes
        self._restart_max_s = restart_max_s

    def subscribe(self) -> None:
        """Begin to listen."""
        events.subscribe(events.ProcessLogEvent, self.printed)
        events.subscribe(events.ProcessStateBackoffEvent, self.failed)
        events.subscribe(events.ProcessStateExitedEvent, self.ended)
        events.subscribe(events.ProcessStateStoppedEvent, self.stopped)

    def printed(self, event: _Event) -> None:
        """Show what a process printed; keep its standard error in its log file."""
        name = event.process.config.name
        self._console.feed(name, event.channel, event.data)
        if event.channel == "stderr":
            self._keep(self._log_dir / f"{name}.log", event.data)

    def failed(self, event: _Event) -> None:
        """Let a process that ended too soon wait, twice as long each time, up to the limit."""
        process = event.process
        wait = min(_FIRST_WAIT_S * 2 ** min(process.backoff - 1, 30), self._restart_max_s)
        process.delay = time.time() + wait
        self._console.end(process.config.name)
        self._console.say(
            process.config.name,
            f"ended too soon ({process.backoff} in a row); it is started again in {wait:g} s",
        )

    def ended(self, event: _Event) -> None:
        """Say that a process ended that should not have."""
        self._console.end(event.process.config.name)
        self._console.say(event.process.config.name, "ended; it is started again")

    def stopped(self, event: _Event) -> None:
        """Say that a process ended as it was told to."""
        self._console.end(event.process.config.name)
        self._console.say(event.process.config.name, "stopped")

    def _keep(self, path: Path, data: bytes) -> None:
        try:
            if path.exists() and path.stat().st_size + len(data) > 2 * self._log_max_bytes:
                path.replace(path.with_name(f"{path.name}.1"))  # its own logging never began
            with path.open("ab") as log:
                log.write(data)
        except OSError as error:
            self._console.say("supervisor", f"cannot write {path}: {error.strerror}")


class PromptPoller:
    """Another poller that never waits longer than ``longest_s``, so that we act at once."""

    def __init__(self, poller: Any, longest_s: float) -> None:
        self._poller, self._longest_s = poller, longest_s

    def poll(self, timeout: float) -> tuple[Sequence[int], Sequence[int]]:
        """Return what is readable and what is writable."""
        ready: tuple[Sequence[int], Sequence[int]] = self._poller.poll(
            min(timeout, self._longest_s)
        )
        return ready

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poller, name)


class Interface:
    """An RPC interface without methods: supervisor wants one in return."""


def extend(supervisord: Any, *, log_dir: str, log_max_bytes: str, restart_max_s: str) -> Interface:
    """Add to ``supervisord`` what the module says; supervisor calls this once, at its start."""
    options = supervisord.options
    names = [each.name for group in options.process_group_configs for each in group.process_configs]
    extension = Extension(
        Console(1, names, color=wants_color(1, os.environ)),
        log_dir=Path(log_dir),
        log_max_bytes=int(log_max_bytes),
        restart_max_s=float(restart_max_s),
    )
    extension.subscribe()
    events.subscribe(events.SupervisorRunningEvent, _stop_on_hangup(options))
    options.poller = PromptPoller(options.poller, _POLL_S)
    return Interface()


def _stop_on_hangup(options: Any) -> Callable[[object], None]:
    before = signal.getsignal(signal.SIGHUP)

    def install(_: object) -> None:
        """Make a closed terminal a reason to stop, not to reload; nohup keeps its meaning."""
        if before is signal.SIG_IGN:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        else:
            signal.signal(
                signal.SIGHUP,
                lambda _, frame: options.signal_receiver.receive(signal.SIGTERM, frame),
            )

    return install
