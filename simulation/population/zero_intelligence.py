"""Traders without a thought: they order at random, and a market works all the same."""

from collections.abc import Mapping
from typing import ClassVar

from market.events import Tick
from market.orders import PlaceOrder
from market.values import Side, Symbol
from simulation.population.trader import Trader


class ZeroIntelligence(Trader):
    """Orders at random: either side, at the market or at a limit up to ``reach`` ticks away.

    Source:
        Gode and Sunder (1993), Journal of Political Economy 101, 119-137; Farmer, Patelli and
        Zovko (2005), PNAS 102, 2254-2259.
    """

    usual: ClassVar[Mapping[str, float]] = {"market": 0.3, "reach": 20}

    def act(self, of: Symbol, tick: Tick) -> PlaceOrder | None:
        """Return an order that the dice have made."""
        del tick
        side = self.rng.choice((Side.BUY, Side.SELL))
        if self.rng.random() < self.habits["market"]:
            return self.at_market(of, side)
        step = float(self.instruments[of].tick_size)
        away = self.rng.randint(1, int(self.habits["reach"])) * step
        return self.at_limit(of, side, self.last[of] - side.sign * away)
