"""The peers that fill orders from bars: the turns and the quotes in each, as documented.

Bars are made before the clock starts, open, high, low and close the price of the tick. An order is
filled at the next bar's price, there is no book, and nobody but the strategy is in the market. One
strategy does both, which is cheaper for them than two. The quotes stand as far away as a price
moves at a time, so that no bar ever reaches them, as nobody but the turner takes of ours; which are
withdrawn and placed at each tick is read from a list (see `work.quotes`), the ones that it takes of
included.
"""

import asyncio
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from time import process_time
from typing import Any, Final

from benchmarks.markets.work import (
    AMOUNT,
    CASH,
    MOST_MOVE,
    QUOTED,
    STEP,
    Figures,
    Quotes,
    prices,
    quotes,
)

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS: Final = ("open", "high", "low", "close")
EXACT_STEP: Final = Decimal(str(STEP))
OWNED: Final = Decimal(1_000_000)  # to sell from where nobody can sell short


class Turns:
    """The rule of the turns, the quotes to come, and what has been done of both."""

    def __init__(self, ticks: int, *, quoting: bool) -> None:
        self.quoting = quoting
        self._coming = iter(quotes(prices(ticks), farther=MOST_MOVE) if quoting else ())
        self.placed = self.withdrawn = self.fills = 0
        self._ticks, self._held = ticks, False
        self._last: list[float] = []

    def quotes(self) -> Quotes:
        """Return the quotes to withdraw and those to place at the next tick."""
        withdrawn, placed = found = next(self._coming)
        self.withdrawn += len(withdrawn)
        self.placed += len(placed)
        return found

    def turn(self, price: float, held: object) -> int:
        """Return what to do at a price: 1 buys, -1 sells, 0 is nothing."""
        if bool(held) is not self._held:
            self._held = not self._held
            self.fills += 1
        last = self._last
        last.append(price)
        if len(last) < 3:
            return 0
        before, middle, now = last
        del last[0]
        if before < middle > now and not held:
            found = 1
        elif before > middle < now and held:
            found = -1
        else:
            return 0
        self.placed += 1
        return found

    def figures(self, seconds: float) -> Figures:
        """Return what was done."""
        return Figures(seconds, self._ticks, self.placed, self.withdrawn, self.fills)


def table(ticks: int, columns: Sequence[str]) -> Any:
    """Return the prices as a table of bars, a second each."""
    pandas: Any = import_module("pandas")
    series = [round(price * STEP, 2) for price in prices(ticks)]
    index = pandas.date_range("2026-01-01", periods=ticks, freq="s")
    return pandas.DataFrame(dict.fromkeys(columns, series), index=index)


def backtrader(ticks: int, *, quoting: bool, fastest: bool = False) -> Figures:
    """Run backtrader bar by bar; ``fastest`` steps ahead in vectors and checks no order's cash."""
    library: Any = import_module("backtrader")
    frame = table(ticks, COLUMNS)
    frame["volume"] = 1.0
    turns = Turns(ticks, quoting=quoting)
    cerebro = library.Cerebro(runonce=fastest, stdstats=False)
    cerebro.adddata(library.feeds.PandasData(dataname=frame))
    cerebro.addstrategy(_backtrader_strategy(library, turns))
    cerebro.broker.setcash(CASH)
    cerebro.broker.set_checksubmit(not fastest)
    begin = process_time()
    cerebro.run()
    return turns.figures(process_time() - begin)


def _backtrader_strategy(library: Any, turns: Turns) -> Any:
    limit = library.Order.Limit
    standing: dict[int, Any] = {}

    class Strategy(library.Strategy):  # type: ignore[misc]
        def next(self) -> None:
            if turns.quoting:
                self.quote()
            turn = turns.turn(self.data.close[0], self.position)
            if turn:
                (self.buy if turn > 0 else self.sell)(size=AMOUNT)

        def quote(self) -> None:
            withdrawn, placed = turns.quotes()
            for quote in withdrawn:
                self.cancel(standing.pop(quote))
            for quote in placed:
                enter = self.buy if quote > 0 else self.sell
                standing[quote] = enter(size=QUOTED, price=abs(quote) * STEP, exectype=limit)

    return Strategy


def pyalgotrade(ticks: int, *, quoting: bool) -> Figures:
    """Run PyAlgoTrade from bars in memory."""
    turns = Turns(ticks, quoting=quoting)
    running = _pyalgotrade_strategy(turns)(_pyalgotrade_feed(ticks), CASH)
    begin = process_time()
    running.run()
    return turns.figures(process_time() - begin)


def _pyalgotrade_feed(ticks: int) -> Any:
    bar: Any = import_module("pyalgotrade.bar")
    memory: Any = import_module("pyalgotrade.barfeed.membf")
    second = bar.Frequency.SECOND

    class Feed(memory.BarFeed):  # type: ignore[misc]
        def barsHaveAdjClose(self) -> bool:  # noqa: N802 - its name
            return False

    begin = BEGIN.replace(tzinfo=None)
    bars = [
        bar.BasicBar(begin + timedelta(seconds=n), *[price * STEP] * 4, 1000.0, None, second)
        for n, price in enumerate(prices(ticks))
    ]
    feed = Feed(second)
    feed.addBarsFromSequence("TCS", bars)
    return feed


def _pyalgotrade_strategy(turns: Turns) -> Any:
    library: Any = import_module("pyalgotrade.strategy")
    standing: dict[int, Any] = {}

    class Strategy(library.BacktestingStrategy):  # type: ignore[misc]
        def onBars(self, bars: Any) -> None:  # noqa: N802 - its name
            if turns.quoting:
                self.quote()
            turn = turns.turn(bars["TCS"].getClose(), self.getBroker().getShares("TCS"))
            if turn:
                self.marketOrder("TCS", turn * AMOUNT)

        def quote(self) -> None:
            withdrawn, placed = turns.quotes()
            broker = self.getBroker()
            for quote in withdrawn:
                broker.cancelOrder(standing.pop(quote))
            for quote in placed:
                size, limit = (QUOTED if quote > 0 else -QUOTED), abs(quote) * STEP
                standing[quote] = self.limitOrder("TCS", limit, size, goodTillCanceled=True)

    return Strategy


def basana(ticks: int, *, quoting: bool) -> Figures:
    """Run Basana from bars in memory, with endless liquidity, and holdings to sell from."""
    library: Any = import_module("basana")
    exchanges: Any = import_module("basana.backtesting.exchange")
    liquidity: Any = import_module("basana.backtesting.liquidity")
    pair = library.Pair("TCS", "USD")
    bars = _basana_bars(library, pair, ticks)
    dispatcher = library.backtesting_dispatcher()
    funds = {"USD": Decimal(CASH), "TCS": OWNED}
    exchange = exchanges.Exchange(dispatcher, funds, liquidity.InfiniteLiquidity)
    exchange.add_bar_source(library.FifoQueueEventSource(events=bars))
    turns = Turns(ticks, quoting=quoting)
    strategy = _BasanaStrategy(turns, exchange, pair, library.OrderOperation)
    exchange.subscribe_to_bar_events(pair, strategy.on_bar)
    begin = process_time()
    asyncio.run(dispatcher.run())
    return turns.figures(process_time() - begin)


def _basana_bars(library: Any, pair: Any, ticks: int) -> list[Any]:
    second = timedelta(seconds=1)

    def bar(number: int, price: Decimal) -> Any:
        begin = BEGIN + number * second
        made = library.Bar(begin, pair, price, price, price, price, Decimal(1000), second)
        return library.BarEvent(begin + second, made)

    return [bar(number, price * EXACT_STEP) for number, price in enumerate(prices(ticks))]


class _BasanaStrategy:
    def __init__(self, turns: Turns, exchange: Any, pair: Any, sides: Any) -> None:
        self._turns, self._exchange, self._pair = turns, exchange, pair
        self._buy, self._sell = sides.BUY, sides.SELL
        self._amount, self._quoted = Decimal(AMOUNT), Decimal(QUOTED)
        self._standing: dict[int, str] = {}

    async def on_bar(self, event: Any) -> None:
        if self._turns.quoting:
            await self._quote()
        held = (await self._exchange.get_balance("TCS")).total > OWNED
        turn = self._turns.turn(event.bar.close, held)
        if turn:
            side = self._buy if turn > 0 else self._sell
            await self._exchange.create_market_order(side, self._pair, self._amount)

    async def _quote(self) -> None:
        withdrawn, placed = self._turns.quotes()
        exchange, standing = self._exchange, self._standing
        for quote in withdrawn:
            await exchange.cancel_order(standing.pop(quote))
        for quote in placed:
            side, limit = (self._buy if quote > 0 else self._sell), abs(quote) * EXACT_STEP
            order = await exchange.create_limit_order(side, self._pair, self._quoted, limit)
            standing[quote] = order.id


def backtesting(ticks: int, *, quoting: bool) -> Figures:
    """Run backtesting.py."""
    library: Any = import_module("backtesting")
    warnings.simplefilter("ignore")
    turns = Turns(ticks, quoting=quoting)
    frame = table(ticks, [name.title() for name in COLUMNS])
    test = library.Backtest(frame, _backtesting_strategy(library, turns), cash=CASH)
    begin = process_time()
    test.run()
    return turns.figures(process_time() - begin)


class _BacktestingRules:
    """What a strategy of backtesting.py does; its first call is at the second bar."""

    turns: Turns
    data: Any
    position: Any
    buy: Any
    sell: Any

    def init(self) -> None:
        self.standing: dict[int, Any] = {}
        self.next = self.first

    def first(self) -> None:
        self.heard(self.data.Close[0])
        self.next = self.every
        self.every()

    def every(self) -> None:
        turn = self.heard(self.data.Close[-1])
        if turn > 0:
            self.buy(size=AMOUNT)
        elif turn:
            self.position.close()

    def heard(self, price: float) -> int:
        if self.turns.quoting:
            self.quote()
        return self.turns.turn(price, self.position)

    def quote(self) -> None:
        withdrawn, placed = self.turns.quotes()
        for quote in withdrawn:
            self.standing.pop(quote).cancel()
        for quote in placed:
            enter = self.buy if quote > 0 else self.sell
            self.standing[quote] = enter(size=QUOTED, limit=abs(quote) * STEP)


def _backtesting_strategy(library: Any, turns: Turns) -> Any:
    class Strategy(_BacktestingRules, library.Strategy):  # type: ignore[misc]
        def next(self) -> None:
            """Stand in until `init` has set another."""

    Strategy.turns = turns
    return Strategy
