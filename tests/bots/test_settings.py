"""A bot's settings come from its own lines, then from the common ones."""

from decimal import Decimal

import pytest

from bots.settings import Settings
from market.errors import SettingsError
from market.settings import ROOT, Environment, environment
from market.values import Symbol, symbol
from tests.bots.builders import BTC, META, TCS


def an_environment(**changes: str) -> Environment:
    template = environment(ROOT / "tests", process={})  # holds no files: nothing but the changes
    assert template.optional("HOST", str) is None
    values = {
        "HOST": "127.0.0.1",
        "EXCHANGE_PORT": "8080",
        "SYMBOLS": "BTC,TCS,META",
        "QUOTE": "USDT",
        "BTC_TICK_SIZE": "1",
        "TCS_TICK_SIZE": "0.01",
        "META_TICK_SIZE": "0.01",
        "BTC_LOT_SIZE": "0.00001",
        "STARTING_CASH": "1000000",
        "STATUS_S": "10",
        "ORDER_RETRY_S": "10",
        "STRATEGY_MAX_FAILURES": "10",
        "HEARTBEAT_S": "15",
    }
    return Environment(values | changes)


def test_the_template_holds_what_the_bots_read() -> None:
    env = environment(process={})
    assert Settings.from_env(env, "investor").amounts == {BTC: Decimal(1), TCS: Decimal(5)}
    assert Settings.from_env(env, "hamster").amounts == {META: Decimal(5), TCS: Decimal(5)}


def test_a_bot_trades_its_own_amount_of_what_it_is_interested_in() -> None:
    env = an_environment(ME_INTERESTED_IN="TCS,BTC", ME_AMOUNT="7", ME_AMOUNT_BTC="0.5")
    settings = Settings.from_env(env, "me")
    assert settings.amounts == {TCS: Decimal(7), BTC: Decimal("0.5")}
    assert settings.symbols == (TCS, BTC)
    assert settings.exchange_url == "http://127.0.0.1:8080"


def test_a_bot_without_lines_trades_one_of_everything() -> None:
    settings = Settings.from_env(an_environment(), "me")
    assert settings.amounts == dict.fromkeys((BTC, TCS, META), Decimal(1))


def test_the_command_line_goes_before_the_settings() -> None:
    env = an_environment(ME_INTERESTED_IN="TCS")
    assert Settings.from_env(env, "me", (META,)).symbols == (META,)


def test_a_name_with_a_dash_has_an_underscore_in_its_settings() -> None:
    env = an_environment(MARKET_MAKER_AMOUNT="3")
    assert Settings.from_env(env, "market-maker").amounts[TCS] == 3


def test_the_keys_of_accounts_are_known_and_not_shown() -> None:
    settings = Settings.from_env(an_environment(API_KEYS="me:s3cret,you:other"), "me")
    assert settings.keys == {"me": "s3cret", "you": "other"}
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "only", "named"),
    [
        ({"ME_INTERESTED_IN": "TCS,XYZ"}, None, "ME_INTERESTED_IN"),
        ({"ME_INTERESTED_IN": "tcs"}, None, "ME_INTERESTED_IN"),
        ({}, (symbol("XYZ"),), "--symbols"),
        ({"ME_AMOUNT": "lots"}, None, "ME_AMOUNT"),
        ({"ME_AMOUNT_TCS": "0.5"}, None, "ME_AMOUNT_TCS"),
        ({"ME_AMOUNT_TCS": "-1"}, None, "ME_AMOUNT_TCS"),
        ({"STATUS_S": "0"}, None, "STATUS_S"),
        ({"API_KEYS": "me:s3cret,you"}, None, "API_KEYS"),
    ],
)
def test_a_wrong_setting_is_named(
    changes: dict[str, str], only: tuple[Symbol, ...] | None, named: str
) -> None:
    with pytest.raises(SettingsError, match=named):
        Settings.from_env(an_environment(**changes), "me", only)
