"""The price that traders make, tick by tick, held against what real prices are known to do."""

from collections.abc import Sequence
from typing import Final

from market.events import Fact, Tick, Trade
from market.values import Symbol
from simulation.config import RunConfig
from simulation.errors import ConfigError
from simulation.event_log import EventLog
from simulation.run import Progress, Simulation
from sources.facts import Series

MOST_PRICES: Final = 10_000_000


class PriceTape(EventLog):
    """An event log that notes, at each tick of a symbol, the last trade's price and the volume.

    The volume is what was traded since the tick before.
    """

    def __init__(self, symbol: Symbol) -> None:
        super().__init__()
        self._symbol, self._last, self._traded = symbol, 0.0, 0.0
        self.prices: list[float] = []
        self.volumes: list[float] = []

    def take(self, facts: Sequence[Fact]) -> None:
        """Add a line for each fact, and a price for a tick; none before the first trade."""
        super().take(facts)
        for fact in facts:
            self._see(fact)

    def _see(self, fact: Fact) -> None:
        if isinstance(fact, Trade):
            if fact.symbol == self._symbol:
                self._last = float(fact.price)
                self._traded += float(fact.quantity)
        elif isinstance(fact, Tick) and fact.symbol == self._symbol and self._last:
            self.prices.append(self._last)
            self.volumes.append(self._traded)
            self._traded = 0.0
            if len(self.prices) > MOST_PRICES:
                raise ConfigError(f"more than {MOST_PRICES} prices: let it run for fewer days")


def traded(
    config: RunConfig, seed: int, symbol: Symbol, progress: Progress = lambda _: None
) -> Series:
    """Return the trades' price of a run, one a tick, and what was traded up to each."""
    with PriceTape(symbol) as tape:
        Simulation(config, seed, tape).run(progress)
    title = f"{config.name}, trades of {symbol}, seed {seed}"
    return Series(title=title, prices=tape.prices, volumes=tape.volumes)
