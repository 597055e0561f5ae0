"""Small runs for tests."""

from collections.abc import Mapping
from typing import Any

from simulation.config import RunConfig, parsed
from simulation.event_log import EventLog
from simulation.results import RunResult
from simulation.run import Simulation

SECOND = 1 / 86_400


def a_config(seconds: float = 120, **given: Any) -> RunConfig:
    table: Mapping[str, Any] = {"days": seconds * SECOND, "risk": {"on": False}, **given}
    return parsed(table)


def ran(config: RunConfig, seed: int = 7) -> tuple[Simulation, RunResult]:
    with EventLog() as log:
        market = Simulation(config, seed, log)
        return market, market.run()
