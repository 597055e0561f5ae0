from decimal import Decimal
from pathlib import Path

import pytest

from market.errors import SettingsError
from market.settings import (
    Environment,
    environment,
    instrument,
    one_of,
    port,
    real,
    source_url,
    symbols,
    whole,
    words,
)
from market.values import Symbol

TCS = {"QUOTE": "USDT", "TCS_TICK_SIZE": "0.01", "TCS_LOT_SIZE": "1", "TCS_NAME": "Tinkoff"}


def test_the_process_wins_over_the_file_and_the_file_over_the_template(tmp_path: Path) -> None:
    (tmp_path / ".env_template").write_text("A=1\nB=1\nC=1\n# D=1\n")
    (tmp_path / ".env").write_text("B=2\nC=2\n")

    env = environment(tmp_path, {"C": "3"})

    assert [env.read(name, int) for name in "ABC"] == [1, 2, 3]
    assert env.optional("D", int) is None


def test_without_files_there_is_only_the_process(tmp_path: Path) -> None:
    assert environment(tmp_path, {"A": "1"}).read("A", int) == 1


def test_the_template_of_the_project_is_complete() -> None:
    env = environment(process={})

    assert symbols(env) == ("BTC", "TCS", "META")
    assert instrument(env, Symbol("BTC")).lot_size == Decimal("0.00001")
    assert source_url(env, Symbol("TCS")) == "http://127.0.0.1:8082/stream"


@pytest.mark.parametrize("text", ["", "   "])
def test_a_missing_setting_is_named_and_an_empty_one_is_missing(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^PORT: is missing$"):
        Environment({"PORT": text}).read("PORT", port)
    assert Environment({"PORT": text}).read("PORT", port, default=80) == 80


@pytest.mark.parametrize(
    ("cast", "text"),
    [
        (port, "0"),
        (port, "65536"),
        (port, "http"),
        (whole(0, 9), "1.5"),
        (real(0, 1), "nan"),
        (real(0, 1), "inf"),
        (real(0, 1), "1.1"),
        (one_of("text", "json"), "xml"),
        (Decimal, "one"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(cast: type[object], text: str) -> None:
    with pytest.raises(SettingsError, match=f"^NAME: '{text}' will not do: ") as caught:
        Environment({"NAME": text}).read("NAME", cast)

    assert caught.value.name == "NAME"


def test_secrets_are_by_account_and_none_without_a_word() -> None:
    env = Environment({"KEYS": " ann:a:b, bob:two words,", "NONE": " "})
    assert env.secrets("KEYS") == {"ann": "a:b", "bob": "two words"}
    assert env.secrets("NONE") == env.secrets("MISSING") == {}


@pytest.mark.parametrize("text", ["bob", "bob:", ":s3cret", "s3cret,ann:s3cret", "a:s3cret,a:b"])
def test_what_is_no_list_of_secrets_is_named_and_not_told(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^KEYS: word \d is ") as refused:
        Environment({"KEYS": text}).secrets("KEYS")
    assert "s3cret" not in str(refused.value)


def test_casts_give_what_they_say() -> None:
    env = Environment({"N": " 7 ", "X": "0.5", "F": "JSON", "W": "a, b,,c "})

    assert env.read("N", whole(0, 9)) == 7
    assert env.read("X", real(0, 1)) == 0.5
    assert env.read("F", one_of("text", "json")) == "json"
    assert env.read("W", words) == ("a", "b", "c")


@pytest.mark.parametrize("text", ["BTC,btc", "BTC,TOOLONGASYMBOL", "BTC,BTC"])
def test_symbols_are_symbols_and_each_its_own(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^SYMBOLS: "):
        symbols(Environment({"SYMBOLS": text}))


def test_an_instrument_comes_from_its_own_variables() -> None:
    made = instrument(Environment(TCS), Symbol("TCS"))

    assert (made.symbol, made.name, made.quote) == ("TCS", "Tinkoff", "USDT")
    assert (made.tick_size, made.lot_size) == (Decimal("0.01"), Decimal(1))


@pytest.mark.parametrize("name", ["TCS_TICK_SIZE", "TCS_LOT_SIZE"])
@pytest.mark.parametrize("value", ["0", "-1", "NaN", "1e-13", "x"])
def test_a_grid_that_makes_no_sense_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        instrument(Environment(TCS | {name: value}), Symbol("TCS"))

    assert caught.value.name == name


def test_a_source_of_somebody_else_is_where_its_variable_says() -> None:
    env = Environment({"TCS_SOURCE_URL": "http://elsewhere/stream"})

    assert source_url(env, Symbol("TCS")) == "http://elsewhere/stream"
