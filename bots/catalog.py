"""Strategies by name, or out of a user's file, built with what their constructors ask for."""

import importlib.util
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

from bots.hamster import Hamster
from bots.investor import Investor
from bots.market_maker import MarketMaker
from bots.noise import Noise
from bots.strategy import Strategy, StrategyError

OURS: Final[Mapping[str, type[Strategy]]] = {
    "investor": Investor,
    "hamster": Hamster,
    "market-maker": MarketMaker,
    "noise": Noise,
}


def find(name: str) -> type[Strategy]:
    """Return the strategy called ``name``, or the class that ``path/to/file.py:Class`` names.

    Raises:
        StrategyError: there is none; the message says what is missing.
    """
    path, colon, wanted = name.rpartition(":")
    if not colon and not name.endswith(".py"):
        if name in OURS:
            return OURS[name]
        raise StrategyError(
            f"no strategy {name!r}: it is one of {', '.join(OURS)}, or path/to/file.py:Class"
        )
    module = _loaded(Path(path if colon else name))
    return _class(module, wanted if colon else "")


def build(strategy: type[Strategy], offers: Mapping[str, Any]) -> Strategy:
    """Return a new strategy, given those of the ``offers`` that its constructor names.

    Raises:
        StrategyError: it asks for something else, or its constructor fails.
    """
    asked = inspect.signature(strategy).parameters.values()
    named = [each for each in asked if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    for each in named:
        if each.name not in offers and each.default is each.empty:
            raise StrategyError(
                f"{strategy.__name__} asks for {each.name!r}; it may ask for {', '.join(offers)}"
            )
    given = {each.name: offers[each.name] for each in named if each.name in offers}
    try:
        return strategy(**given)
    except Exception as error:
        raise StrategyError(f"{strategy.__name__} cannot be built: {error!r}") from error


def _loaded(path: Path) -> ModuleType:
    if not path.is_file():
        raise StrategyError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise StrategyError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # dataclasses look their module up there
    sys.path.insert(0, str(path.parent.resolve()))  # so that it may import its neighbors
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise StrategyError(f"{path} cannot be loaded: {error!r}") from error
    return module


def _class(module: ModuleType, wanted: str) -> type[Strategy]:
    """The class of that name in the module, or its only strategy when there is no name."""
    own: dict[str, Any] = {
        name: found
        for name, found in vars(module).items()
        if inspect.isclass(found) and found.__module__ == module.__name__ and _decides(found)
    }
    listed = ", ".join(own) or "no class with a method decide"
    if not wanted and len(own) == 1:
        return cast("type[Strategy]", next(iter(own.values())))
    found: Any = getattr(module, wanted, None) if wanted else None
    if found is None:
        raise StrategyError(f"{module.__file__} has no class {wanted or '?'!r}; it has {listed}")
    if not inspect.isclass(found) or not _decides(found):
        raise StrategyError(f"{wanted} is no strategy: it has no method decide(self, fact)")
    return cast("type[Strategy]", found)


def _decides(found: type) -> bool:
    return callable(getattr(found, "decide", None))
