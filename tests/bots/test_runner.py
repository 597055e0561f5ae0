"""A bot on a real stream and a real HTTP exchange, which goes wrong in every way that it can."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any

import pytest

from bots import Investor, Noise, Strategy, buy, cancel
from bots.bot import Bot
from bots.desk import Desk
from bots.errors import StrategyBrokenError
from bots.exchange_client import ExchangeClient, ExchangeRefusedError, Patience
from bots.own_orders import OwnOrders, account_feed
from bots.runner import Runner
from market.clock import SystemClock
from market.errors import StreamError
from market.events import Fact, Gap, Tick
from market.feed import Feed, FeedEnded, FeedGarbled, FeedOpened
from market.orders import (
    AmendOrder,
    AmendRejected,
    Command,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderRejected,
)
from market.problems import ProblemError
from market.values import Symbol
from tests.bots.builders import INSTRUMENTS, TCS, a_tick, ticks
from tests.bots.paper_exchange import CASH, PaperExchange, garbled, hang_up, refused
from tests.streams import PATIENCE_S, a_client

AMOUNTS: Mapping[Symbol, Decimal] = {TCS: Decimal(5)}


@dataclass
class Log:
    """Keeps what is logged, as (level, event, members)."""

    lines: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def info(self, event: str, **members: Any) -> None:
        self.lines.append(("info", event, members))

    def warning(self, event: str, **members: Any) -> None:
        self.lines.append(("warning", event, members))

    def error(self, event: str, **members: Any) -> None:
        self.lines.append(("error", event, members))

    def of(self, event: str) -> list[dict[str, Any]]:
        return [members for _, name, members in self.lines if name == event]

    def errors(self) -> list[str]:
        return [name for level, name, _ in self.lines if level == "error"]


@dataclass
class Recorder:
    """Orders what the test scripted for a fact, and remembers all facts."""

    script: Callable[[Fact], list[Command] | None] = lambda _: None
    facts: list[Fact] = field(default_factory=list)

    def decide(self, fact: Fact) -> list[Command] | None:
        self.facts.append(fact)
        return self.script(fact)

    def heard(self, kind: type[Fact]) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]


async def until(condition: Callable[[], object]) -> None:
    """Return as soon as the condition holds; fail when it does not within seconds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  there is nothing to be woken by
            await asyncio.sleep(0.002)


@dataclass
class Running:
    """A bot that runs, with its log."""

    bot: Bot
    log: Log
    task: asyncio.Task[None]

    def hears(self, event: str, times: int = 1) -> Callable[[], object]:
        return lambda: len(self.log.of(event)) >= times


@asynccontextmanager
async def running(
    make: Callable[[], Strategy], url: str, *, status_s: float = 30.0, patience_s: float = 5.0
) -> AsyncIterator[Running]:
    log, clock = Log(), SystemClock()
    async with a_client() as http:
        client = ExchangeClient(
            http, url, rng=Random(1), patience=Patience(patience_s, 0.005, longest_s=0.05)
        )
        bot = Bot(make, account="me", starting_cash=CASH, log=log, most_failures=4)
        runner = Runner(
            bot,
            Feed(f"{url}/stream?symbols=TCS", client=http, retry_cap_s=0.05),
            Desk(client, account="me", clock=clock),
            OwnOrders(
                partial(account_feed, url, "me", client=http, key=None, silence_s=30), log=log
            ),
            session="me-test",
            status_s=status_s,
            clock=clock,
            log=log,
        )
        task = asyncio.create_task(runner.run())
        try:
            await until(lambda: log.of("feed_opened") or task.done())
            yield Running(bot, log, task)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def an_investor() -> Investor:
    return Investor(amounts=AMOUNTS)


def publish(exchange: PaperExchange, *prices: str | int, first: int = 1) -> None:
    for tick in ticks(*prices, first=first):
        exchange.publish(tick)


def buys_on(price: int) -> Callable[[Fact], list[Command] | None]:
    def script(fact: Fact) -> list[Command] | None:
        is_time = isinstance(fact, Tick) and fact.price == price
        return [buy("TCS", 5)] if is_time else None

    return script


async def test_a_dip_on_the_stream_becomes_a_fill_in_the_log() -> None:
    exchange = PaperExchange()
    async with exchange.served() as url, running(an_investor, url) as bot:
        publish(exchange, 10, 9, 11)
        await until(bot.hears("fill"))
        assert bot.log.of("fill") == [
            {
                "side": "buy",
                "symbol": "TCS",
                "quantity": "5",
                "price": "11",
                "realized_pnl": "-0.01",
            }
        ]


async def test_a_round_trip_agrees_with_the_exchange_to_the_last_digit() -> None:
    exchange = PaperExchange()
    async with exchange.served() as url, running(an_investor, url, status_s=0.02) as bot:
        publish(exchange, 10, 9, 11)
        await until(bot.hears("fill"))
        publish(exchange, 14, 13, first=4)
        await until(bot.hears("fill", 2))
        seen = len(bot.log.of("status"))
        await until(bot.hears("status", seen + 3))
        assert bot.log.errors() == []
        status = bot.log.of("status")[-1]
    assert bot.bot.blotter.realized_pnl == exchange.accounts["me"].realized_pnl
    assert status["equity"] == status["cash"] == "1000009.98"
    assert (status["realized_pnl"], status["unrealized_pnl"]) == ("9.98", "0")
    assert (status["position"], status["value_at_risk_99"]) == ("flat", "0.00")
    assert "drawdown" in status


async def test_orders_arrive_in_the_order_of_their_signals_each_with_an_id_of_its_own() -> None:
    def script(fact: Fact) -> list[Command] | None:
        return [buy("TCS", 1 + fact.seq)] if isinstance(fact, Tick) else None

    exchange = PaperExchange()
    async with exchange.served() as url, running(lambda: Recorder(script), url) as bot:
        publish(exchange, *range(1, 51))
        await until(bot.hears("fill", 50))
    assert [body["quantity"] for body in exchange.bodies] == list(range(2, 52))
    assert len({body["client_order_id"] for body in exchange.bodies}) == 50


async def test_ticks_are_heard_while_an_order_is_on_its_way() -> None:
    exchange, strategy = PaperExchange(), Recorder(buys_on(10))
    exchange.before.extend([refused(503, "no-fresh-price")] * 20)
    async with exchange.served() as url, running(lambda: strategy, url):
        publish(exchange, 10, 11, 12)
        await until(lambda: len(strategy.heard(Tick)) == 3)
        assert strategy.heard(OrderFilled) == []
        await until(lambda: strategy.heard(OrderFilled))


async def test_an_answer_that_was_lost_is_one_fill() -> None:
    exchange = PaperExchange()
    exchange.after.extend([hang_up, hang_up])
    async with exchange.served() as url, running(an_investor, url, status_s=0.02) as bot:
        publish(exchange, 10, 9, 11)
        await until(bot.hears("status", 5))
        await until(bot.hears("fill"))
        assert len(bot.log.of("fill")) == 1
        assert bot.log.errors() == []
    assert len(exchange.orders) == 1


async def test_a_refused_order_is_logged_once_counted_and_the_next_one_goes_through() -> None:
    exchange = PaperExchange()
    exchange.before.extend([refused(409, "insufficient-funds")] * 2)
    async with exchange.served() as url, running(an_investor, url) as bot:
        for first in (1, 4, 7):
            publish(exchange, 10, 9, 11, first=first)
            await until(lambda: len(exchange.bodies) == (first + 2) // 3)  # noqa: B023
            await until(lambda: bot.bot.status().get("refused", 0) == min(2, len(exchange.bodies)))
        await until(bot.hears("fill"))
        assert [each["code"] for each in bot.log.of("order_refused")] == ["insufficient-funds"]


async def test_an_order_that_is_given_up_is_a_rejection_and_its_late_fill_is_found() -> None:
    exchange, strategy = PaperExchange(), Recorder(buys_on(10))
    exchange.after.append(garbled)
    async with (
        exchange.served() as url,
        running(lambda: strategy, url, status_s=0.05) as bot,
    ):
        publish(exchange, 10)
        await until(lambda: strategy.heard(OrderRejected))
        await until(lambda: strategy.heard(OrderFilled))
        await until(bot.hears("status", 4))
        assert bot.log.errors() == []
        assert bot.bot.blotter.cash == exchange.accounts["me"].cash


async def test_a_bot_survives_the_restart_of_the_exchange_and_hears_what_it_missed(
    port: int,
) -> None:
    exchange, strategy = PaperExchange(), Recorder(buys_on(12))
    async with exchange.served(port) as url:
        first = running(lambda: strategy, url, status_s=0.02)
        bot = await first.__aenter__()
        publish(exchange, 10)
        await until(lambda: len(strategy.heard(Tick)) == 1)
    try:
        await until(bot.hears("feed_lost"))
        publish(exchange, 11, 12, first=2)
        async with exchange.served(port):
            await until(bot.hears("feed_back"))
            await until(bot.hears("fill"))
            assert [tick.seq for tick in strategy.heard(Tick)] == [1, 2, 3]
            assert bot.log.errors() == []
            assert len(bot.log.of("feed_lost")) == 1
    finally:
        await first.__aexit__(None, None, None)


async def test_a_failing_strategy_is_logged_with_its_traceback_once_and_goes_on() -> None:
    def script(fact: Fact) -> list[Command] | None:
        if isinstance(fact, Tick) and fact.price < 12:
            raise ZeroDivisionError("a bug of its own")
        return None

    exchange, strategy = PaperExchange(), Recorder(script)
    async with exchange.served() as url, running(lambda: strategy, url) as bot:
        publish(exchange, 10, 11, 12, 10)
        await until(lambda: len(strategy.heard(Tick)) == 4)
        (failure,) = bot.log.of("strategy_failed")
        assert isinstance(failure["exc_info"], ZeroDivisionError)
        assert bot.bot.status()["failures"] == 3


async def test_a_strategy_that_only_fails_is_stopped() -> None:
    def script(fact: Fact) -> list[Command] | None:
        return "buy!" if isinstance(fact, Tick) else None  # type: ignore[return-value]

    exchange = PaperExchange()
    async with exchange.served() as url, running(lambda: Recorder(script), url) as bot:
        publish(exchange, 10, 11, 12, 13, 14)
        with pytest.raises(StrategyBrokenError, match="no order"):
            await bot.task


async def test_a_trade_of_somebody_else_in_the_account_is_a_mismatch_and_then_taken_over() -> None:
    exchange = PaperExchange()
    made: list[Recorder] = []

    def make() -> Recorder:
        made.append(Recorder(buys_on(10)))
        return made[-1]

    async with exchange.served() as url, running(make, url, status_s=0.03) as bot:
        publish(exchange, 10)
        await until(bot.hears("fill"))
        exchange.trade("me", {"symbol": "TCS", "side": "buy", "type": "market", "quantity": 7})
        await until(bot.hears("account_adopted"))
        (mismatch,) = bot.log.of("account_mismatch")
        assert mismatch["quantity_TCS"] == "5 here, 12 there"
        assert bot.bot.blotter.positions[TCS].quantity == 12
        assert [fill.quantity for fill in made[-1].heard(OrderFilled)] == [5, 7]
        seen = len(bot.log.of("status"))
        await until(bot.hears("status", seen + 3))
        assert len(bot.log.of("account_mismatch")) == 1


async def test_a_restarted_bot_goes_on_with_its_position_and_what_it_paid() -> None:
    exchange = PaperExchange()
    exchange.publish(a_tick("20"))
    for side, price in (("buy", "20"), ("sell", "20"), ("buy", "12"), ("buy", "10")):
        exchange.publish(a_tick(price))
        exchange.trade("me", {"symbol": "TCS", "side": side, "type": "market", "quantity": 5})
    async with exchange.served() as url, running(an_investor, url, status_s=0.03) as bot:
        assert bot.log.of("account_adopted")[0]["position"] == "TCS:10"
        publish(exchange, 10, "12.02", "12.01", first=2)
        await until(bot.hears("fill"))
        await until(bot.hears("status", 3))
        assert bot.log.of("fill")[0]["quantity"] == "10"
        assert bot.log.errors() == []


async def test_where_orders_are_not_listed_the_average_price_stands_for_what_was_paid() -> None:
    exchange, strategy = PaperExchange(), Recorder()
    exchange.publish(a_tick("20"))
    for price in ("12", "10"):
        exchange.publish(a_tick(price))
        exchange.trade("me", {"symbol": "TCS", "side": "buy", "type": "market", "quantity": 5})
    exchange.orders.clear()
    async with exchange.served() as url, running(lambda: strategy, url):
        (fill,) = strategy.heard(OrderFilled)
        assert (fill.quantity, fill.price) == (10, 11)


async def test_a_resting_order_is_heard_of_when_it_is_filled_later() -> None:
    def script(fact: Fact) -> list[Command] | None:
        return [buy("TCS", 5, price=9)] if isinstance(fact, Tick) else None

    exchange, strategy = PaperExchange(), Recorder(script)
    async with exchange.served() as url, running(lambda: strategy, url) as bot:
        publish(exchange, 10, 10)
        await until(lambda: len(strategy.heard(OrderAccepted)) == 2)
        assert strategy.heard(OrderAccepted)[0].price == 9
        await until(lambda: exchange.own_streams == 1 and exchange.looked_up == 2)
        exchange.fill(1, Decimal(9))
        await until(lambda: strategy.heard(OrderFilled))
        assert exchange.looked_up == 3
        assert bot.log.errors() == []


async def test_a_fill_while_the_exchange_was_away_is_heard_of_when_it_is_back() -> None:
    def script(fact: Fact) -> list[Command] | None:
        return [buy("TCS", 5, price=9)] if isinstance(fact, Tick) else None

    exchange, strategy = PaperExchange(), Recorder(script)
    async with exchange.served() as url, running(lambda: strategy, url) as bot:
        publish(exchange, 10)
        await until(lambda: exchange.own_streams == 1 and exchange.looked_up == 1)
        exchange.orders[1] |= {"status": "cancelled"}  # and nobody tells
        exchange.close()
        await until(bot.hears("feed_lost"))
        exchange.open = True
        await until(lambda: strategy.heard(OrderCancelled))


async def test_a_stream_that_is_refused_is_told_once_and_asked_for_again() -> None:
    log = Log()
    opened: list[int] = []

    async def feed() -> AsyncIterator[Fact]:
        opened.append(1)
        if len(opened) < 3:
            raise StreamError("http://x", "HTTP status 404")
        yield FeedOpened()
        await asyncio.Event().wait()

    own_orders = OwnOrders(feed, log=log, again_s=0.0)
    reading = asyncio.create_task(own_orders.read())
    own_orders.follow()
    assert await asyncio.wait_for(own_orders.changed(), PATIENCE_S) is None
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert len(log.of("own_stream_refused")) == 1


async def test_a_starting_bot_reads_no_more_orders_than_explain_its_position() -> None:
    exchange, strategy = PaperExchange(), Recorder()
    exchange.publish(a_tick("20"))
    exchange.trade("me", {"symbol": "TCS", "side": "buy", "type": "limit", "quantity": 3})
    for side in ("buy", "sell") * 250:
        exchange.trade("me", {"symbol": "TCS", "side": side, "type": "market", "quantity": 5})
    exchange.trade("me", {"symbol": "TCS", "side": "buy", "type": "market", "quantity": 7})
    asked: list[int] = []
    exchange.on_list.extend([lambda: asked.append(1)] * 9)
    async with exchange.served() as url, running(lambda: strategy, url):
        assert [fill.quantity for fill in strategy.heard(OrderFilled)] == [7]
        assert [order.order_id for order in strategy.heard(OrderAccepted)] == [1]
    assert len(asked) == 3  # the open ones in their two states, and one page


async def test_a_cancelled_order_is_heard_of_and_a_cancel_that_comes_too_late_tells_the_fill() -> (
    None
):
    def script(fact: Fact) -> list[Command] | None:
        if isinstance(fact, Tick) and fact.price == 10:
            return [buy("TCS", 5, price=9), buy("TCS", 6, price=8)]
        return [cancel(1), cancel(2)] if isinstance(fact, Tick) else None

    exchange, strategy = PaperExchange(), Recorder(script)
    async with exchange.served() as url, running(lambda: strategy, url):
        publish(exchange, 10)
        await until(lambda: len(strategy.heard(OrderAccepted)) == 2)
        exchange.fill(2, Decimal(8))
        publish(exchange, 11, first=2)
        await until(lambda: strategy.heard(OrderCancelled) and strategy.heard(OrderFilled))
        assert strategy.heard(OrderCancelled)[0].order_id == 1
        publish(exchange, 12, first=3)  # and cancels both once more
        await until(lambda: len(strategy.heard(Tick)) == 3)
        publish(exchange, 10, first=4)
        await until(lambda: len(strategy.heard(OrderAccepted)) == 4)
        assert strategy.heard(OrderRejected) == []


async def test_a_gap_is_logged_and_passed_on() -> None:
    exchange, strategy = PaperExchange(), Recorder()
    async with exchange.served() as url, running(lambda: strategy, url) as bot:
        exchange.publish(Gap(since="00000001-1", until="00000001-9", missed=8, reason="slow"))
        await until(lambda: strategy.heard(Gap))
        assert bot.log.of("gap") == [{"missed": 8, "reason": "slow"}]


async def test_a_strategy_that_draws_numbers_draws_its_own() -> None:
    exchange = PaperExchange()

    def make() -> Noise:
        return Noise(amounts=AMOUNTS, instruments=INSTRUMENTS, rng=Random(3), chance=1.0)

    async with exchange.served() as url, running(make, url, status_s=0.05) as bot:
        publish(exchange, *[30] * 30)
        await until(lambda: len(exchange.bodies) >= 5)
        await until(bot.hears("status", 3))
        assert bot.log.errors() == []


async def test_an_account_that_is_never_shown_ends_the_bot() -> None:
    exchange = PaperExchange()
    exchange.hidden = ProblemError(401, "key-missing", "This account needs its key.")
    async with exchange.served() as url, running(an_investor, url) as bot:
        with pytest.raises(ExchangeRefusedError, match="key-missing"):
            await bot.task


async def test_a_bot_waits_for_an_exchange_that_is_not_ready_yet() -> None:
    exchange = PaperExchange()
    exchange.hidden = ProblemError(503, "recovering", "Not yet.")
    async with exchange.served() as url:
        started = asyncio.create_task(_first_words(url))
        await until(lambda: exchange.asked > 0)
        exchange.hidden = None
        assert await started == ["exchange_not_there", "feed_opened"]


async def _first_words(url: str) -> list[str]:
    async with running(an_investor, url, patience_s=0.0) as bot:
        return [event for _, event, _ in bot.log.lines]


async def test_a_fill_between_two_questions_of_a_starting_bot_is_not_lost() -> None:
    exchange = PaperExchange()
    exchange.publish(a_tick("10"))
    exchange.trade("me", {"symbol": "TCS", "side": "buy", "type": "market", "quantity": 5})
    exchange.trade("me", {"symbol": "TCS", "side": "buy", "type": "limit", "quantity": 7})
    exchange.on_list.append(lambda: exchange.fill(2, Decimal(9)))
    async with exchange.served() as url, running(an_investor, url, status_s=0.03) as bot:
        assert bot.log.of("account_adopted")[0]["position"] == "TCS:12"
        await until(bot.hears("status", 3))
        assert bot.log.errors() == []


async def test_an_exchange_that_forgot_everything_is_begun_with_anew() -> None:
    exchange = PaperExchange()
    async with exchange.served() as url, running(an_investor, url, status_s=0.03) as bot:
        publish(exchange, 10, 9, 11)
        await until(bot.hears("fill"))
        exchange.accounts.clear()
        exchange.orders.clear()
        await until(bot.hears("account_mismatch"))
        await until(lambda: bot.bot.status()["position"] == "flat")
        publish(exchange, 11, 10, 12, first=4)
        await until(bot.hears("fill", 2))
        assert len(bot.log.of("account_mismatch")) == 1


async def test_an_amended_order_is_amended_and_one_that_is_done_says_so() -> None:
    def script(fact: Fact) -> list[Command] | None:
        if not isinstance(fact, Tick):
            return None
        amendment = AmendOrder(account="", order_id=1, quantity=Decimal(3))
        return [buy("TCS", 5, price=9)] if fact.price == 10 else [amendment]

    exchange, strategy = PaperExchange(), Recorder(script)
    async with exchange.served() as url, running(lambda: strategy, url) as bot:
        publish(exchange, 10, 11)
        await until(lambda: exchange.orders and exchange.orders[1]["quantity"] == 3)
        exchange.fill(1, Decimal(9))
        publish(exchange, 12, first=3)
        await until(lambda: strategy.heard(OrderFilled))
        publish(exchange, 13, first=4)
        await until(lambda: strategy.heard(AmendRejected))
        assert bot.log.of("order_refused")[0]["code"] == "not-amendable"


async def test_a_flood_of_orders_is_bounded_and_the_rest_is_refused() -> None:
    def script(fact: Fact) -> list[Command] | None:
        return [buy("TCS", 1)] * 1500 if isinstance(fact, Tick) else None

    exchange, strategy = PaperExchange(), Recorder(script)
    async with exchange.served() as url, running(lambda: strategy, url) as bot:
        publish(exchange, 10)
        await until(lambda: strategy.heard(OrderRejected))
        assert len(strategy.heard(OrderRejected)) == 500
        assert [each["code"] for each in bot.log.of("order_refused")] == ["too-many-waiting"]


async def test_a_bot_ends_with_its_feed_after_the_last_order() -> None:
    async def feed() -> AsyncIterator[Fact]:
        yield a_tick("10")
        yield FeedGarbled(problem="tick: not JSON")
        yield FeedEnded()

    exchange, log = PaperExchange(), Log()
    exchange.publish(a_tick("10"))
    async with exchange.served() as url, a_client() as http:
        client = ExchangeClient(http, url, rng=Random(1))
        bot = Bot(lambda: Recorder(buys_on(10)), account="me", starting_cash=CASH, log=log)
        desk = Desk(client, account="me", clock=SystemClock())
        own = OwnOrders(feed, log=log)
        await Runner(
            bot, feed(), desk, own, session="me", status_s=9.0, clock=SystemClock(), log=log
        ).run()
    assert [event for _, event, _ in log.lines] == ["feed_garbled", "feed_ended", "fill", "status"]
