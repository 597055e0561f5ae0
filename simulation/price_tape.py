"""The price that traders make, tick by tick, held against what real prices are known to do."""

from typing import Final

import numpy as np

from market.events import Fact, Tick, Trade
from market.values import Symbol
from simulation.config import RunConfig
from simulation.errors import ConfigError
from simulation.event_log import EventLog
from simulation.run import Progress, Simulation
from sources.facts import Returns, log_returns

MOST_PRICES: Final = 10_000_000


class PriceTape(EventLog):
    """An event log that notes, at each tick of a symbol, the price of its last trade."""

    def __init__(self, symbol: Symbol) -> None:
        super().__init__()
        self._symbol, self._last = symbol, 0.0
        self.prices: list[float] = []

    def write(self, fact: Fact) -> None:
        """Add a line for a fact, and a price for a tick; none before the first trade."""
        super().write(fact)
        if isinstance(fact, Trade):
            if fact.symbol == self._symbol:
                self._last = float(fact.price)
        elif isinstance(fact, Tick) and fact.symbol == self._symbol and self._last:
            self.prices.append(self._last)
            if len(self.prices) > MOST_PRICES:
                raise ConfigError(f"more than {MOST_PRICES} prices: let it run for fewer days")


def traded_returns(
    config: RunConfig, seed: int, symbol: Symbol, progress: Progress = lambda _: None
) -> Returns:
    """Return the log returns of the trades' price of a run, one a tick.

    Raises:
        InvalidValueError: there are too few, or the price never changes.
    """
    with PriceTape(symbol) as tape:
        Simulation(config, seed, tape).run(progress)
    return log_returns(np.asarray(tape.prices))
