"""A peer as a running process: its orders, its time, its memory, its end."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.peers.reader import LostError

ROOT: Final = Path(__file__).resolve().parents[2]
ANSWER_S: Final = 20.0
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Peer:
    """What is compared: how to start it, and where to begin the search for its limit.

    Args:
        guess: deliveries/s that it may sustain, for each number of readers.
        apart: its publisher is a process of its own, on the load generator's core.
        guests: queries of readers beside the others, with what the filter in them lets the numbers
            grow by; they resume in the middle of a run.
        metrics: the path that is scraped once a second during a run.
        cores: where servers run, and where the load; None where there is one core for all.
    """

    name: str
    command: tuple[str, ...]
    guess: dict[int, float]
    apart: bool = False
    guests: dict[str, int] = field(default_factory=dict)
    metrics: str = ""
    cores: tuple[int, int] | None = None


def python(module: str, *options: str) -> tuple[str, ...]:
    """Return the command for a module of this folder."""
    return (sys.executable, "-m", f"benchmarks.peers.{module}", *options)


def cores() -> tuple[int, int] | None:
    """Return a core for the server and one for the load; None where they can't be told apart."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else None


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Run the block, and what it starts, on one core."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Server:
    """A peer that runs; it is ended by its own process id, and so is what it started."""

    def __init__(self, peer: Peer) -> None:
        server_core, load_core = peer.cores or (None, None)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        if server_core is not None:
            environment["BENCHMARK_SERVER_CORE"] = str(server_core)
        with on_core(load_core if peer.apart else server_core):
            self._process = subprocess.Popen(
                peer.command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        hello = self.answer()
        self.port = int(hello["port"])
        self._pid = int(hello.get("server_pid", self._process.pid))

    def order(self, rate: float, count: int, *, scheduled: bool) -> None:
        """Have events published, and return as that begins; the answer comes when they are."""
        assert self._process.stdin is not None
        line = json.dumps({"rate": rate, "count": count, "scheduled": scheduled})
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        self.answer()

    def answer(self) -> dict[str, Any]:
        """Return the next answer; raise LostError when there is none."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], ANSWER_S)[0]:
            raise LostError("no answer")
        line = self._process.stdout.readline()
        if not line:
            raise LostError("it ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def cpu_s(self) -> float:
        """Return the CPU seconds that the server has used."""
        return sum(_cpu_ticks(pid) for pid in self._pids()) / _TICKS_A_SECOND

    def rss_kib(self) -> int:
        """Return the memory that the server holds."""
        return sum(_rss_kib(pid) for pid in self._pids())

    def close(self) -> None:
        """End the server, gently or not."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.terminate()
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def _pids(self) -> list[int]:
        children = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text()
        return [self._pid, *map(int, children.split())]


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def _rss_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)
