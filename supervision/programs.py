"""Which processes the market has, what starts each, and the port it needs."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from market.settings import Environment, port, symbols, words


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port that a process will listen on, and the setting that chooses it."""

    host: str
    number: int
    setting: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One process of the market."""

    name: str
    command: tuple[str, ...]
    port: Port | None = None


def programs(env: Environment) -> tuple[Program, ...]:
    """Return the processes that the settings ask for; raise SettingsError when they are wrong."""
    return (
        *_sources(env),
        _server(env, "exchange"),
        *(
            Program(name=f"bot-{bot}", command=_module("bots", "run", bot))
            for bot in env.optional("BOTS", _bots) or ()
        ),
        _server(env, "risk"),
        _server(env, "charts"),
    )


def _sources(env: Environment) -> Iterator[Program]:
    for symbol in symbols(env):
        if env.optional(f"{symbol}_SOURCE_URL", str) is None:
            yield Program(
                name=f"source-{symbol.lower()}",
                command=_module("sources", symbol),
                port=_port(env, f"{symbol}_PORT"),
            )


def _server(env: Environment, package: str) -> Program:
    return Program(
        name=package, command=_module(package), port=_port(env, f"{package.upper()}_PORT")
    )


def _bots(text: str) -> tuple[str, ...]:
    names = words(text)
    for name in names:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,40}", name):
            raise ValueError(f"{name[:50]!r} is no name of a bot: a-z, 0-9, - and _")
    if len(set(names)) != len(names):
        raise ValueError("it names a bot twice")
    return names


def _port(env: Environment, setting: str) -> Port:
    return Port(host=env.read("HOST", str), number=env.read(setting, port), setting=setting)


def _module(package: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", package, *arguments)
