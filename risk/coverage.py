"""The forecasts of a portfolio against what then happened, over the last ones: its own backtest."""

from collections import deque
from typing import Final

from risk.backtests import Zone, christoffersen, kupiec, traffic_light
from risk.report import CoverageReport

WINDOW: Final = 250
"""Forecasts that are looked at, as in Basel's framework."""

JUDGED_FROM: Final = 50
"""Forecasts before the light is lit: one bad beat out of two is no verdict."""


class Coverage:
    """The exceptions of one kind of forecast at one level."""

    def __init__(self, level: float, window: int = WINDOW) -> None:
        self.probability = 1 - level
        self._hits: deque[bool] = deque(maxlen=window)
        self.zone = Zone.GREEN

    def see(self, loss: float, forecast: float) -> Zone | None:
        """Take a loss and what was forecast for it; return the new zone when it changes."""
        self._hits.append(loss > forecast)
        if len(self._hits) < JUDGED_FROM:
            return None
        zone = traffic_light(len(self._hits), sum(self._hits), self.probability)
        if zone is self.zone:
            return None
        self.zone = zone
        return zone

    @property
    def observations(self) -> int:
        """How many forecasts are in the window."""
        return len(self._hits)

    @property
    def exceptions(self) -> int:
        """How many of them were exceeded."""
        return sum(self._hits)

    def report(self) -> CoverageReport:
        """Return the tests of the window; a test that cannot be made is None."""
        judged = len(self._hits) >= JUDGED_FROM
        if not self._hits:
            return CoverageReport(
                observations=0, exceptions=0, kupiec_p=None, christoffersen_p=None, zone="unknown"
            )
        independent = christoffersen(self._hits).p_value if len(self._hits) > 1 else None
        return CoverageReport(
            observations=self.observations,
            exceptions=self.exceptions,
            kupiec_p=kupiec(self.observations, self.exceptions, self.probability).p_value,
            christoffersen_p=independent,
            zone=self.zone if judged else "unknown",
        )
