"""The newest ticks and trades of each symbol, for those who ask instead of listening."""

from collections import defaultdict, deque
from itertools import islice

from market.events import Fact, Tick, Trade
from market.values import Symbol


class Recent:
    """The newest ``keep`` ticks and trades of each symbol."""

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self._ticks: defaultdict[Symbol, deque[Tick]] = defaultdict(lambda: deque(maxlen=keep))
        self._trades: defaultdict[Symbol, deque[Trade]] = defaultdict(lambda: deque(maxlen=keep))
        self.last_trade_id = 0

    def take(self, fact: Fact) -> None:
        """Remember a tick or a trade; whatever else it is, is passed over."""
        if isinstance(fact, Tick):
            self._ticks[fact.symbol].append(fact)
        elif isinstance(fact, Trade):
            self._trades[fact.symbol].append(fact)
            self.last_trade_id = fact.trade_id

    def ticks(self, symbol: Symbol, limit: int) -> list[Tick]:
        """Return the newest ticks of a symbol, the newest first."""
        return list(islice(reversed(self._ticks.get(symbol, deque())), limit))

    def trades(self, symbol: Symbol, limit: int) -> list[Trade]:
        """Return the newest trades of a symbol, the newest first."""
        return list(islice(reversed(self._trades.get(symbol, deque())), limit))
