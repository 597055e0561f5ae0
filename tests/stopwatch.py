"""How long a thing took, whatever else the machine had to do meanwhile."""

from pathlib import Path
from time import monotonic


class Stopwatch:
    """Runs while our main thread runs or sleeps, and stands while it waits for a processor.

    A promise such as "within two seconds" is about the program: a machine that is too busy to run
    it breaks no promise of ours.
    """

    def __init__(self) -> None:
        self._began = _now_s()

    def read(self) -> float:
        """Return the seconds since it was made."""
        return _now_s() - self._began


def _now_s() -> float:
    return monotonic() - waited_s()


def waited_s(pid: int | str = "self") -> float:
    """Return for how long the kernel has had no processor for us, or another process (Linux)."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0
