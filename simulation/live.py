"""A scenario before a live exchange."""

from collections.abc import Callable
from typing import Any
from simulation.config import RunConfig
from simulation.results import RunResult


def play_live(config: RunConfig, *, for_s: float | None, say: Callable[..., Any]) -> RunResult:
    """Play."""
    raise LookupError(config, for_s, say)
