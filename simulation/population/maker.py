"""Market makers without an anchor: they quote around the last trade, and lean."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from bots.strategy import cancel
from market.events import Tick
from market.orders import Command, PlaceOrder
from market.values import Side, Symbol
from simulation.population.nerves import Nerves
from simulation.population.trader import Trader


class Maker(Trader):
    """Quotes both sides around the last trade, ``half_spread`` ticks away, at every turn anew.

    Both quotes stand lower the more it holds, by ``lean`` ticks at its limit, and
    ``1 + caution * (tension - 1)`` times as far away while its nerves are tense.

    Source:
        Avellaneda and Stoikov (2008), Quantitative Finance 8, 217-224: the lean, here linear, and
        the spread that grows with the risk.
    """

    usual: ClassVar[Mapping[str, float]] = {
        "chance": 0.5,
        "half_spread": 3,
        "lean": 30,
        "caution": 0.0,
        "fear": 0.5,
        "memory": 10,
        "horizon": 1000,
    }

    def begin(self) -> None:
        """Make ready."""
        self._nerves = Nerves.of(self.habits)

    def act(self, of: Symbol, tick: Tick) -> PlaceOrder | None:
        """Return nothing: it quotes in pairs."""
        del of, tick
        return None

    def _turn(self, tick: Tick) -> Sequence[Command]:
        of = tick.symbol
        self._nerves.feel(of, self.last.setdefault(of, float(tick.price)))
        if self.rng.random() >= self.chance:
            return ()
        commands: list[Command] = [cancel(old.order_id) for old in self.resting.of(of)]
        step = float(self.instruments[of].tick_size)
        held = float(self.holdings[of].quantity / self.amounts[of]) / self.limit
        middle = self.last[of] - held * self.habits["lean"] * step
        away = self.habits["half_spread"] * self._nerves.width(of, self.habits["caution"]) * step
        for side in (Side.BUY, Side.SELL):
            quote = self.at_limit(of, side, middle - side.sign * away)
            if quote is not None:
                commands.append(quote)
        return commands
