"""What a run leaves behind: equity, prices and fills over time, and the sums of them all."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import sqrt
from typing import Any, Final

from msgspec import Struct

from market.events import Fact, SourceState, State, Tick, Trade
from market.orders import OrderFilled, TradingState, TradingStateChanged
from simulation.config import DAY_S
from simulation.results import MarketResult
from simulation.series import Series

MOST_FILLS: Final = 2000
ZERO: Final = Decimal(0)


@dataclass(slots=True)
class Equity:
    """The equity of an agent, sampled: its path, its drawdown, and the moments of its changes."""

    path: Series[tuple[float, float]] = field(default_factory=Series)
    last: float | None = None
    peak: float = 0.0
    max_drawdown: float = 0.0
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def sample(self, seconds: float, equity: float) -> None:
        """Take the equity at a time in."""
        self.path.add((seconds, equity))
        if self.last is not None:
            self._change(equity - self.last)
        self.last = equity
        self.peak = max(self.peak, equity)
        if self.peak > 0:
            self.max_drawdown = max(self.max_drawdown, 1 - equity / self.peak)

    def sharpe(self, sample_s: float) -> float | None:
        """Return the daily Sharpe ratio of the samples, risk-free rate zero; None without any.

        Source:
            Lo (2002), The statistics of Sharpe ratios, Financial Analysts Journal 58, 36-52:
            scaled by the root of the samples in a day, as if they were independent.
        """
        if self.count < 2 or not self.squares:
            return None
        deviation = sqrt(self.squares / (self.count - 1))
        return self.mean / deviation * sqrt(DAY_S / sample_s)

    def _change(self, change: float) -> None:
        """Update mean and squared deviations by Welford's method."""
        self.count += 1
        before = change - self.mean
        self.mean += before / self.count
        self.squares += before * (change - self.mean)


@dataclass(slots=True)
class _Range:
    first: Decimal | None = None
    last: Decimal | None = None
    low: Decimal | None = None
    high: Decimal | None = None

    def see(self, points: Sequence[tuple[float, Decimal]]) -> None:
        prices = [price for _, price in points]
        low, high = min(prices), max(prices)
        if self.low is None or self.high is None:
            self.first, self.low, self.high = prices[0], low, high
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.last = prices[-1]


class Instrument:
    """What is recorded of one instrument."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.quoted, self.traded = _Range(), _Range()
        self.path: Series[tuple[float, float]] = Series()
        self.trades: Series[tuple[float, float]] = Series()
        self.ticks = self.trade_count = 0
        self.volume = ZERO
        self.states: Counter[State] = Counter()
        self.halts = 0

    def quote(self, points: Sequence[tuple[float, Decimal]]) -> None:
        """Take times and prices of its source."""
        self.ticks += len(points)
        self.quoted.see(points)
        self.path.extend(len(points), lambda n: (points[n][0], float(points[n][1])))

    def trade(self, points: Sequence[tuple[float, Decimal]]) -> None:
        """Take times and prices of trades."""
        self.trade_count += len(points)
        self.traded.see(points)
        self.trades.extend(len(points), lambda n: (points[n][0], float(points[n][1])))

    def result(self, faults: int) -> MarketResult:
        """Return what became of it."""
        return MarketResult(
            symbol=self.symbol,
            ticks=self.ticks,
            first=self.quoted.first,
            last=self.quoted.last,
            low=self.quoted.low,
            high=self.quoted.high,
            trades=self.trade_count,
            volume=self.volume,
            last_trade=self.traded.last,
            low_trade=self.traded.low,
            high_trade=self.traded.high,
            halts=self.halts,
            down=self.states[State.DOWN],
            stale=self.states[State.STALE],
            faults=faults,
        )


class Fill(Struct, frozen=True, gc=False):
    """A fill of an agent, for pictures."""

    seconds: float
    account: str
    symbol: str
    side: str
    price: float
    quantity: float


class Recorder:
    """Takes what is published; its memory does not grow with the length of the run."""

    def __init__(self, symbols: tuple[str, ...], agents: tuple[str, ...]) -> None:
        self.instruments = {symbol: Instrument(symbol) for symbol in symbols}
        self.equity = {name: Equity() for name in agents}
        self.fills: dict[str, Series[Fill]] = {name: Series(MOST_FILLS) for name in agents}
        self._takes: dict[type[Fact], Callable[[Any, float], None]] = {
            OrderFilled: self._filled,
            SourceState: self._source,
            TradingStateChanged: self._state,
        }

    def published(self, fact: Fact, seconds: float) -> None:
        """Take a fact that everyone is told."""
        self.take((fact,), (seconds,))

    def take(self, facts: Sequence[Fact], seconds: Sequence[float]) -> None:
        """Take what happened, in its order, each fact with its time."""
        quoted: _Points = defaultdict(list)
        traded: _Points = defaultdict(list)
        for fact, time in zip(facts, seconds, strict=True):
            if isinstance(fact, Tick):
                quoted[fact.symbol].append((time, fact.price))
            elif isinstance(fact, Trade):
                traded[fact.symbol].append((time, fact.price))
                self.instruments[fact.symbol].volume += fact.quantity
            elif (take := self._takes.get(type(fact))) is not None:
                take(fact, time)
        for symbol, points in quoted.items():
            self.instruments[symbol].quote(points)
        for symbol, points in traded.items():
            self.instruments[symbol].trade(points)

    def _filled(self, fill: OrderFilled, seconds: float) -> None:
        if (kept := self.fills.get(fill.account)) is not None:
            price, quantity = float(fill.price), float(fill.quantity)
            kept.add(Fill(seconds, fill.account, fill.symbol, fill.side, price, quantity))

    def _source(self, fact: SourceState, _: float) -> None:
        self.instruments[fact.symbol].states[fact.state] += 1

    def _state(self, fact: TradingStateChanged, _: float) -> None:
        self.instruments[fact.symbol].halts += fact.state is TradingState.HALTED


_Points = defaultdict[str, list[tuple[float, Decimal]]]
