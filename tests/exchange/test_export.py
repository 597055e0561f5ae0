"""The history as files: every row, every digit, and a clear word when it cannot be."""

import csv
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pyarrow import parquet

from exchange.__main__ import main
from exchange.candles import SECOND, folded, moment, plain
from exchange.history_file import HISTORY, HistoryFile
from market.settings import Environment
from tests.builders import NOON
from tests.exchange.histories import ALL, random_ticks, stored, trade
from tests.exchange.markets import BTC

TICKS = random_ticks(300)


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    with HistoryFile(tmp_path / HISTORY, ALL) as file:
        stored(file, [*TICKS, trade(1), trade(2, after_s=1)])
    return Environment({"DATA_DIR": str(tmp_path)})


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_ticks_of_a_symbol_are_in_the_csv_to_the_digit(env: Environment, tmp_path: Path) -> None:
    to = tmp_path / "ticks.csv"
    assert main(["export", "--table", "ticks", "--symbol", "btc", "--to-file", str(to)], env) == 0

    expected = [tick for tick in TICKS if tick.symbol == BTC]
    assert [int(row["seq"]) for row in read(to)] == [tick.seq for tick in expected]
    assert read(to)[0] == {
        "symbol": "BTC",
        "time": f"{expected[0].time:%Y-%m-%dT%H:%M:%S.%fZ}",
        "seq": str(expected[0].seq),
        "price": str(expected[0].price),
        "volume": "0.06100",
    }


def test_without_a_symbol_all_are_exported(
    env: Environment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "ticks.csv"
    assert main(["export", "--table", "ticks", "--to-file", str(to)], env) == 0

    assert len(read(to)) == 300
    assert capsys.readouterr().out == f"300 ticks in {to}\n"


def test_a_span_is_from_its_first_time_and_before_its_last(
    env: Environment, tmp_path: Path
) -> None:
    to = tmp_path / "trades.csv"
    span = ["--from", "2026-01-02T12:00:00.123456Z", "--to", "2026-01-02T12:00:01.123456Z"]
    assert main(["export", "--table", "trades", *span, "--to-file", str(to)], env) == 0

    assert [row["trade_id"] for row in read(to)] == ["1"]
    assert read(to)[0]["side"] == "sell"


def test_candles_in_parquet_are_those_rebuilt_from_the_ticks(
    env: Environment, tmp_path: Path
) -> None:
    to = tmp_path / "candles.parquet"
    arguments = ["--table", "candles", "--symbol", "BTC", "--interval", "1s", "--to-file", str(to)]
    assert main(["export", *arguments], env) == 0

    bars = folded(plain(tick) for tick in TICKS if tick.symbol == BTC)
    rows = parquet.read_table(to).to_pylist()
    assert [
        (row["time"], row["open"], row["high"], row["low"], row["close"], row["trades"])
        for row in rows
    ] == [
        (moment(time), bar.open, bar.high, bar.low, bar.close, bar.trades)
        for (length, time), bar in sorted(bars.items())
        if length == SECOND
    ]
    assert sum(row["volume"] for row in rows) == sum(
        Decimal(1) * tick.volume for tick in TICKS if tick.symbol == BTC
    )
    assert [row["closed"] for row in rows[-2:]] == [True, False]


def test_more_rows_than_a_page_are_all_there(tmp_path: Path) -> None:
    with HistoryFile(tmp_path / HISTORY, ALL) as file:
        stored(file, [*random_ticks(12_000, gap_s=0.001)])
    env, to = Environment({"DATA_DIR": str(tmp_path)}), tmp_path / "ticks.parquet"
    assert main(["export", "--table", "ticks", "--to-file", str(to)], env) == 0

    rows = parquet.read_table(to).to_pylist()
    assert sorted(row["seq"] for row in rows) == list(range(1, 12_001))
    assert min(row["time"] for row in rows) >= NOON - timedelta(0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--table", "ticks", "--to-file", "x.xlsx"], "neither in .csv nor in .parquet"),
        (["--table", "ticks", "--symbol", "NONE", "--to-file", "x.csv"], "only BTC, TCS"),
        (["--table", "ticks", "--from", "yesterday", "--to-file", "x.csv"], "no time of RFC 3339"),
        (["--table", "ticks", "--to-file", "{folder}/none/x.csv"], "No such file"),
    ],
)
def test_what_cannot_be_exported_is_said_in_words(
    env: Environment,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    given = [argument.format(folder=tmp_path) for argument in arguments]
    assert main(["export", *given], env) == 2
    assert said in capsys.readouterr().err


def test_without_a_history_there_is_nothing_to_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = Environment({"DATA_DIR": str(tmp_path)})
    assert main(["export", "--table", "ticks", "--to-file", str(tmp_path / "x.csv")], env) == 2
    assert "no history" in capsys.readouterr().err


def test_parquet_without_its_library_says_what_to_install(
    env: Environment,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    to = tmp_path / "x.parquet"
    assert main(["export", "--table", "ticks", "--to-file", str(to)], env) == 2
    assert "pip install 'sandpit[export]'" in capsys.readouterr().err
    assert not to.exists()
