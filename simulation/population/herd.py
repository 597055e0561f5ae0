"""Traders who do what the others do, the more so the more is going on."""

from collections.abc import Mapping
from typing import ClassVar

from market.events import Tick, Trade
from market.orders import PlaceOrder
from market.values import Side, Symbol
from simulation.population.nerves import Nerves
from simulation.population.trader import Trader


class Herd(Trader):
    """Follows the flow of the others' trades; turmoil wakes it up, and a fall more than a rise.

    Its mood is an average of the sides of the trades. It is ``1 + alarm * (tension - 1)`` times as
    likely to act as usual while its nerves are tense. That feeds moves back into activity, which is
    where clusters of volatility come from.

    Source:
        Lux and Marchesi (1999), Nature 397, 498-500; Cont and Bouchaud (2000), Macroeconomic
        Dynamics 4, 170-196: herding as the origin of clusters and tails; the rule is ours.
    """

    usual: ClassVar[Mapping[str, float]] = {
        "alarm": 2.0,
        "fear": 0.5,
        "memory": 30,
        "horizon": 1000,
        "conviction": 0.6,
    }

    def begin(self) -> None:
        """Make ready."""
        self._alarm, self._conviction = self.habits["alarm"], self.habits["conviction"]
        self._weight = 1 / self.habits["memory"]
        self._nerves = Nerves.of(self.habits)
        self._mood: dict[Symbol, float] = {}

    def traded(self, trade: Trade) -> None:
        """Let a trade move the mood."""
        mood = self._mood.get(trade.symbol, 0.0)
        self._mood[trade.symbol] = mood + self._weight * (trade.side.sign - mood)

    def ticked(self, tick: Tick) -> None:
        """Compare the last move with the usual ones."""
        self._nerves.feel(tick.symbol, self.last[tick.symbol])

    def activity(self, of: Symbol) -> float:
        """Return how much more likely it is to act: 1 when it is calm, 10 at most."""
        return self._nerves.activity(of, self._alarm)

    def act(self, of: Symbol, tick: Tick) -> PlaceOrder | None:
        """Return an order with the others, or, as often as it doubts, with nobody."""
        del tick
        mood = self._mood.get(of, 0.0)
        likely = 0.5 + 0.5 * max(-1.0, min(1.0, self._conviction * mood))
        return self.at_market(of, Side.BUY if self.rng.random() < likely else Side.SELL)
