import csv
import sqlite3
from pathlib import Path

import pytest

from simulation.__main__ import main
from tests.simulation.runs import SECOND, a_config, ran


@pytest.fixture
def short(tmp_path: Path) -> Path:
    path = tmp_path / "short.toml"
    path.write_text(f"days = {30 * SECOND}\n[risk]\non = false\n")
    return path


def test_a_run_prints_the_hash_of_its_log(
    short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "events.log"

    assert main(["run", str(short), "--seed", "7", "--log", str(log), "--quiet"]) == 0
    said = capsys.readouterr().out
    assert ran(a_config(30), 7)[1].log in said
    assert log.read_bytes().startswith(b"source ")


def test_a_sweep_prints_who_beats_whom(
    short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.sqlite"
    ask = ["sweep", str(short), "--seeds", "1..3", "--processes", "1", "--quiet"]

    assert main([*ask, "--results", str(results)]) == 0
    assert main([*ask, "--results", str(results)]) == 0
    assert "investor beats hamster in" in capsys.readouterr().out
    with sqlite3.connect(results) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (3,)
    connection.close()


def test_a_sweep_fails_where_an_assertion_does_and_says_in_how_many_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("days = 0.0002\nassertions = ['pnl(\"investor\") > 1e9', '1 > 0']\n")
    ask = ["sweep", str(file), "--seeds", "1..2", "--processes", "1", "--quiet"]

    assert main([*ask, "--results", str(tmp_path / "sweeps.sqlite")]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert 'does not hold: pnl("investor") > 1e9 (2 of 2 runs)' in said
    assert "1 > 0" not in said


def test_a_backtest_takes_a_strategy_file_and_recorded_prices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prices = tmp_path / "prices.csv"
    with prices.open("w", newline="") as file:
        csv.writer(file).writerows([("close",), *((100 + n % 5,) for n in range(50))])
    example = Path(__file__).resolve().parents[2] / "examples" / "my_strategy.py"
    ask = ["backtest", f"{example}:MyStrategy", "--data", f"META={prices}", "--column", "close"]

    assert main([*ask, "--interval", "1", "--latency", "20", "--quiet"]) == 0
    assert "50 ticks" in " ".join(capsys.readouterr().out.split())
    assert main([*ask, "--quiet"]) == 2


def test_a_sweep_of_which_a_process_dies_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strategy, file = tmp_path / "deadly.py", tmp_path / "mine.toml"
    strategy.write_text("import os\nclass Deadly:\n    def decide(self, fact): os._exit(3)\n")
    file.write_text('days = 0.0002\n[agents.deadly]\nstrategy = "deadly.py:Deadly"\n')
    ask = ["sweep", str(file), "--seeds", "1..2", "--processes", "1", "--quiet"]

    assert main([*ask, "--results", str(tmp_path / "results.sqlite")]) == 1
    assert "terminated abruptly" in capsys.readouterr().err


def test_what_a_strategy_raises_now_and_then_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strategy, file = tmp_path / "moody.py", tmp_path / "mine.toml"
    strategy.write_text(
        "class Moody:\n    def decide(self, fact):\n"
        "        if getattr(fact, 'seq', 1) % 2 == 0:\n            raise KeyError('even')\n"
    )
    file.write_text(f'days = {20 * SECOND}\n[agents.moody]\nstrategy = "moody.py:Moody"\n')
    sweep = [
        "sweep",
        "--seeds",
        "1..2",
        "--processes",
        "1",
        "--results",
        str(tmp_path / "r.sqlite"),
    ]

    assert main(["run", str(file), "--quiet"]) == 0
    assert "the strategy of moody failed: 30 KeyError at moody.py:4" in capsys.readouterr().out
    assert main([*sweep, str(file), "--quiet"]) == 0
    said = "the strategy of moody failed: KeyError at moody.py:4 (2 of 2 runs)"
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong",
    [
        ["run", "nowhere.toml"],
        ["run", "--days", "-1"],
        ["run", "--set", "HOUSE_LEVELS"],
        ["run", "--set", "NO_SUCH=1"],
        ["sweep", "--seeds", "x"],
        ["sweep", "--processes", "0"],
        ["sweep", "--set", "BTC_PROCESS_SIGMAA=1"],
        ["backtest", "nowhere.py:X", "--data", "x.csv"],
        ["play", "crash.toml", "--set", "HOUSE_LEVELS=many"],
        ["play", "crash.toml", "--live", "--seed", "3"],
        ["play", "crash.toml", "--live", "--set", "HOUSE_LEVELS=1"],
        ["run", "--set", "TAKER_FEE_BPS=abc"],
        ["run", "--days", "0.0001", "--log", "/dev/null/log"],
        ["sweep", "--duel", "investor"],
        ["facts", "walk.toml", "--symbol", "DOGE"],
        ["play", "crash.toml", "--live", "--report", "out"],
    ],
)
def test_a_question_that_makes_no_sense_is_answered_with_2(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*wrong, "--quiet"]) == 2
    assert capsys.readouterr().err.startswith("simulation: ")


@pytest.mark.parametrize(
    ("rows", "wrong", "problem"),
    [
        ("timestamp,price", [], "has no rows"),
        ("timestamp,price,price\n2026-01-01,1,2", [], "2 columns 'price'"),
        ("timestamp,price\n2026-01-01,100\n9998-01-01,101", [], "days are above 0, and 100000"),
        ("timestamp,price\n2026-01-01,100", ["--days", "0"], "days are above 0"),
        ("timestamp,price\n2026-01-01,100", ["--amount", "x"], "amount 'x' is no number"),
    ],
)
def test_a_recording_or_a_wish_that_makes_no_sense_is_answered_with_2(
    rows: str,
    wrong: list[str],
    problem: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prices = tmp_path / "prices.csv"
    prices.write_text(rows)

    assert main(["backtest", "investor", "--data", str(prices), *wrong, "--quiet"]) == 2
    assert problem in capsys.readouterr().err


STRATEGIES = """
from decimal import Decimal
from bots.strategy import buy

class Exiting:
    def decide(self, fact):
        raise SystemExit(0)

class Greedy:
    def decide(self, fact):
        return [buy(fact.symbol, Decimal("1e-9"))] if fact.kind == "tick" else ()

class Failing:
    def decide(self, fact):
        raise ValueError("[/red] is no price")
"""


@pytest.mark.parametrize(
    ("strategy", "code", "said"),
    [
        ("Exiting", 1, "a strategy has ended the process"),
        ("Greedy", 0, "strategy was refused: 40 lot-size"),
        ("Failing", 1, "last with ValueError('[/red] is no price')"),
    ],
)
def test_what_a_strategy_does_wrong_is_said(
    strategy: str, code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prices, mine = tmp_path / "prices.csv", tmp_path / "mine.py"
    prices.write_text("price\n" + "100\n" * 40)
    mine.write_text(STRATEGIES)
    ask = ["backtest", f"{mine}:{strategy}", "--data", str(prices), "--interval", "1", "--quiet"]

    assert main(ask) == code
    heard = capsys.readouterr()
    assert said in " ".join((heard.out + heard.err).split())


def test_facts_need_enough_prices(capsys: pytest.CaptureFixture[str]) -> None:
    market = Path(__file__).resolve().parents[2] / "simulation" / "population.toml"

    assert main(["facts", str(market), "--days", "0.0002", "--quiet"]) == 2
    assert "too few" in capsys.readouterr().err
