"""A simulated market against its peers from the package index, one core each, one run.

    python benchmarks/simulation.py [--hours H] [--ticks N] [--peers FOLDER] [--only NAME]

Three jobs. The *day*: three symbols, ten bots, house and risk on, with and without a journal, and
the default market of two bots; for ``--hours`` of virtual time, told per day. The *turns*: one
symbol, one strategy that buys on a peak and sells on a dip over three prices, market orders, the
same prices for everyone, for ``--ticks`` ticks, prepared before the clock starts where a peer lets
one: no risk, no indicators, no charts, no report. It is not equal work in our favor: a peer fills
an order at the next bar's price; ours goes through an order book of ten levels that is quoted anew
at every tick, an exact ledger, and a log of every fact. The *orders*: ten agents that order at
random, against bourse, whose order book is Rust.

Who of them is event-driven, by how it works: in PyAlgoTrade a feed emits bars to those who have
subscribed, the broker first, and orders come back to the strategy as events; in Basana a dispatcher
orders the events of all sources by time and awaits their handlers, balances are decimals; in
backtrader with ``runonce=False`` the engine steps bar by bar, delivers what the broker notified,
and calls ``next`` (with ``runonce=True``, its cheapest setup, indicators come in vectors before the
same steps). backtesting.py is a loop over the rows of one table: no queue, no dispatch, one asset.

Peers are not installed with this project. ``FOLDER`` has a folder for each, made by
``pip install --target FOLDER/NAME NAME``. One that is missing is left out with a notice. Times are
those of the processor (`time.process_time`), in a process each.
"""

import argparse
import asyncio
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from random import Random
from time import process_time
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
PEERS: Final = ("backtrader", "pyalgotrade", "basana", "backtesting", "bourse")
AGENTS: Final = 10
SYMBOLS: Final = 3
BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)

Figures = dict[str, float]


def prices(count: int) -> list[float]:
    """Return a price that walks up and down in steps of a hundredth."""
    rng, price, found = Random(7), 10_000, []
    for _ in range(count):
        price = max(5_000, min(15_000, price + rng.randint(-10, 10)))
        found.append(price / 100)
    return found


class Turner:
    """The rule of the turns as a strategy of ours: buys a peak when flat, sells a dip when not."""

    def __init__(self) -> None:
        self._last: list[Decimal] = []
        self._held = Decimal(0)

    def decide(self, fact: Any) -> tuple[Any, ...]:
        """Return an order on a turn."""
        from bots.strategy import buy, sell

        if fact.kind == "order_filled":
            self._held += fact.side.sign * fact.quantity
        if fact.kind != "tick":
            return ()
        last = self._last
        last.append(fact.price)
        if len(last) < 3:
            return ()
        before, middle, now = last
        del last[0]
        if before < middle > now and not self._held:
            return (buy("TCS", 5),)
        if before > middle < now and self._held:
            return (sell("TCS", self._held),)
        return ()


# --- ours -----------------------------------------------------------------------------------------


def our_day(hours: float, *, ten: bool, journaled: bool, risk: bool = True) -> Figures:
    """Run the default market, or that with ten bots."""
    from simulation.config import parsed
    from simulation.event_log import EventLog
    from simulation.journal import journal
    from simulation.run import Simulation

    kinds = ("investor", "hamster", "noise", "market-maker")
    bots = {f"bot-{n}": {"strategy": kinds[n % len(kinds)]} for n in range(AGENTS)}
    table: dict[str, Any] = {"days": hours / 24, "risk": {"on": risk}}
    config = parsed(table | {"agents": bots} if ten else table)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite" if journaled else None
        with EventLog() as log, journal(path, config) as keeping:
            market = Simulation(config, 7, log, keeping)
            begin = process_time()
            result = market.run()
            seconds = process_time() - begin
    return {"seconds": seconds, "ticks": result.ticks, "orders": result.orders}


def our_turns(ticks: int, *, journaled: bool = False, risk: bool = False) -> Figures:
    """Run one `Turner` on the prices, as a backtest."""
    from simulation.backtest import backtest
    from simulation.config import AgentConfig, RecordingConfig, RunConfig
    from simulation.event_log import EventLog
    from simulation.journal import journal
    from simulation.run import Simulation

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prices.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("timestamp", "price"))
            for number, price in enumerate(prices(ticks)):
                time = BEGIN + timedelta(seconds=number)
                writer.writerow((time.isoformat(), f"{price:.2f}"))
        settings = {"SYMBOLS": "TCS", "PORTFOLIO": "TCS:1"}
        agent = AgentConfig(strategy=f"{__file__}:Turner", amount=5)
        config = backtest(agent, [str(path)], RecordingConfig(file=""), settings)
        table = {name: getattr(config, name) for name in config.__struct_fields__}
        config = RunConfig(**{**table, "risk": type(config.risk)(on=risk)})
        kept = Path(folder) / "journal.sqlite" if journaled else None
        with EventLog() as log, journal(kept, config) as keeping:
            market = Simulation(config, 7, log, keeping)
            begin = process_time()
            result = market.run()
            seconds = process_time() - begin
    return {"seconds": seconds, "ticks": result.ticks, "orders": result.orders}


def our_orders(steps: int) -> Figures:
    """Run ten traders without a thought, the house off."""
    from simulation.config import parsed
    from simulation.run import simulate

    agent = {
        "strategy": "zero-intelligence",
        "count": AGENTS,
        "events": ["tick", "trade"],
        "short_selling": True,
        "leverage": 100,
        "with": {"habits": {"chance": 1.0, "market": 0.0}},
    }
    settings = {"SYMBOLS": "TCS", "HOUSE_LEVELS": 0, "PORTFOLIO": "TCS:1", "BOTS": ""}
    table = {"days": steps / 86_400, "risk": {"on": False}, "settings": settings}
    begin = process_time()
    result = simulate(parsed(table | {"agents": {"zero": agent}}), 7)
    return {"seconds": process_time() - begin, "ticks": result.ticks, "orders": result.orders}


# --- peers ----------------------------------------------------------------------------------------


def backtrader_turns(ticks: int, *, at_once: bool = False) -> Figures:
    """Run the same rule in backtrader, bar by bar; ``at_once`` is its setup for speed."""
    import numpy as np
    import pandas as pd

    backtrader: Any = import_module("backtrader")

    series = np.array(prices(ticks))
    index = pd.date_range("2026-01-01", periods=ticks, freq="s")
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), series), index=index)
    frame["volume"] = 1.0
    orders = [0]

    class Turns(backtrader.Strategy):  # type: ignore[misc]
        def next(self) -> None:
            close = self.data.close
            if len(self) < 3:
                return
            if close[-2] < close[-1] > close[0] and not self.position:
                self.buy(size=5)
                orders[0] += 1
            elif close[-2] > close[-1] < close[0] and self.position:
                self.sell(size=5)
                orders[0] += 1

    cerebro = backtrader.Cerebro(runonce=at_once, stdstats=False)
    cerebro.adddata(backtrader.feeds.PandasData(dataname=frame))
    cerebro.addstrategy(Turns)
    cerebro.broker.setcash(1_000_000)
    begin = process_time()
    cerebro.run()
    return {"seconds": process_time() - begin, "ticks": ticks, "orders": orders[0]}


def pyalgotrade_turns(ticks: int) -> Figures:
    """Run the same rule in PyAlgoTrade, from bars in memory."""
    bar: Any = import_module("pyalgotrade.bar")
    memory: Any = import_module("pyalgotrade.barfeed.membf")
    strategy: Any = import_module("pyalgotrade.strategy")
    second = bar.Frequency.SECOND

    class Feed(memory.BarFeed):  # type: ignore[misc]
        def barsHaveAdjClose(self) -> bool:  # noqa: N802 - its name
            return False

    begin = BEGIN.replace(tzinfo=None)
    bars = [
        bar.BasicBar(begin + timedelta(seconds=n), *[price] * 4, 1000.0, None, second)
        for n, price in enumerate(prices(ticks))
    ]
    feed = Feed(second)
    feed.addBarsFromSequence("TCS", bars)
    orders = [0]

    class Turns(strategy.BacktestingStrategy):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(feed, 1_000_000)
            self.last: list[float] = []

        def onBars(self, bars: Any) -> None:  # noqa: N802 - its name
            last = self.last
            last.append(bars["TCS"].getClose())
            if len(last) < 3:
                return
            before, middle, now = last
            del last[0]
            held = self.getBroker().getShares("TCS")
            if before < middle > now and not held:
                self.marketOrder("TCS", 5)
                orders[0] += 1
            elif before > middle < now and held:
                self.marketOrder("TCS", -held)
                orders[0] += 1

    turns = Turns()
    began = process_time()
    turns.run()
    return {"seconds": process_time() - began, "ticks": ticks, "orders": orders[0]}


def basana_turns(ticks: int) -> Figures:
    """Run the same rule in Basana, from bars in memory, with endless liquidity."""
    basana: Any = import_module("basana")
    exchanges: Any = import_module("basana.backtesting.exchange")
    liquidity: Any = import_module("basana.backtesting.liquidity")
    pair, second, amount = basana.Pair("TCS", "USD"), timedelta(seconds=1), Decimal(5)

    def bar(number: int, price: Decimal) -> Any:
        begin = BEGIN + number * second
        made = basana.Bar(begin, pair, price, price, price, price, Decimal(1000), second)
        return basana.BarEvent(begin + second, made)

    found = [Decimal(f"{price:.2f}") for price in prices(ticks)]
    events = [bar(number, price) for number, price in enumerate(found)]
    dispatcher = basana.backtesting_dispatcher()
    exchange = exchanges.Exchange(
        dispatcher, {"USD": Decimal(1_000_000)}, liquidity.InfiniteLiquidity
    )
    exchange.add_bar_source(basana.FifoQueueEventSource(events=events))
    last: list[Decimal] = []
    orders = [0]

    async def turn(event: Any) -> None:
        last.append(event.bar.close)
        if len(last) < 3:
            return
        before, middle, now = last
        del last[0]
        if before < middle > now or before > middle < now:
            held = (await exchange.get_balance("TCS")).available
            if (middle > now) is not (held > 0):
                side = basana.OrderOperation.SELL if held else basana.OrderOperation.BUY
                await exchange.create_market_order(side, pair, amount)
                orders[0] += 1

    exchange.subscribe_to_bar_events(pair, turn)
    began = process_time()
    asyncio.run(dispatcher.run())
    return {"seconds": process_time() - began, "ticks": ticks, "orders": orders[0]}


def backtesting_turns(ticks: int) -> Figures:
    """Run the same rule in backtesting.py."""
    import warnings

    import numpy as np
    import pandas as pd

    backtesting: Any = import_module("backtesting")

    warnings.simplefilter("ignore")
    series = np.array(prices(ticks))
    index = pd.date_range("2026-01-01", periods=ticks, freq="s")
    frame = pd.DataFrame(dict.fromkeys(("Open", "High", "Low", "Close"), series), index=index)
    orders = [0]

    class Turns(backtesting.Strategy):  # type: ignore[misc]
        def init(self) -> None:
            """Nothing is computed in advance."""

        def next(self) -> None:
            close = self.data.Close
            if len(close) < 3:
                return
            if close[-3] < close[-2] > close[-1] and not self.position:
                self.buy(size=5)
                orders[0] += 1
            elif close[-3] > close[-2] < close[-1] and self.position:
                self.position.close()
                orders[0] += 1

    test = backtesting.Backtest(frame, Turns, cash=1_000_000)
    begin = process_time()
    test.run()
    return {"seconds": process_time() - begin, "ticks": ticks, "orders": orders[0]}


def bourse_orders(steps: int) -> Figures:
    """Let ten agents order at random around the middle in bourse; its book is Rust."""
    rng, market = Random(7), import_module("bourse.core").StepEnv(7, 0, 1, 1_000_000)
    mine: list[list[int]] = [[] for _ in range(AGENTS)]
    begin = process_time()
    for _ in range(steps):
        bid, ask = market.bid_ask
        middle = (bid + ask) // 2 if bid and ask < 2**31 else 10_000
        for name in range(AGENTS):
            if len(mine[name]) >= 3:
                market.cancel_order(mine[name].pop(0))
            buys = rng.random() < 0.5
            price = middle + rng.randint(1, 20) * (-1 if buys else 1)
            mine[name].append(market.place_order(buys, 5, name, price=price))
        market.step()
    return {"seconds": process_time() - begin, "ticks": steps, "orders": steps * AGENTS}


# --- table ----------------------------------------------------------------------------------------


def jobs(hours: float, ticks: int) -> dict[str, Callable[[], Figures]]:
    """Return what can be run, by name."""
    return {
        "day, 2 bots, risk": lambda: our_day(hours, ten=False, journaled=False),
        "day, 10 bots, risk": lambda: our_day(hours, ten=True, journaled=False),
        "day, 10 bots, risk, journaled": lambda: our_day(hours, ten=True, journaled=True),
        "day, 10 bots": lambda: our_day(hours, ten=True, journaled=False, risk=False),
        "turns, sandpit": lambda: our_turns(ticks),
        "turns, journaled, sandpit": lambda: our_turns(ticks, journaled=True),
        "turns, risk, sandpit": lambda: our_turns(ticks, risk=True),
        "turns, risk, journaled, sandpit": lambda: our_turns(ticks, journaled=True, risk=True),
        "turns, backtrader": lambda: backtrader_turns(ticks),
        "turns, runonce, backtrader": lambda: backtrader_turns(ticks, at_once=True),
        "turns, pyalgotrade": lambda: pyalgotrade_turns(ticks),
        "turns, basana": lambda: basana_turns(ticks),
        "turns, backtesting": lambda: backtesting_turns(ticks),
        "orders, sandpit": lambda: our_orders(ticks // 20),
        "orders, bourse": lambda: bourse_orders(ticks // 20),
    }


def main() -> None:
    """Run every job in a process of its own and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hours", type=float, default=1.0, help="virtual hours of a day's run")
    parser.add_argument("--ticks", type=int, default=20_000, help="ticks of the turns")
    parser.add_argument("--peers", type=Path, help="folder of the peers")
    parser.add_argument("--only", help="one job, its figures as JSON")
    asked = parser.parse_args()
    if asked.only:
        sys.path.insert(0, str(ROOT))
        from simulation.sweep import quiet

        quiet()
        print(json.dumps(jobs(asked.hours, asked.ticks)[asked.only]()))
        return
    print(
        f"{'job':32}{'ticks':>9}{'orders':>9}{'s':>8}{'ticks/s':>10}{'orders/s':>10}{'us/tick':>9}"
    )
    for name in jobs(asked.hours, asked.ticks):
        found = in_process(name, asked)
        if found is not None:
            print(line(name, found, asked.hours))


def in_process(name: str, asked: argparse.Namespace) -> Figures | None:
    """Return the figures of a job that is run in a process of its own; None where it can't be."""
    peer = name.rpartition(" ")[2]
    environment = dict(os.environ)
    if peer in PEERS:
        folder = None if asked.peers is None else asked.peers / peer
        if folder is None or not folder.is_dir():
            print(f"{name:32}left out: no {peer} (pip install --target FOLDER/{peer} {peer})")
            return None
        environment["PYTHONPATH"] = str(folder)
    command = [sys.executable, __file__, "--only", name]
    command += ["--hours", str(asked.hours), "--ticks", str(asked.ticks)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name:32}failed: {done.stderr.strip().splitlines()[-1]}")
        return None
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def line(name: str, found: Figures, hours: float) -> str:
    """Return a line of the table; a day's run says how long the whole day would take."""
    seconds, ticks, orders = found["seconds"], found["ticks"], found["orders"]
    text = f"{name:32}{ticks:9.0f}{orders:9.0f}{seconds:8.2f}{ticks / seconds:10.0f}"
    text += f"{orders / seconds:10.0f}{seconds / ticks * 1e6:9.1f}"
    return text + (f"   {seconds * 24 / hours:6.1f} s a day" if name.startswith("day") else "")


if __name__ == "__main__":
    main()
