"""Scenarios for pytest: ``from simulation.fixtures import scenario`` in a `conftest.py`.

A test that asks for ``scenario`` plays one: ``scenario("crash.toml", seed=3)``.
"""

from pathlib import Path

import pytest

from simulation.results import RunResult
from simulation.scenario import Play, play
from simulation.sweep import quiet


@pytest.fixture
def scenario(request: pytest.FixtureRequest) -> Play:
    """Play a scenario that is beside the test, where pytest runs, or in the box.

    What it plays returns the result, and raises ScenarioFailedError where an assertion of the
    scenario does not hold.
    """
    quiet()
    return player(request.path.parent)


def player(folder: Path) -> Play:
    """Return what plays a scenario by its name, those in ``folder`` first."""

    def played(name: str, seed: int = 0) -> RunResult:
        beside = folder / name
        return play(beside if beside.exists() else Path(name), seed)

    return played
