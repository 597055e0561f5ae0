import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from market.settings import ROOT
from supervision.locks import Lock, holder

SHIM = str(ROOT / "supervision" / "child.py")
ATTACHED = """
import os, signal, time
from supervision.child import end_with_parent
end_with_parent(signal.SIGTERM)
print(os.getpid(), flush=True)
time.sleep(600)
"""
PARENT = """
import subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1]])
"""


def _shim(lock: Path, *command: str, supervisor: int | None = None) -> list[str]:
    parent = os.getpid() if supervisor is None else supervisor
    return [sys.executable, "-I", "-S", SHIM, "risk", str(lock), str(parent), *command]


def test_it_becomes_the_command_under_its_name_and_holds_its_lock(tmp_path: Path) -> None:
    code = "import os, sys; print(os.environ['PROCESS_NAME'], os.getpid()); sys.stdin.read()"
    command = _shim(tmp_path / "risk.lock", sys.executable, "-c", code)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"risk {process.pid}\n".encode()
        assert holder(tmp_path / "risk.lock") == process.pid


def _refusal(command: list[str]) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    return ended.stderr


def test_it_does_not_start_beside_another_of_its_name(tmp_path: Path) -> None:
    with Lock(tmp_path / "risk.lock"):
        assert "another one" in _refusal(_shim(tmp_path / "risk.lock", "/bin/true"))


def test_it_does_not_start_for_a_supervisor_that_is_gone(tmp_path: Path) -> None:
    command = _shim(tmp_path / "risk.lock", "/bin/true", supervisor=1)
    assert "the supervisor is gone" in _refusal(command)


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "/no/such/program" in _refusal(_shim(tmp_path / "risk.lock", "/no/such/program"))


if sys.platform == "linux":  # no other system tells a child of that death

    def test_an_attached_process_ends_with_its_parent() -> None:
        command = [sys.executable, "-c", PARENT, ATTACHED]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as parent:
            assert parent.stdout is not None
            child = int(parent.stdout.readline())
            parent.send_signal(signal.SIGKILL)
            parent.wait()
        deadline = time.monotonic() + 30
        while Path(f"/proc/{child}").exists():
            assert time.monotonic() < deadline, f"{child} lives on"
            time.sleep(0.02)
