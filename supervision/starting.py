"""Starts everything in the foreground, once it is sure that it can."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from supervisor import supervisord

from market.errors import MarketError
from supervision.configuration import configuration
from supervision.locks import HeldError, Lock
from supervision.ports import conflicts
from supervision.programs import Program
from supervision.settings import Settings
from supervision.stopping import end_leftovers


class CannotStartError(MarketError):
    """Why nothing was started, in words for the person at the terminal."""


def start(settings: Settings, programs: Sequence[Program]) -> None:
    """Run the programs until a signal or `stop` ends them; raise CannotStartError before that."""
    try:
        lock = Lock(settings.supervisor_lock)
    except HeldError as error:
        raise CannotStartError(
            f"Already running in this checkout (process {error.pid}): `make status` shows it, "
            "`make logs` follows it, `make stop` ends it."
        ) from error
    with lock:
        end_leftovers(settings)
        if problems := conflicts(programs):
            raise CannotStartError("\n".join([*problems, "Nothing was started."]))
        _supervise(settings, programs)


def _supervise(settings: Settings, programs: Sequence[Program]) -> None:
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    _prepare(settings.socket)
    path = settings.run_dir / "supervisord.conf"
    path.write_text(configuration(settings, programs))
    listening = (f"{each.name} on port {each.port.number}" for each in programs if each.port)
    print("Starting", ", ".join(program.name for program in programs))
    print(f"Listening: {', '.join(listening)}. Ctrl-C or `make stop` ends all.", flush=True)
    supervisord.main(["--configuration", str(path)])
    print("All stopped.", flush=True)


def _prepare(socket: Path) -> None:
    folder = socket.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid():
        raise CannotStartError(f"{folder} is not ours to put the control socket in.")
    socket.unlink(missing_ok=True)  # we hold the lock: whoever made it is gone
