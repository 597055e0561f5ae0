"""The terms that risk is told in."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the numbers are told in: the horizon, the year, and the scenarios that are applied.

    Attributes:
        horizon_s: trading seconds over which losses and volatility are told.
        year_s: trading seconds in a year; 31 536 000 where trading never stops.
        benchmark: weights that portfolios are compared with, adding up to 1; {} for none.
        shocks: name of a scenario -> symbol (or ``*``) -> relative move of its price.
    """

    horizon_s: float = 60.0
    year_s: float = 31_536_000.0
    benchmark: Mapping[str, float] = field(default_factory=dict)
    shocks: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
