"""How long a message is under way: models with a generator of their own, in microseconds."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp
from random import Random
from typing import Any, Final, Protocol

import msgspec

from simulation.errors import ConfigError

MOST_MS: Final = 3_600_000.0


class Latency(Protocol):
    """Says how long the next message takes."""

    def draw(self) -> int:
        """Return the microseconds that the next message is under way, at least 0."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """Every message takes the same time."""

    microseconds: int = 0

    def draw(self) -> int:
        return self.microseconds


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every time from ``low`` to ``high`` microseconds is as likely as any other."""

    low: int
    high: int
    rng: Random

    def draw(self) -> int:
        return self.low + int(self.rng.random() * (self.high - self.low + 1))


@dataclass(frozen=True, slots=True)
class LogNormal:
    """``median * exp(sigma * Z)`` microseconds, Z standard normal, an hour at most.

    The shape that delays over networks have: never negative, a long tail to the right.
    """

    median: float
    sigma: float
    rng: Random

    def draw(self) -> int:
        most = MOST_MS * 1000
        return int(min(most, self.median * exp(min(50.0, self.sigma * self.rng.gauss(0.0, 1.0)))))


class LatencyConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model and its parameters, in milliseconds; what a model does not have stays at 0."""

    model: str = "constant"
    ms: float = 0.0
    low_ms: float = 0.0
    high_ms: float = 0.0
    median_ms: float = 0.0
    sigma: float = 0.0

    def __post_init__(self) -> None:
        times = (self.ms, self.low_ms, self.high_ms, self.median_ms)
        if self.model not in {"constant", "uniform", "lognormal"}:
            raise ValueError("a latency is constant, uniform or lognormal")
        if not all(0 <= time <= MOST_MS for time in times) or not 0 <= self.sigma <= 10:
            raise ValueError(f"latencies are 0 to {MOST_MS:g} ms, sigma 0 to 10")
        if self.high_ms < self.low_ms:
            raise ValueError("high_ms is below low_ms")

    def build(self, rng: Random) -> Latency:
        """Return the model, drawing from ``rng`` alone."""
        if self.model == "uniform":
            return Uniform(round(self.low_ms * 1000), round(self.high_ms * 1000), rng)
        if self.model == "lognormal":
            return LogNormal(self.median_ms * 1000, self.sigma, rng)
        return Constant(round(self.ms * 1000))


def latency_of(given: float | Mapping[str, Any]) -> LatencyConfig:
    """Return the configuration of a number of milliseconds, or of a table with a model.

    Raises:
        ConfigError: there is no such model, or a parameter will not do.
    """
    table = given if isinstance(given, Mapping) else {"ms": given}
    try:
        return msgspec.convert(table, LatencyConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"latency: {error}") from error
