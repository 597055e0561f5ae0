"""Traders without a thought: they order at random, and a market works all the same."""

from collections.abc import Mapping
from typing import ClassVar

from market.events import Tick
from market.orders import PlaceOrder
from market.values import Side, Symbol
from simulation.population.nerves import Nerves
from simulation.population.trader import Trader


class ZeroIntelligence(Trader):
    """Orders at random: either side, at the market or at a limit up to ``reach`` ticks away.

    The limits are ``1 + caution * (tension - 1)`` times as far away while the market is tense.

    Source:
        Gode and Sunder (1993), Journal of Political Economy 101, 119-137; Farmer, Patelli and
        Zovko (2005), PNAS 102, 2254-2259; a reach that grows with the volatility: Chiarella, Iori
        and Perello (2009), Journal of Economic Dynamics and Control 33, 525-537.
    """

    usual: ClassVar[Mapping[str, float]] = {
        "market": 0.3,
        "reach": 20,
        "caution": 0.0,
        "fear": 0.0,
        "memory": 60,
        "horizon": 1000,
    }

    def begin(self) -> None:
        """Make ready."""
        self._nerves = Nerves.of(self.habits)

    def ticked(self, tick: Tick) -> None:
        """Compare the last move with the usual ones."""
        self._nerves.feel(tick.symbol, self.last[tick.symbol])

    def act(self, of: Symbol, tick: Tick) -> PlaceOrder | None:
        """Return an order that the dice have made."""
        del tick
        side = self.rng.choice((Side.BUY, Side.SELL))
        if self.rng.random() < self.habits["market"]:
            return self.at_market(of, side)
        step = float(self.instruments[of].tick_size)
        reach = self.habits["reach"] * self._nerves.width(of, self.habits["caution"])
        away = self.rng.randint(1, max(1, int(reach))) * step
        return self.at_limit(of, side, self.last[of] - side.sign * away)
