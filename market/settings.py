"""What the environment says: defaults in `.env_template`, then `.env`, then the process."""

import os
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, TypeVar

from starlette.config import Config

from market.errors import SettingsError
from market.values import Instrument, Symbol, step, symbol

ROOT: Final = Path(__file__).resolve().parents[1]

T = TypeVar("T")


class Environment:
    """Variables by name; a wrong or missing one is a SettingsError that names it."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def read(self, name: str, cast: Callable[[str], T], default: T | None = None) -> T:
        """Return the variable as ``cast`` makes it; an empty one is as good as none."""
        text = self._variables.get(name, "").strip()
        if text:
            try:
                return cast(text)
            except InvalidOperation as error:
                raise SettingsError(name, f"{text[:80]!r} will not do: it is no number") from error
            except ValueError as error:
                raise SettingsError(name, f"{text[:80]!r} will not do: {error}") from error
        if default is None:
            raise SettingsError(name, "is missing")
        return default

    def optional(self, name: str, cast: Callable[[str], T]) -> T | None:
        """Return the variable as ``cast`` makes it, or None when it is empty or missing."""
        return self.read(name, cast) if self._variables.get(name, "").strip() else None

    def secrets(self, name: str) -> dict[str, str]:
        """Return the secret of each account in ``account:secret,...``; none when it is empty.

        Raises:
            SettingsError: it is something else; no part of it is told, for it may be a secret.
        """
        found: dict[str, str] = {}
        for number, word in enumerate(self.optional(name, words) or (), start=1):
            account, _, secret = word.partition(":")
            if not (account and secret):
                raise SettingsError(name, f"word {number} is not name:secret")
            if account in found:
                raise SettingsError(name, f"word {number} is of an account that has one")
            found[account] = secret
        return found

    def names(self, prefix: str) -> tuple[str, ...]:
        """Return the variables that begin with ``prefix`` and are not empty, in order."""
        given = (name for name, text in self._variables.items() if text.strip())
        return tuple(sorted(name for name in given if name.startswith(prefix)))


def environment(root: Path = ROOT, process: Mapping[str, str] | None = None) -> Environment:
    """Return the settings in force: the process's variables, then `.env`, then `.env_template`."""
    files = (path for path in (root / ".env_template", root / ".env") if path.is_file())
    variables: dict[str, str] = {}
    for path in files:
        variables |= Config(path).file_values
    return Environment(variables | dict(os.environ if process is None else process))


def words(text: str) -> tuple[str, ...]:
    """Return the comma-separated words of ``text``."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return a cast to an integer in [least, most]."""

    def cast(text: str) -> int:
        if not least <= (value := int(text)) <= most:
            raise ValueError(f"it must be in [{least}, {most}]")
        return value

    return cast


def real(least: float, most: float) -> Callable[[str], float]:
    """Return a cast to a float in [least, most]."""

    def cast(text: str) -> float:
        if not least <= (value := float(text)) <= most:
            raise ValueError(f"it must be in [{least:g}, {most:g}]")
        return value

    return cast


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a cast to one of ``choices``."""

    def cast(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError(f"it must be one of {', '.join(choices)}")
        return text.lower()

    return cast


port = whole(1, 65535)


def symbols(env: Environment) -> tuple[Symbol, ...]:
    """Return the symbols of the market, in the order of ``SYMBOLS``."""
    found = env.read("SYMBOLS", lambda text: tuple(symbol(word) for word in words(text)))
    if len(set(found)) != len(found):
        raise SettingsError("SYMBOLS", "names a symbol twice")
    return found


def instrument(env: Environment, of: Symbol) -> Instrument:
    """Return the instrument of a symbol, from ``<SYMBOL>_NAME``, ``_TICK_SIZE``, ``_LOT_SIZE``."""
    return Instrument(
        symbol=of,
        name=env.read(f"{of}_NAME", str, default=str(of)),
        tick_size=env.read(f"{of}_TICK_SIZE", _step),
        lot_size=env.read(f"{of}_LOT_SIZE", _step, default=Decimal(1)),
        quote=env.read("QUOTE", symbol),
    )


def _step(text: str) -> Decimal:
    return step(Decimal(text))


def source_url(env: Environment, of: Symbol) -> str:
    """Return where a symbol is streamed: ``<SYMBOL>_SOURCE_URL``, or our own source's port."""
    given = env.optional(f"{of}_SOURCE_URL", str)
    return given or f"http://{env.read('HOST', str)}:{env.read(f'{of}_PORT', port)}/stream"
