"""Traders who know what it is worth, each something else."""

from collections.abc import Mapping
from math import exp
from typing import ClassVar

from market.events import Tick
from market.orders import PlaceOrder
from market.values import Side, Symbol
from simulation.population.trader import Trader


class Value(Trader):
    """Trades towards its private belief: the source's price times a noise of its own.

    The belief is off by ``exp(bias)``; the bias is drawn once, with standard deviation ``spread``,
    and is a slow Ornstein-Uhlenbeck process from then on. Nothing is traded within ``margin``.

    Source:
        Grossman and Stiglitz (1980), American Economic Review 70, 393-408, in spirit; the value
        agent of Byrd, Hybinette and Balch (2020), ABIDES.
    """

    usual: ClassVar[Mapping[str, float]] = {"spread": 0.002, "margin": 0.0005, "memory": 500}

    def begin(self) -> None:
        """Make ready."""
        self._spread, self._margin = self.habits["spread"], self.habits["margin"]
        self._keep = 1 - 1 / self.habits["memory"]
        self._bias = {of: self.rng.gauss(0.0, self._spread) for of in self.amounts}

    def ticked(self, tick: Tick) -> None:
        """Let the belief drift."""
        of, keep = tick.symbol, self._keep
        shock = self._spread * (1 - keep * keep) ** 0.5
        self._bias[of] = keep * self._bias[of] + self.rng.gauss(0.0, shock)

    def act(self, of: Symbol, tick: Tick) -> PlaceOrder | None:
        """Return an order towards the belief, at the market when it is far off."""
        belief = float(tick.price) * exp(self._bias[of])
        gap = belief / self.last[of] - 1
        if abs(gap) < self._margin:
            return None
        side = Side.BUY if gap > 0 else Side.SELL
        if abs(gap) > 4 * self._margin:
            return self.at_market(of, side)
        return self.at_limit(of, side, (belief + self.last[of]) / 2)
