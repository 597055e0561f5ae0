"""Ends what runs in this checkout, and nothing else: a held lock is the proof, never a name."""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from supervision.locks import holder
from supervision.settings import Settings

_POLL_S: Final = 0.02
_SLACK_S: Final = 1.0


def stop(settings: Settings) -> bool:
    """End the supervisor and all its processes; return whether there was anything to end."""
    running = holder(settings.supervisor_lock) is not None
    if running:
        end([settings.supervisor_lock], within_s=settings.stop_grace_s + _SLACK_S)
    return end_leftovers(settings) or running


def end_leftovers(settings: Settings) -> bool:
    """End processes that outlived their supervisor; return whether there were any."""
    locks = set(settings.run_dir.glob("*.lock")) - {settings.supervisor_lock}
    return end(locks, within_s=settings.stop_grace_s)


def end(locks: Iterable[Path], *, within_s: float) -> bool:
    """Ask the holders of the locks to end, kill those that have not after ``within_s``."""
    held = {path for path in locks if holder(path) is not None}
    if not held:
        return False
    for signum, patience_s in ((signal.SIGTERM, within_s), (signal.SIGKILL, _SLACK_S)):
        for path in held:
            _signal(path, signum)
        held = _still_held(held, patience_s)
    return True


def _signal(path: Path, signum: signal.Signals) -> None:
    if pid := holder(path):
        with suppress(ProcessLookupError):
            os.kill(pid, signum)


def _still_held(held: set[Path], patience_s: float) -> set[Path]:
    deadline = time.monotonic() + patience_s
    while held and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        held = {path for path in held if holder(path) is not None}
    return held
