"""Traders in the style of the field's models; each is a strategy, and runs live as well."""

from collections.abc import Mapping
from typing import Final

from bots.strategy import Strategy
from simulation.population.chartists import MeanReversion, Momentum
from simulation.population.herd import Herd
from simulation.population.maker import Maker
from simulation.population.value import Value
from simulation.population.zero_intelligence import ZeroIntelligence

POPULATION: Final[Mapping[str, type[Strategy]]] = {
    "zero-intelligence": ZeroIntelligence,
    "maker": Maker,
    "momentum": Momentum,
    "mean-reversion": MeanReversion,
    "value": Value,
    "herd": Herd,
}
"""The traders by the names that a configuration gives them, beside those of the bots."""
