import sys

import pytest
from starlette.config import Config

from market.errors import SettingsError
from market.settings import ROOT, Environment
from supervision.programs import Port, Program, programs


def _programs(**changes: str) -> dict[str, Program]:
    env = Environment(Config(ROOT / ".env_template").file_values | changes)
    return {program.name: program for program in programs(env)}


def test_each_symbol_has_a_source_on_its_port() -> None:
    source = _programs(BTC_PORT="9001")["source-btc"]
    assert source.command == (sys.executable, "-m", "sources", "BTC")
    assert source.port == Port(host="127.0.0.1", number=9001, setting="BTC_PORT")


def test_a_symbol_that_is_streamed_elsewhere_has_no_source_of_ours() -> None:
    found = _programs(TCS_SOURCE_URL="http://127.0.0.1:9/stream")
    assert "source-tcs" not in found
    assert "source-btc" in found


def test_each_bot_is_run_by_its_name() -> None:
    bot = _programs(BOTS="investor,market-maker")["bot-market-maker"]
    assert bot.command == (sys.executable, "-m", "bots", "run", "market-maker")
    assert bot.port is None


def test_there_may_be_no_bots() -> None:
    assert not [name for name in _programs(BOTS=" ") if name.startswith("bot-")]


@pytest.mark.parametrize("bots", ["../etc", "a b", "investor,investor", "Investor", "x:y"])
def test_what_is_no_name_of_a_bot_is_refused(bots: str) -> None:
    with pytest.raises(SettingsError, match="BOTS"):
        _programs(BOTS=bots)
