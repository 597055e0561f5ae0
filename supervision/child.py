"""What a supervised process does before it becomes what it is: run as a script, ends in an exec.

It takes the lock that proves it ours, dies with the supervisor, and may open many files. Standard
library alone and started with ``-I -S``: it costs each start some 20 ms and no memory.
"""

import ctypes
import fcntl
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(name: str, lock: str, supervisor: int, command: list[str]) -> None:
    """Become ``command``; exit with the reason where that cannot be."""
    _die_with(supervisor)
    _hold(lock, name)
    _raise_file_limit()
    os.environ["PROCESS_NAME"] = name
    os.environ["PYTHONUNBUFFERED"] = "1"
    try:
        os.execv(command[0], command)
    except OSError as error:
        sys.exit(f"{name}: cannot start {command[0]}: {error.strerror}")


def end_with_parent(signum: signal.Signals) -> None:
    """Let the kernel send us ``signum`` when our parent dies, where it can (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signum)


def _die_with(supervisor: int) -> None:
    end_with_parent(signal.SIGKILL)
    if os.getppid() != supervisor:  # it died before we asked
        sys.exit("the supervisor is gone")


def _hold(path: str, name: str) -> None:
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"{name}: another one of this checkout still runs; `make stop` ends it")
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    os.set_inheritable(lock, True)


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])
