from pathlib import Path

import pytest

from simulation.__main__ import main
from simulation.config import SCENARIOS
from simulation.errors import ConfigError
from simulation.event_log import EventLog
from simulation.fixtures import player
from simulation.run import Simulation
from simulation.scenario import Play, ScenarioFailedError, play
from tests.simulation.runs import a_config, ran

PLAYED = sorted(path.stem for path in SCENARIOS.glob("*.toml") if "[[event]]" in path.read_text())


@pytest.mark.no_cover
@pytest.mark.parametrize("name", PLAYED)
def test_every_scenario_in_the_box_keeps_its_promises(name: str, scenario: Play) -> None:
    assert scenario(f"{name}.toml", seed=3).failed == ()


def test_the_fixture_finds_a_scenario_beside_the_test_first(
    tmp_path: Path,
) -> None:
    (tmp_path / "crash.toml").write_text(
        "days = 0.0003\nassertions = ['pnl(\"investor\") > 1e12']\n[risk]\non = false\n"
    )
    with pytest.raises(ScenarioFailedError, match="1e12"):
        player(tmp_path)("crash.toml")
    assert player(tmp_path)("halt.toml", seed=3).market("META").halts == 1


def test_a_failing_assertion_fails_the_run(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        "days = 0.0003\nassertions = ['pnl(\"investor\") > 1e12']\n[risk]\non = false\n"
    )

    assert main(["play", str(path), "--quiet"]) == 1
    with pytest.raises(ScenarioFailedError, match="1e12"):
        play(path)


def test_an_assertion_that_makes_no_sense_ends_before_anything_runs(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("days = 1000\nassertions = ['import os']\n")

    assert main(["run", str(path), "--quiet"]) == 2


@pytest.mark.parametrize(
    "event",
    [
        {"do": "dance", "at_s": 1},
        {"do": "shock", "symbol": "BTC", "move": -0.5},
        {"do": "shock", "at_s": 1, "tick": 1, "symbol": "BTC", "move": -0.5},
        {"do": "shock", "at_s": 1, "symbol": "BTC", "move": -2},
        {"do": "shock", "at_s": 1, "symbol": "DOGE", "move": 1},
        {"do": "halt", "at_s": 1, "symbol": "BTC", "for": 3},
    ],
)
def test_an_event_that_makes_no_sense_is_refused(event: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Simulation(a_config(10, event=[event]), 1, EventLog())


def test_a_scenario_may_begin_at_a_tick() -> None:
    event = {"do": "die", "tick": 30, "symbol": "BTC"}
    _, result = ran(a_config(100, event=[event]))

    assert result.market("BTC").ticks == 29
    assert result.market("BTC").down == 1
    assert result.market("META").ticks == 100


def test_an_event_at_a_tick_that_never_comes_fails_the_scenario() -> None:
    event = {"do": "die", "tick": 101, "symbol": "BTC"}

    assert ran(a_config(101, event=[event]))[1].failed == ()
    assert ran(a_config(100, event=[event]))[1].failed == ("tick 101 of BTC came",)


def test_a_thin_book_is_thin_for_a_while_only() -> None:
    events = [
        {"do": "thin", "at_s": 10, "quantity": 1, "levels": 1, "for_s": 20},
        *(
            {"do": "order", "at_s": at, "symbol": "META", "side": "buy", "quantity": 30,
             "account": f"at-{at}"}
            for at in (20, 50)
        ),
    ]  # fmt: skip
    market, _ = ran(a_config(60, agents={}, event=events))

    held = [market.floor.venue.account(f"at-{at}") for at in (20, 50)]
    assert [float(each.positions[0].quantity) for each in held if each] == [1.0, 30.0]


def test_a_halted_instrument_takes_no_order_until_it_is_resumed() -> None:
    events = [
        {"do": "halt", "at_s": 10, "symbol": "META", "for_s": 20},
        *(
            {"do": "order", "at_s": at, "symbol": "META", "side": "buy", "quantity": 1,
             "account": f"at-{at}"}
            for at in (20, 40)
        ),
    ]  # fmt: skip
    market, result = ran(a_config(60, agents={}, event=events))

    assert market.floor.venue.account("at-20") is None
    assert market.floor.venue.account("at-40") is not None
    assert result.market("META").halts == 1


def test_a_herd_runs_after_the_news() -> None:
    event = {"do": "news", "at_s": 20, "symbol": "META", "move": 0.1, "herd": 5, "over_s": 10}
    market, result = ran(a_config(60, agents={}, event=[event]))

    assert result.market("META").trades == 5
    assert all(market.floor.venue.account(f"herd-{n}") is not None for n in range(1, 6))


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        ({"do": "halt", "at_s": 1}, "symbol is missing"),
        ({"do": "halt", "at_s": 1, "symbol": "META", "for_s": -5}, "for_s"),
        ({"do": "halt", "at_s": 61, "symbol": "META"}, "after the end, 60 s"),
        ({"do": "thin", "at_s": 1, "quantity": "little"}, "quantity 'little' is no number"),
        ({"do": "thin", "at_s": 1, "levels": -1}, "event 1: the house quotes 0 to 1000 levels"),
        (
            {"do": "order", "at_s": 1, "symbol": "META", "side": "buy", "quantity": "nan"},
            "quantity 'nan' is no number",
        ),
        (
            {"do": "order", "at_s": 1, "symbol": "META", "side": "buy", "quantity": -1},
            "quantity is above 0",
        ),
        ({"do": "news", "at_s": 1, "symbol": "META", "move": 0.1, "herd": 0}, "herd is 1 to"),
        ({"do": "news", "at_s": 1, "symbol": "META", "move": -1}, "a move is above -1"),
        ({"do": "volatility", "at_s": 1, "symbol": "META", "factor": -1}, "factor is 0 to"),
        ({"do": "lie", "at_s": 1, "symbol": "META", "factor": 0}, "factor is above 0"),
        (
            {
                "do": "order",
                "at_s": 1,
                "symbol": "TCS",
                "side": "buy",
                "quantity": 1,
                "account": "a b",
            },
            "account 'a b': a name is 1 to 64",
        ),
        (
            {"do": "order", "at_s": 1, "symbol": "TCS", "side": "buy", "quantity": 1}
            | {"account": "house"},
            "account 'house' is the exchange's own",
        ),
        (
            {"do": "news", "at_s": 1, "symbol": "TCS", "move": 0.1, "account": "h" * 63},
            "a name is 1 to 64",
        ),
    ],
)
def test_an_event_that_makes_no_sense_is_named(event: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        ran(a_config(60, agents={}, event=[event]))


def test_an_account_that_events_open_can_be_asked_about_like_any_agent() -> None:
    order = {"do": "order", "symbol": "TCS", "account": "fat", "starting_cash": 5000}
    promises = [
        'orders("fat") == 3 and fills("fat") == 1 and position("fat", "TCS") == 3',
        'refusals("fat") == 2 and refused("fat", "price-band") == 1',
        'abs(pnl("fat") - equity("fat") + 5000) < 0.001',
        'books_agree("fat") and not failed("fat") and hit_rate("fat") == 0',
        'max_drawdown("fat") > 0 and max_drawdown("fat") < 0.2',
        'equity("herd-1") == 1000000 and orders("herd-1") == 0',
    ]
    events = [
        order | {"at_s": 10, "side": "buy", "quantity": 3},
        order | {"at_s": 11, "side": "buy", "quantity": 1, "price": "1.00"},
        order | {"at_s": 12, "side": "buy", "quantity": 2000, "price": "20.00"},
        {"do": "news", "at_s": 55, "symbol": "BTC", "move": 0.01, "herd": 1, "over_s": 60},
    ]
    config = a_config(60, agents={"investor": {}}, event=events, assertions=promises, sample_s=1)
    market, result = ran(config)

    assert result.failed == ()
    assert [bot.name for bot in result.bots] == ["fat", "herd-1", "investor"]
    assert len(market.recorder.equity["fat"].path.points) > 40


def test_an_account_that_no_exchange_would_open_ends_the_run_with_its_reason() -> None:
    event = {"do": "order", "at_s": 5, "symbol": "TCS", "side": "buy", "quantity": 1}
    with pytest.raises(ConfigError, match="an event's account fat-finger: starting_cash must be"):
        ran(a_config(60, agents={}, event=[event | {"starting_cash": 1e16}]))


@pytest.mark.parametrize(
    ("assertion", "problem"),
    [
        ('pnl("bob") > 0', "there is no 'bob', only investor"),
        ('position("investor", "DOGE") > 0', "there is no 'DOGE', only BTC"),
        ('1 > 2 and ticks("DOGE") > 0', "there is no 'DOGE'"),
        ('risk_exceptions("account:bob") == 0', "there is no 'account:bob', only default"),
        ("pnl() > 0", r"it is pnl\(agent\)"),
    ],
)
def test_an_assertion_about_nobody_is_refused_before_anything_runs(
    assertion: str, problem: str
) -> None:
    risk = {"on": True, "accounts": True}
    config = a_config(10**7, agents={"investor": {}}, risk=risk, assertions=[assertion])
    with pytest.raises(ConfigError, match=problem):
        Simulation(config, 1, EventLog())
