import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervision.locks import HeldError, Lock, holder

HOLD = """
import sys, pathlib
from supervision.locks import Lock
lock = Lock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_says_who_holds_it(tmp_path: Path) -> None:
    with Lock(tmp_path / "a.lock"):
        assert holder(tmp_path / "a.lock") == os.getpid()


def test_a_lock_that_was_given_back_is_held_by_nobody(tmp_path: Path) -> None:
    Lock(tmp_path / "a.lock").close()
    assert holder(tmp_path / "a.lock") is None


def test_a_lock_that_never_was_is_held_by_nobody(tmp_path: Path) -> None:
    assert holder(tmp_path / "none.lock") is None


def test_a_second_taker_is_told_who_was_first(tmp_path: Path) -> None:
    with Lock(tmp_path / "a.lock"), pytest.raises(HeldError) as refused:
        Lock(tmp_path / "a.lock")
    assert refused.value.pid == os.getpid()


def test_a_holder_that_is_killed_holds_no_more(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert holder(path) == process.pid
        process.kill()
        process.wait()
        assert holder(path) is None
