from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from bots.addressing import addressed
from bots.catalog import build
from bots.strategy import StrategyError
from market.events import Tick, Trade
from market.orders import Command, PlaceOrder
from market.values import Side, Symbol
from simulation.config import RunConfig, load
from simulation.population import POPULATION
from simulation.population.chartists import MeanReversion, Momentum
from simulation.population.herd import Herd
from simulation.population.trader import Trader
from simulation.population.value import Value
from simulation.price_tape import PriceTape, traded
from simulation.run import Simulation
from sources.facts import Gate, clusters, trade
from sources.processes import generator
from tests.builders import a_tick, a_trade, an_instrument
from tests.simulation.runs import SECOND

TCS = Symbol("TCS")
MARKET = Path(__file__).resolve().parents[2] / "simulation" / "population.toml"


def a_trader(kind: str, **habits: float) -> Trader:
    offers = {
        "amounts": {TCS: Decimal(10)},
        "instruments": {TCS: an_instrument("TCS", lot_size="1")},
        "rng": generator(1, kind),
        "habits": {"chance": 1.0} | habits,
    }
    made = build(POPULATION[kind], offers)
    assert isinstance(made, Trader)
    return made


def ticks(prices: list[float]) -> list[Tick]:
    found = enumerate(prices, start=1)
    return [a_tick("TCS", seq=n, price=f"{price:.2f}") for n, price in found]


def a_trade_at(price: str, side: Side = Side.BUY) -> Trade:
    return replace(a_trade("TCS"), price=Decimal(price), side=side)


@pytest.mark.parametrize("kind", POPULATION)
def test_every_trader_orders_on_the_grid_what_a_strategy_may(kind: str) -> None:
    trader, orders = a_trader(kind), list[PlaceOrder]()
    for number, tick in enumerate(ticks([100 + (n % 7) * 0.5 for n in range(120)])):
        side = Side.BUY if number % 3 else Side.SELL
        for fact in (tick, a_trade_at(f"{tick.price + number % 5}", side)):
            found = addressed(trader.decide(fact), "ann")
            orders += [each for each in found if isinstance(each, PlaceOrder)]

    assert orders
    of = an_instrument("TCS", lot_size="1")
    for order in orders:
        assert of.quantity(order.quantity) == order.quantity
        assert order.price is None or of.price(order.price) == order.price


def side_of(trader: Trader, prices: list[float], last: str | None = None) -> Side:
    found: list[Side] = []
    for tick in ticks(prices):
        trader.decide(a_trade_at(last or f"{tick.price}"))
        found += [each.side for each in trader.decide(tick) if isinstance(each, PlaceOrder)]
    return found[-1]


def test_momentum_goes_with_the_trend() -> None:
    up, down = [100 + n * 0.5 for n in range(60)], [100 - n * 0.5 for n in range(60)]

    assert isinstance(a_trader("momentum"), Momentum)
    assert side_of(a_trader("momentum"), up) is Side.BUY
    assert side_of(a_trader("momentum"), down) is Side.SELL


def test_mean_reversion_bets_on_the_way_back() -> None:
    calm = [100 + (n % 2) * 0.1 for n in range(200)]

    assert isinstance(a_trader("mean-reversion"), MeanReversion)
    assert side_of(a_trader("mean-reversion"), [*calm, 105.0]) is Side.SELL
    assert side_of(a_trader("mean-reversion"), [*calm, 95.0]) is Side.BUY


def test_value_trades_towards_what_it_believes() -> None:
    assert isinstance(a_trader("value"), Value)
    assert side_of(a_trader("value"), [100.0] * 5, last="90.00") is Side.BUY
    assert side_of(a_trader("value"), [100.0] * 5, last="110.00") is Side.SELL


def test_a_herd_wakes_up_in_turmoil_and_more_in_a_fall() -> None:
    def activity(move: float) -> float:
        herd = a_trader("herd", memory=30)
        assert isinstance(herd, Herd)
        for tick in ticks([100 + (n % 2) * 0.05 for n in range(2000)]):
            herd.decide(a_trade_at(f"{tick.price}"))
            herd.decide(tick)
        for tick in ticks([100 + move, 100 + 2 * move]):
            herd.decide(a_trade_at(f"{tick.price}"))
            herd.decide(tick)
        return herd.activity(TCS)

    assert activity(0.05) < 1.5 < activity(0.5) < activity(-0.5)


def test_a_maker_quotes_wider_after_a_fall_than_after_a_rise() -> None:
    def spread(move: float) -> float:
        maker = a_trader("maker", caution=0.5, memory=10, horizon=500)
        prices = [100 + (n % 2) * 0.05 for n in range(1000)]
        found: Sequence[Command] = ()
        for price in [*prices, 100 + move, 100 + 2 * move]:
            maker.decide(a_trade_at(f"{price:.2f}"))
            found = maker.decide(ticks([price])[0])
        bid, ask = (o.price for o in found if isinstance(o, PlaceOrder) and o.price)
        return float(ask - bid)

    assert spread(0.05) < spread(1.0) < spread(-1.0)


@pytest.mark.parametrize("wrong", [{"wisdom": 1}, {"memory": 0}, {"alarm": -1}])
def test_a_habit_that_a_trader_cannot_have_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(StrategyError, match=next(iter(wrong))):
        a_trader("herd", **wrong)


def without_nerves(config: RunConfig) -> RunConfig:
    assert config.agents is not None
    agents = {
        name: replace(agent, given={"habits": {**agent.given["habits"], **CALM.get(name, {})}})
        for name, agent in config.agents.items()
    }
    return replace(config, agents=agents)


CALM = {
    "maker": {"caution": 0.0, "fear": 0.0},
    "zero-intelligence": {"caution": 0.0},
    "herd": {"alarm": 0.0, "fear": 0.0},
}


def gates(config: RunConfig, seed: int) -> tuple[Gate, Gate]:
    """Clusters, and volume with the price, once everybody has found the price."""
    series = traded(replace(config, days=500 * SECOND), seed, Symbol("BTC"))
    returns, volumes = np.diff(np.log(series.prices)), np.asarray(series.volumes)[1:]
    return clusters(returns[100:]), trade(returns[100:], volumes[100:])


@pytest.mark.no_cover
def test_volatility_clusters_and_volume_moves_with_it_where_traders_make_the_price() -> None:
    found = [gates(load(MARKET), seed) for seed in range(1, 6)]

    assert sum(clustered.passed for clustered, _ in found) >= 4, found
    assert all(moved.passed for _, moved in found), found


@pytest.mark.no_cover
def test_volatility_does_not_cluster_where_traders_have_no_nerves() -> None:
    found = [gates(without_nerves(load(MARKET)), seed) for seed in range(1, 6)]

    assert not any(clustered.passed for clustered, _ in found), found
    assert all(moved.passed for _, moved in found), found


def test_with_the_house_off_the_price_is_made_by_the_traders() -> None:
    config = replace(load(MARKET), days=80 * SECOND)
    with PriceTape(Symbol("BTC")) as tape:
        result = Simulation(config, 3, tape).run()

    assert config.environment.read("HOUSE_LEVELS", int) == 0
    assert result.market("BTC").trades > 50
    assert all(bot.agrees for bot in result.bots)
    assert not any(bot.failure for bot in result.bots)
    source = result.market("BTC").last
    assert source is not None
    assert np.mean(tape.prices[-50:]) == pytest.approx(float(source), rel=0.05)
