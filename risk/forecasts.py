"""Value at risk one beat of the clock ahead, and how it kept its promise."""

from collections.abc import Callable, Mapping
from math import sqrt
from typing import Final

from risk import measures
from risk.arrays import Array
from risk.backtests import Zone
from risk.coverage import Coverage
from risk.errors import UnavailableError
from risk.report import PUBLISHED, CoverageReport
from risk.tails import ranked_losses, ranked_value_at_risk
from risk.valuation import Valuation

FILTERED: Final = "filtered_historical"
FILTERED_NEEDED: Final = 110
"""Rows before its forecasts are judged: the worst of 100, which are left then, is the 99 % one."""


class Forecasts:
    """The forecasts of one valuation, each held against what came.

    Attributes:
        coverage: how each kept its promise so far, by name.
        on_score: called with the loss of each beat and what was forecast for it.
    """

    def __init__(self, valuation: Valuation) -> None:
        self._valuation = valuation
        self._made: dict[str, float] = {}
        self.coverage = {
            **{level: Coverage(float(level)) for level in PUBLISHED},
            **{f"{FILTERED} {level}": Coverage(float(level)) for level in PUBLISHED},
        }
        self.on_score: Callable[[float, Mapping[str, float]], None] = _unheard

    def begin_anew(self) -> None:
        """Forget the forecasts that were not scored: something else is held."""
        self._made = {}

    def score(self, row: Array) -> list[tuple[str, Zone, Zone]]:
        """Hold the last forecasts against a row of the clock, and make the next ones.

        Returns:
            (name, zone now, zone before) of each forecast whose traffic light changed.
        """
        changed = []
        if self._made and self._valuation.is_on_the_clock():
            loss = -float(self._valuation.profits(row[None, :])[0])
            self.on_score(loss, self._made)
            for level, forecast in self._made.items():
                before = self.coverage[level].zone
                if (zone := self.coverage[level].see(loss, forecast)) is not None:
                    changed.append((level, zone, before))
        self._made = self._forecast()
        return changed

    def backtest(self) -> dict[str, CoverageReport]:
        """Return how each value at risk, one beat of the clock ahead, kept its promise."""
        return {level: found.report() for level, found in self.coverage.items()}

    def _forecast(self) -> dict[str, float]:
        held = self._valuation
        reference, clock = held.reference_rates(), held.market.reference
        if reference is None or clock is None or not held.ready or not held.held.any():
            return {}
        if not held.is_on_the_clock():
            return {}
        deviation = measures.volatility(reference, held.exposures()) * sqrt(clock.clock_s)
        found = {
            level: measures.gaussian_value_at_risk(deviation, float(level)) for level in PUBLISHED
        }
        return found | self._filtered_forecast(clock.decay)

    def _filtered_forecast(self, decay: float) -> dict[str, float]:
        pnl = self._valuation.scenario_returns()
        if len(pnl) < FILTERED_NEEDED:
            return {}
        try:
            losses = ranked_losses(measures.filtered_returns(pnl, decay))
        except UnavailableError:  # nothing moved at first
            return {}
        return {
            f"{FILTERED} {level}": ranked_value_at_risk(losses, float(level)) for level in PUBLISHED
        }


def _unheard(_: float, __: Mapping[str, float]) -> None:
    """Do nothing when forecasts are scored."""
