from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bots.answers import AccountAnswer, PositionAnswer
from exchange.app import create_app
from exchange.exchange import Exchange
from exchange.settings import Settings
from market.clock import SystemClock
from market.errors import MarketError
from market.server import serving
from market.settings import Environment
from market.values import Symbol
from simulation.config import parsed
from simulation.errors import ConfigError
from simulation.live import play_before
from simulation.outsider import adds_up
from tests.ports import held_ports
from tests.simulation.runs import SECOND, ran


@pytest.fixture
def env(tmp_path: Path) -> Iterator[Environment]:
    with held_ports(2) as ports:
        yield _env(tmp_path, *ports)


def _env(folder: Path, exchange: int, source: int) -> Environment:
    settings = {
        "SYMBOLS": "TCS",
        "TICK_INTERVAL_S": "0.02",
        "EXCHANGE_PORT": str(exchange),
        "TCS_PORT": str(source),
        "PORTFOLIO": "TCS:1",
    }
    config = parsed({"settings": settings})
    return Environment(dict(config.environment._variables) | {"DATA_DIR": str(folder), "SEED": "3"})


@asynccontextmanager
async def an_exchange(env: Environment) -> AsyncIterator[Exchange]:
    settings = Settings.from_env(env)
    exchange = Exchange(settings, SystemClock())
    async with serving(create_app(exchange), settings.server, exchange.leave):
        yield exchange


SCENARIO: dict[str, Any] = {
    "name": "crash",
    "days": 3 * SECOND,
    "sample_s": 0.2,
    "settings": {"SYMBOLS": "TCS"},
    "event": [
        {"do": "shock", "tick": 60, "symbol": "TCS", "move": -0.5},
        {"do": "order", "tick": 20, "symbol": "TCS", "side": "buy", "quantity": 3,
         "account": "fat", "starting_cash": 5000},
        {"do": "order", "tick": 90, "symbol": "TCS", "side": "buy", "quantity": 9, "price": 1,
         "account": "fatter"},
    ],
    "assertions": [
        'low_price("TCS") < 0.6 * high_price("TCS")',
        'position("fat", "TCS") == 3 and pnl("fat") < 0',
        'trades("TCS") >= 1',
        'orders("fat") == 1 and fills("fat") == 1 and books_agree("fat")',
        'orders("fatter") == 1 and refusals("fatter") == 1 and fills("fatter") == 0',
    ],
}  # fmt: skip


async def test_a_scenario_plays_before_a_live_exchange(env: Environment) -> None:
    said: list[str] = []
    async with an_exchange(env):
        config = parsed(SCENARIO | {"assertions": [*SCENARIO["assertions"], 'pnl("fat") > 0']})
        result = await play_before(config, env, for_s=None, say=said.append)

    assert result.failed == ('pnl("fat") > 0',)
    assert result.bot("fat").fills == 1
    assert result.market("TCS").ticks > 60
    assert any("shock" in line for line in said)


def test_the_same_scenario_holds_simulated() -> None:
    settings = {"SYMBOLS": "TCS", "TICK_INTERVAL_S": 0.02, "PORTFOLIO": "TCS:1"}
    result = ran(parsed(SCENARIO | {"settings": settings, "agents": {}}), 3)[1]

    assert result.failed == ()


async def test_orders_of_a_live_scenario_keep_their_order_and_an_account_its_terms(
    env: Environment,
) -> None:
    order = {"do": "order", "tick": 9, "symbol": "TCS", "account": "short", "quantity": 3}
    event = [
        order | {"side": "sell", "short_selling": True, "starting_cash": 7000},
        order | {"side": "buy", "starting_cash": 9000},
    ]
    promises = ['refusals("short") == 0 and orders("short") == 2', 'position("short", "TCS") == 0']
    config = parsed(SCENARIO | {"event": event, "assertions": promises})
    async with an_exchange(env):
        result = await play_before(config, env, for_s=2, say=print)

    assert result.failed == ()
    assert result.bot("short").starting_cash == 7000


async def test_what_a_live_exchange_has_no_door_for_is_said_before_anything_begins(
    env: Environment,
) -> None:
    event = {"do": "thin", "at_s": 0, "levels": 1}
    async with an_exchange(env):
        with pytest.raises(BaseExceptionGroup) as caught:
            await play_before(parsed({"event": [event]}), env, for_s=1, say=print)

    assert caught.group_contains(ConfigError, match="ThinBook")


async def test_a_halt_holds_a_live_exchange_and_ends_with_the_scenario(env: Environment) -> None:
    events = [
        {"do": "halt", "tick": 5, "symbol": "TCS"},
        {"do": "order", "tick": 20, "symbol": "TCS", "side": "buy", "quantity": 3},
    ]
    config = parsed({"name": "halt", "event": events, "settings": {"SYMBOLS": "TCS"}})
    async with an_exchange(env) as exchange:
        result = await play_before(config, env, for_s=1.5, say=print)
        state = exchange.desk.venue.trading_state(Symbol("TCS"))
    assert result.market("TCS").halts == 1
    assert state == "trading"


async def test_a_halt_that_is_refused_ends_the_scenario(env: Environment) -> None:
    config = parsed({"event": [{"do": "halt", "at_s": 0, "symbol": "BTC"}]})
    async with an_exchange(env):
        with pytest.raises(BaseExceptionGroup) as caught:
            await play_before(config, env, for_s=5, say=print)
    assert caught.group_contains(ConfigError, match="no symbol")


async def test_a_scenario_is_played_before_an_exchange_without_keys(env: Environment) -> None:
    keyed = Environment(dict(env._variables) | {"API_KEYS": "ann:secret"})
    with pytest.raises(ConfigError, match="API_KEYS"):
        await play_before(parsed(SCENARIO), keyed, for_s=1, say=print)


async def test_without_an_exchange_there_is_nothing_to_play_before(env: Environment) -> None:
    with pytest.raises(ConfigError, match="no exchange answers"):
        await play_before(parsed(SCENARIO), env, for_s=1, say=print)


async def test_a_scenario_is_played_on_loopback_alone(env: Environment) -> None:
    far = Environment(dict(env._variables) | {"HOST": "192.0.2.1"})
    with pytest.raises(MarketError, match="loopback"):
        await play_before(parsed(SCENARIO), far, for_s=1, say=print)


def test_an_account_that_does_not_add_up_is_noticed() -> None:
    position = PositionAnswer(
        symbol=Symbol("TCS"),
        quantity=Decimal(3),
        average_price=Decimal("33.95"),
        mark=Decimal("34.05"),
        unrealized_pnl=Decimal("0.30"),
    )
    account = AccountAnswer(
        account="ann",
        cash=Decimal("898.15"),
        equity=Decimal("1000.30"),
        realized_pnl=Decimal(0),
        unrealized_pnl=Decimal("0.30"),
        fees=Decimal(0),
        positions=(position,),
    )

    assert adds_up(account)
    assert not adds_up(msgspec.structs.replace(account, cash=Decimal("898.16")))
