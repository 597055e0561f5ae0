"""Memory flat in the number of days: what a run holds at its end is what it held long before."""

import gc
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

import pytest

from simulation.config import RunConfig
from simulation.event_log import EventLog
from simulation.run import Simulation
from simulation.series import Series
from tests.simulation.runs import a_config

NOT_OF_A_RUN: Final = (ModuleType, type, CodeType)
EARLY, LATE = 150 / 500, 495 / 500  # shares of the run; risk is about to report at both
SETTINGS: Final = {
    "SYMBOLS": "BTC",
    "PORTFOLIO": "BTC:1",
    "ORDERS_KEPT": "50",
    "BTC_PROCESS": "ou",
    "BTC_PROCESS_SIGMA": "0.1",  # few different prices: the grids' caches are full soon
}
LEAKING: Final = """
class Leaking:
    def __init__(self):
        self.seen = []

    def decide(self, fact):
        self.seen.append(fact.kind)
        return ()
"""


def is_bounded(thing: object) -> bool:
    """Whether it could not grow for ever: a thinned series, or a window."""
    return isinstance(thing, Series) or (isinstance(thing, deque) and thing.maxlen is not None)


def referents(thing: object) -> list[Any]:
    """What a thing holds; of a function only what is its own."""
    if isinstance(thing, FunctionType):
        return [thing.__closure__, thing.__defaults__, thing.__kwdefaults__]
    return gc.get_referents(thing)


def held(root: object) -> Iterator[object]:
    """Everything that can be reached from a thing, what is bounded left out."""
    seen, left = {id(root)}, [root]
    while left:
        yield (thing := left.pop())
        for one in referents(thing):
            if id(one) not in seen and not isinstance(one, NOT_OF_A_RUN) and not is_bounded(one):
                seen.add(id(one))
                left.append(one)


def sizes(root: object) -> dict[int, tuple[int, str, object]]:
    """How many members each container has that can be reached from a thing, and what it is.

    Each is kept with its size, so that no later one can come to lie where it was.
    """
    return {
        id(thing): (len(thing), f"{type(thing).__name__} {str(thing)[:80]}", thing)
        for thing in held(root)
        if isinstance(thing, list | dict | set | deque | bytearray)
    }


def grown(config: RunConfig) -> list[str]:
    """What has more in it late in a run than early in it."""
    looks: list[tuple[int, dict[int, tuple[int, str, object]]]] = []

    def look(share: float) -> None:
        if share in (EARLY, LATE):
            looks.append((sum(1 for _ in held(market)), sizes(market)))

    with EventLog() as log:
        market = Simulation(config, 3, log)
        market.run(look)
    (things, early), (more_things, late) = looks
    found = [
        f"{late[one][0]} after {size} in {what}"
        for one, (size, what, _) in early.items()
        if one in late and late[one][0] > 1.2 * size + 50
    ]
    return found + [f"{more_things} things after {things}"] * (more_things > 1.3 * things)


@pytest.mark.no_cover
def test_nothing_that_a_run_holds_grows_with_its_length() -> None:
    agents = {name: {"symbols": ["BTC"]} for name in ("investor", "hamster", "noise")}
    event = {"do": "order", "at_s": 9, "symbol": "BTC", "side": "buy", "quantity": 1}
    config = a_config(
        6000,
        settings=SETTINGS,
        agents={**agents, "noise": agents["noise"] | {"hearing": 20, "events": ["tick", "trade"]}},
        event=[event],
        risk={"on": True, "accounts": True},
    )

    assert grown(config) == []


def test_a_strategy_that_keeps_all_it_hears_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "leaking.py"
    path.write_text(LEAKING)
    agents = {"mine": {"strategy": f"{path}:Leaking", "symbols": ["BTC"]}}

    found = grown(a_config(900, settings=SETTINGS, agents=agents))

    assert [line for line in found if line.endswith("'tick'") or "['snapshot'" in line]
