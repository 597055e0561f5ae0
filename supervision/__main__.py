"""``python -m supervision start|stop|status|logs``: what `make` calls."""

import argparse
import os
import signal
import socket
import sys
from collections.abc import Sequence

from market.errors import MarketError
from market.settings import environment
from supervision.child import end_with_parent
from supervision.programs import Program, programs
from supervision.settings import Settings
from supervision.starting import start
from supervision.states import states
from supervision.stopping import stop

_ANSWER_S = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line, or ``arguments``, says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m supervision", description=__doc__)
    parser.add_argument("command", choices=["start", "stop", "status", "logs"])
    parser.add_argument("--attached", action="store_true", help="end when our parent dies")
    given = parser.parse_args(arguments)
    if given.attached:
        end_with_parent(signal.SIGTERM)
    try:
        env = environment()
        return _run(given.command, Settings.from_env(env), programs(env))
    except MarketError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(command: str, settings: Settings, processes: tuple[Program, ...]) -> int:
    if command == "start":
        start(settings, processes)
    elif command == "stop":
        print("All stopped." if stop(settings) else "Nothing was running.")
    elif command == "status":
        return _status(settings, processes)
    else:
        _follow(settings, processes)
    return 0


def _status(settings: Settings, processes: tuple[Program, ...]) -> int:
    socket.setdefaulttimeout(_ANSWER_S)
    found = states(settings, processes)
    for state in found:
        print(state)
    return 0 if all(state.word == "running" for state in found) else 1


def _follow(settings: Settings, processes: tuple[Program, ...]) -> None:
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    files = [settings.log_dir / f"{process.name}.log" for process in processes]
    for file in files:
        file.touch()
    os.execvp("tail", ["tail", "-n", "20", "-F", *map(str, files)])  # noqa: S607 - POSIX has it


if __name__ == "__main__":
    sys.exit(main())
