"""Real processes under a real supervisor, as `make start` runs them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from market.settings import ROOT
from supervision.programs import Port, Program
from supervision.settings import Settings
from supervision.states import ProcessState, states
from supervision.stopping import stop
from tests.stopwatch import Stopwatch, waited_s

START = """
import json, signal, sys
from pathlib import Path
from supervision.programs import Port, Program
from supervision.settings import Settings
from supervision.starting import CannotStartError, start

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
root, told = Path(sys.argv[1]), json.loads(sys.argv[2])
settings = Settings(root=root, data_dir=root / "data", log_dir=root / "logs", log_max_bytes=100_000,
                    log_backups=1, restart_max_s=5, stop_grace_s=1)
programs = [
    Program(name=each["name"], command=tuple(each["command"]),
            port=Port(**each["port"]) if each["port"] else None)
    for each in told
]
try:
    start(settings, programs)
except CannotStartError as error:
    sys.exit(str(error))
"""
STEADY = """
import os, sys, time
print("named", os.environ["PROCESS_NAME"])
while True:
    time.sleep(0.05)
"""
STUCK = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
BROKEN = "import no_such_module"
WITHIN_S = 30.0


class Market:
    """A checkout of its own in which stand-ins are started."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings = Settings(
            root=root,
            data_dir=root / "data",
            log_dir=root / "logs",
            log_max_bytes=100_000,
            log_backups=1,
            restart_max_s=5,
            stop_grace_s=1,
        )
        self.programs: list[Program] = []
        self.started: list[subprocess.Popen[str]] = []

    def has(self, name: str, code: str, *, port: Port | None = None) -> None:
        path = self.root / f"{name}.py"
        path.write_text(code)
        self.programs.append(Program(name=name, command=(sys.executable, str(path)), port=port))

    def start(self) -> subprocess.Popen[str]:
        told = json.dumps([asdict(program) for program in self.programs])
        with (self.root / "console").open("a") as console:
            process = subprocess.Popen(
                [sys.executable, "-c", START, str(self.root), told],
                cwd=ROOT,
                stdout=console,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self.started.append(process)
        return process

    def states(self) -> Mapping[str, ProcessState]:
        return {state.name: state for state in states(self.settings, self.programs)}

    def until(self, found: Callable[[Mapping[str, ProcessState]], bool]) -> dict[str, ProcessState]:
        deadline = time.monotonic() + WITHIN_S
        while not found(now := self.states()):
            assert time.monotonic() < deadline, f"{now}\n{self.console()}"
            time.sleep(0.02)
        return dict(now)

    def running(self) -> dict[str, int]:
        now = self.until(lambda all_: all(state.word == "running" for state in all_.values()))
        return {name: state.pid for name, state in now.items() if state.pid}

    def shows(self, text: str) -> None:
        """Wait until the console has a text: it is written beside what the states are made of."""
        deadline = time.monotonic() + WITHIN_S
        while text not in (shown := self.console()):
            assert time.monotonic() < deadline, f"no {text!r} in {shown}"
            time.sleep(0.02)

    def console(self) -> str:
        return (self.root / "console").read_text()


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    made = Market(tmp_path)
    yield made
    stop(made.settings)
    for process in made.started:
        process.wait(WITHIN_S)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _gone(pid: int) -> None:
    deadline = time.monotonic() + WITHIN_S
    while _alive(pid):
        assert time.monotonic() < deadline, f"{pid} lives on"
        time.sleep(0.02)


def test_status_names_each_process_and_its_state(market: Market) -> None:
    market.has("one", STEADY)
    market.has("two", STEADY)
    assert [str(state) for state in market.states().values()] == ["one stopped -", "two stopped -"]
    market.start()
    pids = market.running()
    assert [str(state) for state in market.states().values()] == [
        f"one running {pids['one']}",
        f"two running {pids['two']}",
    ]


def test_a_killed_process_is_started_again_within_two_seconds_and_the_others_go_on(
    market: Market,
) -> None:
    market.has("one", STEADY)
    market.has("two", STEADY)
    supervisor = market.start()
    before = market.running()
    assert min(_comes_back_s(market, "one", supervisor.pid) for _ in range(2)) < 2
    assert market.running()["two"] == before["two"]


def _comes_back_s(market: Market, name: str, supervisor: int) -> float:
    """Kill a process; return how long it took until the kernel had its successor.

    What the supervisor waited for a processor meanwhile is not counted.
    """
    before, waited = market.running()[name], waited_s(supervisor)
    os.kill(before, signal.SIGKILL)
    killed = time.clock_gettime(time.CLOCK_BOOTTIME)
    after = market.until(lambda now: now[name].pid not in {None, before})[name].pid
    if sys.platform != "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME) - killed
    began = int(Path(f"/proc/{after}/stat").read_text().rpartition(")")[2].split()[19])
    return began / os.sysconf("SC_CLK_TCK") - killed - (waited_s(supervisor) - waited)


def test_a_process_that_keeps_failing_is_shown_as_failed_with_its_reason_kept(
    market: Market,
) -> None:
    market.has("broken", BROKEN)
    market.start()
    market.until(lambda now: now["broken"].word == "failed")
    market.shows("broken | ModuleNotFoundError: No module named 'no_such_module'\n")
    kept = (market.root / "logs" / "broken.log").read_text()
    assert "No module named 'no_such_module'" in kept


def test_lines_carry_the_name_that_the_process_was_given(market: Market) -> None:
    market.has("one", STEADY)
    market.start()
    market.shows("one | named one\n")
    assert "\x1b" not in market.console()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_everything_and_the_exit_status_is_zero(
    market: Market, signum: signal.Signals
) -> None:
    market.has("one", STEADY)
    supervisor = market.start()
    pids = market.running()
    supervisor.send_signal(signum)
    assert supervisor.wait(WITHIN_S) == 0
    assert not _alive(pids["one"])
    assert market.states()["one"].word == "stopped"


def test_stop_ends_even_what_does_not_listen_within_five_seconds(market: Market) -> None:
    market.has("stuck", STUCK)
    market.has("one", STEADY)
    supervisor = market.start()
    pids = market.running()
    told = Stopwatch()
    assert stop(market.settings)
    assert told.read() < 5
    assert supervisor.wait(WITHIN_S) == 0
    assert not any(map(_alive, pids.values()))
    assert not stop(market.settings)


def test_a_second_start_is_refused_and_breaks_nothing(market: Market) -> None:
    market.has("one", STEADY)
    market.start()
    before = market.running()
    second = market.start()
    assert second.wait(WITHIN_S) == 1
    assert "Already running in this checkout" in market.console()
    assert market.running() == before


def test_a_taken_port_is_named_and_nothing_is_started(market: Market) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        number = listener.getsockname()[1]
        port = Port(host="127.0.0.1", number=number, setting="RISK_PORT")
        market.has("risk", STEADY, port=port)
        assert market.start().wait(WITHIN_S) == 1
    assert f"Port {number} of 127.0.0.1 is taken" in market.console()
    assert "set RISK_PORT in .env" in market.console()
    assert market.states()["risk"].word == "stopped"


def test_nothing_outlives_a_supervisor_that_is_killed(market: Market) -> None:
    market.has("stuck", STUCK)
    market.has("one", STEADY)
    supervisor = market.start()
    pids = market.running()
    supervisor.kill()
    supervisor.wait(WITHIN_S)
    if sys.platform != "linux":
        stop(market.settings)
    for pid in pids.values():
        _gone(pid)
    market.start()
    assert set(market.running()) == set(pids)


def test_a_long_path_of_the_checkout_is_no_hindrance(tmp_path: Path) -> None:
    root = tmp_path / ("long" * 30)
    root.mkdir()
    market = Market(root)
    market.has("one", STEADY)
    supervisor = market.start()
    try:
        market.running()
    finally:
        stop(market.settings)
    assert supervisor.wait(WITHIN_S) == 0
