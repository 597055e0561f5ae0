from collections.abc import Callable
from decimal import Decimal
from random import Random

import pytest

from market.errors import SettingsError
from market.settings import Environment
from market.values import Symbol
from sources.processes import Hawkes, MertonJumps, Walk
from sources.settings import Settings

Market = Callable[..., Environment]
BTC = Symbol("BTC")


def test_the_walk_takes_its_step_and_grid_from_the_instrument(market: Market) -> None:
    settings = Settings.from_env(market(SEED=""), Symbol("META"))

    assert settings.process == Walk(step_max=50, tick_size=0.01)
    assert settings.start == Decimal("505.47")
    assert settings.seed is None
    assert settings.arrivals is None


def test_a_process_takes_its_parameters_by_their_standard_names(market: Market) -> None:
    env = market(BTC_PROCESS="merton", BTC_PROCESS_LAMBDA="100", BTC_PROCESS_SIGMA_J="0.01")

    assert Settings.from_env(env, BTC).process == MertonJumps(lambda_=100.0, sigma_j=0.01)


def test_a_parameter_of_another_process_waits_for_it(market: Market) -> None:
    env = market(BTC_PROCESS="walk", BTC_PROCESS_SIGMA="0.3", BTC_PROCESS_KAPPA="")

    assert isinstance(Settings.from_env(env, BTC).process, Walk)


def test_a_new_instrument_needs_lines_of_settings_only(market: Market) -> None:
    env = market(
        SYMBOLS="BTC,SOL", SOL_PORT="8090", SOL_START="150", SOL_TICK_SIZE="0.05", SOL_PROCESS="ou"
    )

    settings = Settings.from_env(env, Symbol("SOL"))

    assert settings.source.instrument.name == "SOL"
    assert settings.source.server.port == 8090


def test_arrivals_may_come_in_bursts(market: Market) -> None:
    env = market(BTC_ARRIVALS="hawkes", BTC_ARRIVALS_ALPHA="0.5")

    assert Settings.from_env(env, BTC).arrivals == Hawkes(alpha=0.5)


def test_correlated_symbols_get_their_rows_of_one_factor(market: Market) -> None:
    env = market(
        BTC_PROCESS="correlated", META_PROCESS="correlated", CORRELATION="BTC:META:0.6,TCS:META:0.1"
    )

    btc, meta = (Settings.from_env(env, Symbol(name)) for name in ("BTC", "META"))

    assert btc.correlated
    assert btc.process.loadings == (1.0, 0.0, 0.0)  # type: ignore[attr-defined]
    assert meta.process.loadings[0] == pytest.approx(0.6)  # type: ignore[attr-defined]
    one, other = (found.process.prices(1.0, Random(1)) for found in (btc, meta))
    assert next(one) != next(other)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"SYMBOLS": "TCS,META"}, "BTC"),
        ({"BTC_PROCESS": "levy"}, "BTC_PROCESS"),
        ({"BTC_PROCESS": "gbm", "BTC_PROCESS_SIGMA": "-1"}, "BTC_PROCESS"),
        ({"BTC_PROCESS": "gbm", "BTC_PROCESS_SIGMA": "nan"}, "BTC_PROCESS_SIGMA"),
        ({"BTC_STEP_MAX": "0"}, "BTC_STEP_MAX"),
        ({"BTC_START": "0"}, "BTC_START"),
        ({"BTC_START": "70400.5"}, "BTC_START"),
        ({"BTC_START": "cheap"}, "BTC_START"),
        ({"BTC_LOT_SIZE": "0"}, "BTC"),
        ({"TICK_INTERVAL_S": "-1"}, "TICK_INTERVAL_S"),
        ({"SEED": "lucky"}, "SEED"),
        ({"BTC_PORT": ""}, "BTC_PORT"),
        ({"BTC_ARRIVALS": "hawkes", "BTC_ARRIVALS_ALPHA": "2"}, "BTC_ARRIVALS"),
        ({"BTC_PROCESS": "gbm", "BTC_PROCESS_SIGMAA": "1"}, "BTC_PROCESS_SIGMAA.* mu, sigma"),
        ({"BTC_PROCESS_STEP_MAX": "5"}, "BTC_PROCESS_STEP_MAX"),
        ({"BTC_ARRIVALS_ALFA": "0.5"}, "BTC_ARRIVALS_ALFA"),
        ({"BTC_VOLUME_DEPTH": "2"}, "BTC_VOLUME_DEPTH"),
        ({"BTC_PROCESS": "correlated", "SEED": ""}, "SEED"),
        ({"BTC_PROCESS": "correlated", "CORRELATION": "BTC:TCS:2"}, "CORRELATION"),
        ({"BTC_PROCESS": "correlated", "CORRELATION": "BTC:TCS"}, "CORRELATION"),
        ({"BTC_PROCESS": "correlated", "CORRELATION": "BTC:DOGE:0.5"}, "CORRELATION"),
        ({"BTC_PROCESS": "correlated", "CORRELATION": "BTC:BTC:0.5"}, "CORRELATION"),
        (
            {
                "BTC_PROCESS": "correlated",
                "CORRELATION": "BTC:TCS:0.9,BTC:META:-0.9,TCS:META:0.9",
            },
            "CORRELATION",
        ),
    ],
)
def test_a_wrong_setting_is_named(market: Market, wrong: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        Settings.from_env(market(**wrong), BTC)
