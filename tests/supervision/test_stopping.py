import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from supervision.locks import holder
from supervision.stopping import end

HOLD = """
import pathlib, signal, sys
from supervision.locks import Lock
if sys.argv[2] == "stuck":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
lock = Lock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def _holder(path: Path, manner: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", HOLD, str(path), manner]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process


def test_a_leftover_is_asked_to_end(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    with _holder(path, "willing") as process:
        assert end([path], within_s=20)
        assert process.wait(20) == -15
    assert holder(path) is None


def test_a_leftover_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    with _holder(path, "stuck") as process:
        assert end([path], within_s=0.1)
        assert process.wait(20) == -9


def test_a_process_whose_lock_was_dropped_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    path.write_text("1\n")
    assert not end([path], within_s=0.1)
