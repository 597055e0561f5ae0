"""Traders who do what the others do, the more so the more is going on."""

from collections.abc import Mapping
from typing import ClassVar

from market.events import Tick, Trade
from market.orders import PlaceOrder
from market.values import Side, Symbol
from simulation.population.trader import Trader


class Herd(Trader):
    """Follows the flow of the others' trades; turmoil wakes it up, and a fall more than a rise.

    Its mood is an average of the sides of the trades. It is ``1 + alarm * turmoil`` times as likely
    to act as usual, turmoil being how much larger the moves of late are than the usual ones; after
    a fall it counts ``fear`` times. That feeds moves back into activity, which is where clusters
    of volatility come from.

    Source:
        Lux and Marchesi (1999), Nature 397, 498-500; Cont and Bouchaud (2000), Macroeconomic
        Dynamics 4, 170-196: herding as the origin of clusters and tails; the rule is ours.
    """

    usual: ClassVar[Mapping[str, float]] = {
        "alarm": 2.0,
        "fear": 2.0,
        "memory": 30,
        "conviction": 0.6,
    }

    def begin(self) -> None:
        """Make ready."""
        self._alarm, self._fear = self.habits["alarm"], self.habits["fear"]
        memory, self._conviction = self.habits["memory"], self.habits["conviction"]
        self._weight, self._slow = 1 / memory, 1 / (40 * memory)
        self._mood: dict[Symbol, float] = {}
        self._before: dict[Symbol, float] = {}
        self._recent: dict[Symbol, float] = {}
        self._usual: dict[Symbol, float] = {}

    def traded(self, trade: Trade) -> None:
        """Let a trade move the mood."""
        mood = self._mood.get(trade.symbol, 0.0)
        self._mood[trade.symbol] = mood + self._weight * (trade.side.sign - mood)

    def ticked(self, tick: Tick) -> None:
        """Compare the last move with the usual ones."""
        of, price = tick.symbol, self.last[tick.symbol]
        change = price / self._before.get(of, price) - 1
        self._before[of] = price
        size = abs(change) * (self._fear if change < 0 else 1.0)
        recent, usual = self._recent.get(of, size), self._usual.get(of, size)
        self._recent[of] = recent + self._weight * (size - recent)
        self._usual[of] = usual + self._slow * (size - usual)

    def activity(self, of: Symbol) -> float:
        """Return how much more likely it is to act: 1 when it is calm, 10 at most."""
        usual = self._usual.get(of, 0.0)
        turmoil = max(0.0, self._recent[of] / usual - 1) if usual else 0.0
        return min(10.0, 1 + self._alarm * turmoil)

    def act(self, of: Symbol, tick: Tick) -> PlaceOrder | None:
        """Return an order with the others, or, as often as it doubts, with nobody."""
        del tick
        mood = self._mood.get(of, 0.0)
        likely = 0.5 + 0.5 * max(-1.0, min(1.0, self._conviction * mood))
        return self.at_market(of, Side.BUY if self.rng.random() < likely else Side.SELL)
