"""Traders in the style of the field's models; each is a strategy, and runs live as well."""

from collections.abc import Mapping
from typing import Final

from bots.strategy import Strategy

POPULATION: Final[Mapping[str, type[Strategy]]] = {}
