import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from supervision.console import Console
from supervision.extension import Extension, PromptPoller


@dataclass
class Process:
    """A supervised process as the extension sees it."""

    backoff: int = 0
    delay: float = 0.0
    config: Any = field(default_factory=lambda: SimpleNamespace(name="risk"))


@dataclass
class Event:
    """An event of supervisor's as the extension sees it."""

    process: Process = field(default_factory=Process)
    channel: str = "stdout"
    data: bytes = b""


@pytest.fixture
def quiet() -> Iterator[int]:
    with Path(os.devnull).open("wb") as nothing:
        yield nothing.fileno()


@pytest.fixture
def extension(quiet: int, tmp_path: Path) -> Extension:
    console = Console(quiet, ["risk"], color=False)
    return Extension(console, log_dir=tmp_path, log_max_bytes=100, restart_max_s=8)


def test_a_process_that_keeps_failing_waits_longer_each_time_up_to_the_limit(
    extension: Extension,
) -> None:
    waits = {1: 0.25, 2: 0.5, 3: 1, 4: 2, 5: 4, 6: 8, 7: 8, 1000: 8}
    for failures, wait_s in waits.items():
        event = Event(Process(backoff=failures))
        before = time.time()
        extension.failed(event)
        assert before + wait_s <= event.process.delay <= time.time() + wait_s


def test_what_goes_to_standard_error_is_kept_in_the_log_file(
    extension: Extension, tmp_path: Path
) -> None:
    extension.printed(Event(channel="stderr", data=b"Traceback\n"))
    extension.printed(Event(channel="stdout", data=b"logged by the process itself\n"))
    assert (tmp_path / "risk.log").read_bytes() == b"Traceback\n"


def test_a_log_file_that_only_gets_tracebacks_stays_bounded(
    extension: Extension, tmp_path: Path
) -> None:
    for _ in range(100):
        extension.printed(Event(channel="stderr", data=b"x" * 50))
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {"risk.log", "risk.log.1"}
    assert max(sizes.values()) <= 200


def test_a_log_folder_that_is_gone_stops_nothing(quiet: int, tmp_path: Path) -> None:
    console = Console(quiet, ["risk"], color=False)
    extension = Extension(console, log_dir=tmp_path / "no", log_max_bytes=100, restart_max_s=8)
    extension.printed(Event(channel="stderr", data=b"lost\n"))


def test_a_poller_is_asked_often() -> None:
    asked = []

    class Poller:
        """Notes how long it is told to wait."""

        name = "theirs"

        def poll(self, timeout: float) -> tuple[list[int], list[int]]:
            asked.append(timeout)
            return [], []

    poller = PromptPoller(Poller(), 0.1)
    poller.poll(1)
    assert asked == [0.1]
    assert poller.name == "theirs"
