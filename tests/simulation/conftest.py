"""Scenarios as a fixture: `scenario("crash.toml", seed=3)` gives the result of a run."""

import pytest

from simulation.fixtures import scenario
from simulation.sweep import quiet

__all__ = ["scenario"]


@pytest.fixture(autouse=True, scope="session")
def _quiet() -> None:
    quiet()
