"""Traders who look at the price alone: with the trend, and against it."""

from collections.abc import Mapping
from math import sqrt
from typing import ClassVar

from market.events import Tick
from market.orders import PlaceOrder
from market.values import Side, Symbol
from simulation.population.trader import Trader


class Momentum(Trader):
    """Buys while a fast average of the price is above a slow one, and sells below.

    Source:
        Byrd, Hybinette and Balch (2020), ABIDES, Proc. SIGSIM-PADS, the momentum agent there.
    """

    usual: ClassVar[Mapping[str, float]] = {"fast": 20, "slow": 50}

    def begin(self) -> None:
        """Make ready."""
        self._weights = 1 / self.habits["fast"], 1 / self.habits["slow"]
        self._averages: dict[Symbol, tuple[float, float]] = {}

    def ticked(self, tick: Tick) -> None:
        """Move the averages."""
        price = self.last[tick.symbol]
        fast, slow = self._averages.get(tick.symbol, (price, price))
        a, b = self._weights
        self._averages[tick.symbol] = fast + a * (price - fast), slow + b * (price - slow)

    def act(self, of: Symbol, tick: Tick) -> PlaceOrder | None:
        """Return an order with the trend."""
        del tick
        fast, slow = self._averages[of]
        if fast == slow:
            return None
        return self.at_market(of, Side.BUY if fast > slow else Side.SELL)


class MeanReversion(Trader):
    """Bets on the way back when the price is ``entry`` deviations from its average."""

    usual: ClassVar[Mapping[str, float]] = {"window": 100, "entry": 1.5}

    def begin(self) -> None:
        """Make ready."""
        self._weight, self._entry = 1 / self.habits["window"], self.habits["entry"]
        self._moments: dict[Symbol, tuple[float, float]] = {}

    def ticked(self, tick: Tick) -> None:
        """Move the mean and the variance."""
        price = self.last[tick.symbol]
        mean, variance = self._moments.get(tick.symbol, (price, 0.0))
        away = price - mean
        variance = (1 - self._weight) * (variance + self._weight * away * away)
        self._moments[tick.symbol] = mean + self._weight * away, variance

    def act(self, of: Symbol, tick: Tick) -> PlaceOrder | None:
        """Return an order against the move, if it is far enough."""
        del tick
        mean, variance = self._moments[of]
        away = self.last[of] - mean
        if not variance or abs(away) < self._entry * sqrt(variance):
            return None
        return self.at_limit(of, Side.SELL if away > 0 else Side.BUY, self.last[of])
