"""How each process is, asked over the control socket of this checkout."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, Literal
from xmlrpc.client import Error, ServerProxy

from supervisor.states import ProcessStates
from supervisor.xmlrpc import SupervisorTransport

from supervision.locks import holder
from supervision.programs import Program
from supervision.settings import Settings

Word = Literal["running", "starting", "stopped", "failed"]

_UP_AFTER_S: Final = 1
_WORDS: Final[Mapping[int, Word]] = {
    ProcessStates.STARTING: "starting",
    ProcessStates.RUNNING: "running",
    ProcessStates.EXITED: "starting",
    ProcessStates.STOPPING: "stopped",
    ProcessStates.STOPPED: "stopped",
    ProcessStates.BACKOFF: "failed",
    ProcessStates.FATAL: "failed",
}


@dataclass(frozen=True, slots=True)
class ProcessState:
    """How one process is; its text is a line of `make status`."""

    name: str
    word: Word
    pid: int | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.word} {self.pid or '-'}"


def states(settings: Settings, programs: Iterable[Program]) -> tuple[ProcessState, ...]:
    """Return how each process is; all are stopped where no supervisor runs."""
    names = [program.name for program in programs]
    if holder(settings.supervisor_lock) is None:
        return tuple(ProcessState(name, "stopped") for name in names)
    try:
        known = {state.name: state for state in _asked(settings.socket)}
    except (OSError, Error, HTTPException):  # it is just starting, or just ending
        return tuple(ProcessState(name, "starting") for name in names)
    in_order = dict.fromkeys([*names, *known])
    return tuple(known.get(name, ProcessState(name, "stopped")) for name in in_order)


def _asked(socket: Path) -> Iterator[ProcessState]:
    transport = SupervisorTransport(None, None, f"unix://{socket}")
    with ServerProxy("http://127.0.0.1", transport=transport) as proxy:
        answer: Any = proxy.supervisor.getAllProcessInfo()
    for info in answer:
        yield ProcessState(info["name"], _word(info), info["pid"] or None)


def _word(info: Mapping[str, Any]) -> Word:
    if info["state"] == ProcessStates.STARTING and info["now"] - info["start"] >= _UP_AFTER_S:
        return "running"  # supervisor itself waits longer before it calls a process settled
    return _WORDS.get(info["state"], "failed")
