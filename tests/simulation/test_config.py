from pathlib import Path

import pytest

from simulation.config import SCENARIOS, load, parsed
from simulation.errors import ConfigError


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
        ({"agents": {"a": {"latency": -1}}}, "agents.a"),
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
