"""The role that every price process plays, and what its parameters may be."""

from collections.abc import Iterator
from math import isfinite
from random import Random
from typing import Final, Protocol

from market.errors import InvalidValueError

YEAR_S: Final = 365 * 24 * 60 * 60
MINUTE: Final = 60 / YEAR_S  # years; what one tick stands for unless a setting says otherwise


class PriceProcess(Protocol):
    """Parameters of a model; the prices follow from them, a start and a generator alone."""

    def prices(self, start: float, rng: Random) -> Iterator[float]:
        """Yield the prices after ``start`` for ever, one a tick, drawing from ``rng`` only."""
        ...


def check(name: str, value: float, holds: bool, rule: str) -> None:
    """Raise InvalidValueError that names the parameter, unless it is finite and the rule holds."""
    if not (holds and isfinite(value)):
        raise InvalidValueError(f"{name} {value:g} must be {rule}")


def check_scale(sigma: float, dt: float) -> None:
    """Raise InvalidValueError unless a volatility and a step of time are usable."""
    check("sigma", sigma, sigma >= 0, "at least 0")
    check("dt", dt, dt > 0, "above 0")
