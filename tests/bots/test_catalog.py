"""Strategies are found by name or in a user's file, and built with what they ask for."""

from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bots import Investor, StrategyError
from bots.catalog import OURS, build, find
from market.settings import ROOT
from tests.bots.builders import INSTRUMENTS, TCS, ticks, traded

OFFERS: dict[str, Any] = {
    "account": "me",
    "symbols": (TCS,),
    "amounts": {TCS: Decimal(5)},
    "instruments": INSTRUMENTS,
    "rng": Random(1),
}


def written(folder: Path, code: str, name: str = "mine.py") -> str:
    path = folder / name
    path.write_text(code)
    return str(path)


@pytest.mark.parametrize("name", OURS)
def test_each_strategy_in_the_box_can_be_built(name: str) -> None:
    assert build(find(name), OFFERS).decide(ticks(10)[0]) is not None


def test_a_name_means_the_strategy_in_the_box() -> None:
    assert find("investor") is Investor


def test_a_class_in_a_file_is_found(tmp_path: Path) -> None:
    path = written(tmp_path, "class A:\n def decide(self, fact): return [self.account]\n")
    assert find(f"{path}:A").__name__ == "A"


def test_the_only_strategy_of_a_file_needs_no_name(tmp_path: Path) -> None:
    path = written(tmp_path, "class Other: pass\nclass A:\n def decide(self, fact): pass\n")
    assert find(path).__name__ == "A"


def test_a_dataclass_in_a_file_gets_what_it_names(tmp_path: Path) -> None:
    code = """
from __future__ import annotations
from dataclasses import dataclass
from random import Random

@dataclass
class A:
    account: str
    symbols: tuple[str, ...]
    rng: Random
    depth: int = 3

    def decide(self, fact): pass
"""
    strategy: Any = build(find(f"{written(tmp_path, code, 'with_data.py')}:A"), OFFERS)
    assert (strategy.account, strategy.symbols, strategy.depth) == ("me", ("TCS",), 3)


def test_a_file_may_import_its_neighbors(tmp_path: Path) -> None:
    written(tmp_path, "LIMIT = 3\n", "neighbor_of_mine.py")
    code = "from neighbor_of_mine import LIMIT\nclass A:\n def decide(self, fact): return LIMIT\n"
    assert find(f"{written(tmp_path, code, 'asking.py')}:A")


@pytest.mark.parametrize(
    ("code", "wanted", "message"),
    [
        ("class A:\n def decide(self, fact): pass\n", "B", "has no class 'B'; it has A"),
        ("x = 1\n", "", "no class with a method decide"),
        ("class A: pass\n", "A", "A is no strategy"),
        ("def A(): pass\n", "A", "A is no strategy"),
        ("class A(:\n", "A", "SyntaxError"),
        ("import nothing_of_the_kind\n", "A", "nothing_of_the_kind"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    tmp_path: Path, code: str, wanted: str, message: str
) -> None:
    path = written(tmp_path, code, "wrong.py")
    with pytest.raises(StrategyError, match=message):
        find(f"{path}:{wanted}")


def test_a_file_that_is_missing_is_named() -> None:
    with pytest.raises(StrategyError, match=r"there is no file nowhere/mine\.py"):
        find("nowhere/mine.py:A")


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(StrategyError, match="investor, hamster, market-maker, noise"):
        find("invester")


def test_a_strategy_may_not_ask_for_what_there_is_not(tmp_path: Path) -> None:
    code = "class A:\n def __init__(self, money): pass\n def decide(self, fact): pass\n"
    with pytest.raises(StrategyError, match="asks for 'money'; it may ask for account, symbols"):
        build(find(f"{written(tmp_path, code)}:A"), OFFERS)


def test_a_constructor_that_fails_is_a_strategy_that_cannot_be_built(tmp_path: Path) -> None:
    code = "class A:\n def __init__(self): 1 / 0\n def decide(self, fact): pass\n"
    with pytest.raises(StrategyError, match="ZeroDivisionError"):
        build(find(f"{written(tmp_path, code)}:A"), OFFERS)


def test_the_example_trades() -> None:
    strategy = build(find(str(ROOT / "examples" / "my_strategy.py")), OFFERS)
    prices = [*(100 for _ in range(20)), 99, 98, 97, 101, 102]
    fills = traded(strategy, ticks(*prices))
    assert [f"{each.side} at {each.price}" for each in fills] == ["buy at 99", "sell at 101"]
