import asyncio
import csv
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import httpx
import msgspec
import pytest
import structlog

from bots.answers import AccountAnswer
from bots.bot import Bot
from bots.catalog import find
from bots.desk import Desk
from bots.exchange_client import ExchangeClient
from bots.own_orders import OwnOrders, account_feed
from bots.runner import Runner
from bots.settings import Settings as BotSettings
from bots.strategy import Strategy
from exchange.app import create_app
from exchange.exchange import Exchange
from exchange.settings import Settings as ExchangeSettings
from market.clock import SystemClock
from market.errors import MarketError
from market.events import Fact, Snapshot, Tick
from market.feed import Feed
from market.server import ServerSettings, serving
from market.settings import Environment
from market.values import Symbol
from simulation.backtest import ACCOUNT, backtest
from simulation.config import AgentConfig, RecordingConfig, RunConfig
from simulation.errors import ConfigError
from simulation.run import as_answer
from sources.app import create_app as source_app
from sources.app import create_hub
from sources.recording import Columns, rows
from sources.replay import Speed, replayed
from sources.settings import SourceSettings
from sources.source import Source
from tests.simulation.runs import ran
from tests.streams import a_client

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "my_strategy.py"
STRATEGY = f"{EXAMPLE}:MyStrategy"
FEES = {"SYMBOLS": "TCS", "TAKER_FEE_BPS": "3.5", "MAKER_FEE_BPS": "-0.5", "HOUSE_QUANTITY": "3"}
ROWS = 120
BEGIN = datetime(2026, 3, 1, 9, tzinfo=UTC)


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    """A recording of a price that wanders back and forth."""
    path, rng, price = tmp_path / "prices.csv", Random(5), 3400
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("timestamp", "price", "volume"))
        for number in range(ROWS):
            price += rng.randint(-25, 25) + (3400 - price) // 4
            time = BEGIN + timedelta(seconds=number, milliseconds=rng.randint(0, 900))
            writer.writerow((time.isoformat(), f"{price / 100:.2f}", rng.randint(1, 50)))
    return path


def a_backtest(
    prices: Path, settings: Mapping[str, str] | None = None, strategy: str = STRATEGY, **agent: Any
) -> RunConfig:
    given = FEES | dict(settings or {})
    return backtest(
        AgentConfig(strategy=strategy, **agent), [str(prices)], RecordingConfig(file=""), given
    )


def test_a_backtest_lasts_as_long_as_its_recording(prices: Path) -> None:
    market, result = ran(a_backtest(prices))

    assert result.ticks == ROWS
    assert result.bot(ACCOUNT).fills > 10
    assert market.loop.start >= BEGIN


def test_latency_and_fees_cost(prices: Path) -> None:
    near = ran(a_backtest(prices))[1].bot(ACCOUNT)
    far = ran(a_backtest(prices, latency=2500))[1].bot(ACCOUNT)

    assert near.fees > 0
    assert near.pnl != far.pnl


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("TCS_PROCESS_SIGMAA", "1", "TCS_PROCESS_SIGMAA: there is no such parameter, only flip"),
        ("TCS_PROCESS", "wlak", "TCS_PROCESS: 'wlak' will not do"),
        ("TCS_ARRIVALS_MUU", "1", "TCS_ARRIVALS_MUU: there is no such parameter"),
    ],
)
def test_a_source_that_cannot_be_is_refused_also_where_a_recording_stands_in_for_it(
    prices: Path, name: str, value: str, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        a_backtest(prices, {name: value})


def test_recorded_prices_stand_in_for_the_real_market(prices: Path) -> None:
    assert a_backtest(prices, {"TCS_PROCESS": "binance"}).days > 0


def test_prices_of_no_symbol_or_of_no_file_are_refused(tmp_path: Path, prices: Path) -> None:
    agent, how = AgentConfig(strategy=STRATEGY), RecordingConfig(file="")
    for data in (["DOGE=x.csv"], [str(tmp_path / "none.csv")], [str(prices), f"TCS={prices}"]):
        with pytest.raises(MarketError):
            backtest(agent, data, how, FEES)
    prices.write_text("price\n34.00\n")
    with pytest.raises(ConfigError, match="interval"):
        backtest(agent, [str(prices)], how, FEES)


# --- live -----------------------------------------------------------------------------------------


class Heard:
    """Passes facts on to a strategy, and counts the ticks that it has decided on."""

    def __init__(self, strategy: Strategy) -> None:
        self.strategy, self.ticks, self.has_joined = strategy, 0, False

    def decide(self, fact: Fact) -> Any:
        found = self.strategy.decide(fact)
        self.ticks += isinstance(fact, Tick)
        self.has_joined |= isinstance(fact, Snapshot)
        return found


class PacedSource(Source):
    """A replay that waits for whatever a tick has led to before the next: latency is then zero.

    Its hub is so small that one tick is a burst, and each burst asks whether it may.
    """

    def __init__(self, *args: Any, is_settled: Callable[[int], bool], **more: Any) -> None:
        super().__init__(*args, **more)
        self._is_settled = is_settled

    def _held(self) -> bool:
        return not self.audience.had_any or not self._is_settled(self.hub.published)


class LiveRun:
    """The real source, exchange and bot over loopback, in this process; latency is waited out."""

    def __init__(self, folder: Path, config: RunConfig) -> None:
        self.folder, self.config = folder, config
        self.env = _environment(config, folder)
        self.heard: list[Heard] = []
        self.runner: Runner | None = None

    async def account(self) -> AccountAnswer:
        async with (
            self._source() as source_url,
            self._exchange(source_url) as url,
            a_client() as client,
        ):
            runner = self.runner = self._runner(client, url)
            running = asyncio.create_task(runner.run())
            async with asyncio.timeout(40):
                while not self._is_settled(ROWS) or self.ticks < ROWS:
                    if running.done():
                        await running
                    await asyncio.sleep(0.01)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            answer = await client.get(f"{url}/accounts/{ACCOUNT}")
        return msgspec.json.decode(answer.content, type=AccountAnswer)

    @property
    def ticks(self) -> int:
        return max((each.ticks for each in self.heard), default=0)

    def _is_settled(self, published: int) -> bool:
        """Whether the bot has heard every tick, and nothing that it ordered is under way."""
        runner = self.runner
        if runner is None or not any(each.has_joined for each in self.heard):
            return False
        idle = not runner._waiting._unfinished_tasks  # type: ignore[attr-defined]
        return idle and self.ticks >= published

    @asynccontextmanager
    async def _source(self) -> AsyncIterator[str]:
        settings = SourceSettings.from_env(self.env, Symbol("TCS"))
        of, file = settings.instrument, Path(self.config.recordings["TCS"].file)
        columns = Columns(price="price", time="timestamp", volume="volume")
        plan = replayed(rows(file, columns), of, Speed(factor=0), datetime.now(UTC))
        source = PacedSource(
            of.symbol,
            "replay",
            create_hub(4),
            ((due, lambda tick=tick: tick) for due, tick in plan),
            waits=True,
            is_settled=self._is_settled,
        )
        app = source_app(source, settings.stream)
        async with serving(app, ServerSettings(), source.hub.close) as url:
            yield f"{url}/stream"

    @asynccontextmanager
    async def _exchange(self, source_url: str) -> AsyncIterator[str]:
        settings = ExchangeSettings.from_env(self.env)
        settings = replace(settings, sources={Symbol("TCS"): source_url})
        exchange = Exchange(settings, SystemClock())
        async with serving(create_app(exchange), ServerSettings(), exchange.leave) as url:
            yield url

    def _runner(self, client: httpx.AsyncClient, url: str) -> Runner:
        settings = BotSettings.from_env(self.env, ACCOUNT, (Symbol("TCS"),))
        log = structlog.get_logger("test")
        bot = Bot(self._strategy, account=ACCOUNT, starting_cash=settings.starting_cash, log=log)
        desk = Desk(
            ExchangeClient(client, url, rng=Random(1)), account=ACCOUNT, clock=SystemClock()
        )
        feed = Feed(f"{url}/stream?symbols=TCS", client=client)
        account = partial(account_feed, url, ACCOUNT, client=client, key=None, silence_s=45.0)
        own, clock = OwnOrders(account, log=log), SystemClock()
        return Runner(bot, feed, desk, own, session="live", status_s=1000, clock=clock, log=log)

    def _strategy(self) -> Strategy:
        self.heard.append(Heard(find(STRATEGY)()))
        return self.heard[-1]


def _environment(config: RunConfig, folder: Path) -> Environment:
    variables = dict(config.environment._variables)
    return Environment(variables | {"DATA_DIR": str(folder / "data"), "STATUS_S": "1000"})


async def test_a_backtest_without_latency_is_the_live_run_to_the_digit(
    tmp_path: Path, prices: Path
) -> None:
    config = a_backtest(prices)
    market, result = ran(config)
    simulated = market.floor.venue.account(ACCOUNT)
    live = await LiveRun(tmp_path, config).account()

    assert simulated is not None
    assert result.bot(ACCOUNT).fills > 10
    assert live == as_answer(simulated)
