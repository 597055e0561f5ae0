"""An example to copy: buys what is cheap against its recent average, and sells when it is not.

Run it against a market that runs: ``python -m bots run examples/my_strategy.py:MyStrategy``.
"""

from collections import defaultdict, deque
from decimal import Decimal

from bots import buy, sell
from market.events import Fact, Tick
from market.orders import Command, OrderExpired, OrderFilled, OrderRejected

WINDOW = 20  # ticks
MARGIN = Decimal("0.0005")  # how far below the average is cheap: 0.05 %


class MyStrategy:
    """Holds at most one unit of each symbol, and waits for each order before the next."""

    def __init__(self) -> None:
        self.prices: defaultdict[str, deque[Decimal]] = defaultdict(lambda: deque(maxlen=WINDOW))
        self.held: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.waiting: set[str] = set()

    def decide(self, fact: Fact) -> list[Command]:
        """Trade on ticks; keep count of what is held from one's own fills."""
        if isinstance(fact, Tick):
            return self.trade(fact)
        if isinstance(fact, OrderFilled):
            self.held[fact.symbol] += fact.side.sign * fact.quantity
        if isinstance(fact, OrderFilled | OrderRejected | OrderExpired):
            self.waiting.discard(fact.symbol)
        return []

    def trade(self, tick: Tick) -> list[Command]:
        """Buy below the average, sell above it."""
        seen = self.prices[tick.symbol]
        seen.append(tick.price)
        if len(seen) < WINDOW or tick.symbol in self.waiting:
            return []
        average = sum(seen, Decimal(0)) / len(seen)
        held = self.held[tick.symbol]
        if not held and tick.price < average * (1 - MARGIN):
            self.waiting.add(tick.symbol)
            return [buy(tick.symbol, 1)]
        if held and tick.price > average:
            self.waiting.add(tick.symbol)
            return [sell(tick.symbol, held)]
        return []
