"""A scenario as a function, for tests: play it, and it fails where its assertions do.

As a pytest fixture it is in `simulation.fixtures`.
"""

from pathlib import Path
from typing import Protocol

from simulation.config import RunConfig, load
from simulation.results import RunResult
from simulation.run import simulate


class Play(Protocol):
    """Plays a scenario and returns what it came to."""

    def __call__(self, name: str, seed: int = 0) -> RunResult:
        """Play the scenario of that name, or in that file."""
        ...


class ScenarioFailedError(AssertionError):
    """Something that a scenario promises does not hold; ``result`` is what it came to."""

    def __init__(self, result: RunResult) -> None:
        super().__init__(f"{result.name}, seed {result.seed}: {'; '.join(result.failed)}")
        self.result = result


def play(scenario: Path | RunConfig, seed: int = 0) -> RunResult:
    """Return what a scenario comes to.

    Raises:
        ScenarioFailedError: an assertion of it does not hold.
        ConfigError: there is no such scenario, or it makes no sense.
    """
    config = scenario if isinstance(scenario, RunConfig) else load(scenario)
    result = simulate(config, seed)
    if result.failed:
        raise ScenarioFailedError(result)
    return result
