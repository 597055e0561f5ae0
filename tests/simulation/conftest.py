"""Scenarios as a fixture: `play("crash.toml", seed=3)` gives the result of a run."""

from pathlib import Path

import pytest

from simulation.scenario import Play, play
from simulation.sweep import quiet


@pytest.fixture(autouse=True, scope="session")
def _quiet() -> None:
    quiet()


@pytest.fixture(name="play")
def play_fixture() -> Play:
    return lambda name, seed=0: play(Path(name), seed=seed)
