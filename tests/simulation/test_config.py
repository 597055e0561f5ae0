from pathlib import Path

import pytest

from bots.strategy import StrategyError
from market.errors import MarketError, SettingsError
from simulation.config import SCENARIOS, load, parsed
from simulation.errors import ConfigError
from simulation.event_log import EventLog
from simulation.run import Simulation


def test_the_default_market_is_that_of_the_template() -> None:
    config = parsed({})

    assert list(config.population) == ["hamster", "investor"]
    assert config.environment.read("SYMBOLS", str) == "BTC,META,TCS"


def test_what_the_process_says_does_not_change_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    before = parsed({}).environment.read("HOUSE_LEVELS", int)
    monkeypatch.setenv("HOUSE_LEVELS", "9")

    assert parsed({}).environment.read("HOUSE_LEVELS", int) == before


def test_a_configuration_has_the_same_name_in_any_order() -> None:
    one = {"settings": {"HOUSE_LEVELS": 3, "SYMBOLS": "BTC"}, "agents": {"b": {}, "a": {}}}
    other = {"agents": {"a": {}, "b": {}}, "settings": {"SYMBOLS": "BTC", "HOUSE_LEVELS": 3}}

    assert parsed(one).digest == parsed(other).digest
    assert parsed({}).digest != parsed({"days": 2}).digest


def test_agents_alike_are_numbered() -> None:
    config = parsed({"agents": {"noise": {"count": 10}}})

    assert list(config.population)[:2] == ["noise-01", "noise-02"]


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ({"dayz": 1}, "dayz"),
        ({"days": 0}, "days"),
        ({"settings": {"HOUSE_LEVLES": 1}}, "HOUSE_LEVLES"),
        ({"settings": {"BTC_STEP_MAXX": 1}}, "BTC_STEP_MAXX"),
        ({"settings": {"DOGE_PORT": 1}}, "DOGE_PORT"),
        ({"settings": {"SYMBOLS": "btc!"}}, "SYMBOLS"),
        ({"risk": {"report_s": 0}}, "report_s is 0.001"),
        ({"recordings": {"DOGE": {"file": "x.csv"}}}, "recordings: there is no DOGE, only BTC"),
        ({"agents": {"a": {"latency": -1}}}, "agents.a"),
        ({"agents": {"a": {"symbols": ["DOGE"]}}}, "agents.a: symbols: there is no DOGE"),
        ({"agents": {"a": {"events": ["gossip"]}}}, "gossip"),
    ],
)
def test_what_makes_no_sense_is_named(table: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        parsed(table)


def test_a_file_that_is_not_there_is_said_so() -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        load(Path("nowhere.toml"))


def test_every_scenario_in_the_box_can_be_loaded_by_its_name() -> None:
    names = sorted(path.name for path in SCENARIOS.glob("*.toml"))

    assert len(names) >= 9
    assert all(load(Path(name)).about for name in names)


@pytest.mark.parametrize(
    ("agents", "problem"),
    [
        ("agents.investor = 3", "agents"),
        ("agents.investor.amount = 'lots'", "amount 'lots' is no number"),
        ("agents.investor.starting_cash = 'inf'", "starting_cash 'inf' is no number"),
    ],
)
def test_an_agent_that_makes_no_sense_is_refused_by_its_key(
    agents: str, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(agents)

    with pytest.raises(ConfigError, match=problem):
        load(path)


@pytest.mark.parametrize("name", ["house", "fees"])
def test_an_account_of_the_exchange_is_no_agent(name: str) -> None:
    config = parsed({"days": 0.001, "agents": {name: {"strategy": "hamster"}}})

    with pytest.raises(ConfigError, match=f"agents: account {name!r} is the exchange's own"):
        Simulation(config, 1, EventLog())


def test_an_argument_that_a_strategy_does_not_ask_for_is_named() -> None:
    config = parsed({"days": 0.001, "agents": {"investor": {"with": {"windoww": 3}}}})

    with pytest.raises(StrategyError, match="investor: with: Investor does not ask for 'windoww'"):
        Simulation(config, 1, EventLog())


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"agents": {"investor": {"amount": "0.5"}}}, "agents.investor: amount: quantity 0.5"),
        ({"settings": {"BTC_PROCESS_SIGMAA": 1}}, "BTC_PROCESS_SIGMAA: there is no such parameter"),
        ({"settings": {"SEED": 3}}, "SEED is not one of a run"),
        ({"agents": {"a b": {"strategy": "investor"}}}, "agents: account 'a b': a name is"),
    ],
)
def test_what_an_instrument_or_a_process_cannot_have_is_refused_before_it_runs(
    table: dict[str, object], problem: str
) -> None:
    with pytest.raises(MarketError, match=problem):
        Simulation(parsed({"days": 1000, **table}), 1, EventLog())


def test_settings_of_a_symbol_are_those_of_any_other() -> None:
    settings = {"SYMBOLS": "BTC,DOGE", "DOGE_PORT": 9, "DOGE_ARRIVALS": "hawkes"}
    needed = {"DOGE_START": "0.1", "DOGE_TICK_SIZE": "0.01", "DOGE_PROCESS": "gbm"}

    table = {"settings": settings | needed | {"DOGE_PROCESS_MU": 1}}
    assert parsed(table).settings["DOGE_PORT"] == 9


def test_fewer_symbols_than_a_bot_wants_are_an_error_that_names_both_settings() -> None:
    config = parsed({"days": 0.001, "settings": {"SYMBOLS": "BTC"}})

    with pytest.raises(SettingsError, match=r"INTERESTED_IN.*META.*SYMBOLS=BTC"):
        Simulation(config, 1, EventLog())
