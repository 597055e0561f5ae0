"""What a run is told: a TOML file over the settings of `.env_template`; it and a seed name a run.

The process's own environment and `.env` are left out on purpose: they would make the same file
another run on another machine.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct, structs
from starlette.config import Config as EnvFile

from exchange.accounts import UNLIMITED
from exchange.api.requests import NAME_IN_WORDS, check_name
from market.errors import SettingsError
from market.problems import ProblemError
from market.settings import ROOT, Environment, words
from market.settings import symbols as market_symbols
from market.values import Symbol
from simulation.errors import ConfigError
from simulation.latency import latency_of
from sources.settings import BINANCE, Settings, process_name

T = TypeVar("T")

DAY_S: Final = 86_400.0
MOST_AGENTS: Final = 10_000
OURS: Final = {"ORDERS_KEPT": "1000"}  # nobody asks for closed orders: memory is flat in the days
SEEDED: Final = "0"  # who asks whether there is a seed is told so; which one is a run's own affair
OF_A_SYMBOL: Final = ("SOURCE_URL", "ARRIVALS", "VOLUME_DEPTH", "BINANCE_SYMBOL", "BINANCE_STREAMS")
"""Settings of a symbol that have no line in the template, beside parameters, which sources know."""
PARAMETERS: Final = ("PROCESS_", "ARRIVALS_")
SCENARIOS: Final = Path(__file__).parent / "scenarios"


def decimal(name: str, value: object) -> Decimal:
    """Return what a file says as a number; ValueError names it where it is none."""
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"{name} {value!r} is no number") from None
    if not found.is_finite():
        raise ValueError(f"{name} {value!r} is no number")
    return found


def account_name(text: str) -> str:
    """Return what can be the name of a customer's account at the exchange; else ValueError."""
    if text in UNLIMITED:
        raise ValueError(f"account {text!r} is the exchange's own")
    try:
        return check_name(text)
    except ProblemError as error:
        raise ValueError(f"account {text[:70]!r}: a name is {NAME_IN_WORDS}") from error


class AgentConfig(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"given": "with"}
):
    """One agent, or ``count`` alike; what is left out is as it would be for a live bot.

    ``latency`` is that of its commands, ``hearing`` that of the facts on their way to it, each a
    number of milliseconds or a table (see LatencyConfig). ``with`` are arguments of the strategy.
    """

    strategy: str = ""
    count: int = 1
    symbols: tuple[str, ...] = ()
    amount: float | str | None = None
    events: tuple[str, ...] = ("tick", "source")
    latency: float | dict[str, Any] = 0.0
    hearing: float | dict[str, Any] = 0.0
    starting_cash: float | str | None = None
    short_selling: bool = False
    leverage: float | str | None = None
    given: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if not 0 <= self.count <= MOST_AGENTS:
            raise ValueError(f"count is 0 to {MOST_AGENTS}")
        for name in ("amount", "starting_cash", "leverage"):
            if (value := getattr(self, name)) is not None:
                decimal(name, value)
        if unknown := set(self.events) - {"tick", "source", "trade", "book"}:
            raise ValueError(f"events are tick, source, trade and book, not {sorted(unknown)}")


class RiskConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether risk watches, how often it reports, and whether the agents' accounts too."""

    on: bool = True
    report_s: float = 60.0
    accounts: bool = False

    def __post_init__(self) -> None:
        if not 0.001 <= self.report_s <= DAY_S:
            raise ValueError("report_s is 0.001 to 86400")


class RecordingConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recorded series of prices that stands in for the source of a symbol."""

    file: str
    column: str = "price"
    time_column: str | None = None
    volume_column: str | None = None
    interval_s: float | None = None


class RunConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a run but its seed.

    ``settings`` are variables of `.env_template`. Without ``agents`` those of ``BOTS`` trade.
    ``event`` are what a scenario does, and when; ``assertions`` what must be true at the end.
    """

    name: str = "market"
    about: str = ""
    days: float = 1.0
    seed: int = 0
    start: str = "2026-01-01T00:00:00+00:00"
    sample_s: float = 10.0
    settings: dict[str, Any] = {}
    agents: dict[str, AgentConfig] | None = None
    risk: RiskConfig = RiskConfig()
    recordings: dict[str, RecordingConfig] = {}
    event: tuple[dict[str, Any], ...] = ()
    assertions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.days <= 100_000:
            raise ValueError("days are above 0, and 100000 at most")
        if not 0.001 <= self.sample_s <= DAY_S:
            raise ValueError("sample_s is 0.001 to 86400")

    @property
    def environment(self) -> Environment:
        """The settings in force: the template's, ours, then the file's; symbols in order."""
        variables = EnvFile(ROOT / ".env_template").file_values | OURS
        variables |= {name: _text(value) for name, value in self.settings.items()}
        env = Environment(variables)
        ordered = sorted(market_symbols(env))
        return Environment(variables | {"SYMBOLS": ",".join(ordered), "SEED": SEEDED})

    @property
    def population(self) -> dict[str, AgentConfig]:
        """The agents by account, in the order of their names; ``count`` alike are numbered."""
        given = self.agents
        if given is None:
            bots = self.environment.optional("BOTS", words) or ()
            given = {name: AgentConfig() for name in bots}
        found: dict[str, AgentConfig] = {}
        for name, agent in given.items():
            agent = structs.replace(agent, strategy=agent.strategy or name)  # noqa: PLW2901
            if agent.count == 1:
                found[name] = agent
                continue
            digits = len(str(agent.count))
            found |= {f"{name}-{i:0{digits}}": agent for i in range(1, agent.count + 1)}
        if len(found) > MOST_AGENTS:
            raise ConfigError(f"{len(found)} agents are more than {MOST_AGENTS}")
        try:
            found = {account_name(name): agent for name, agent in found.items()}
        except ValueError as error:
            raise ConfigError(f"agents: {error}") from error
        return dict(sorted(found.items()))

    @property
    def digest(self) -> str:
        """A name for all that matters here: equal configurations have the same, in any order."""
        plain = msgspec.to_builtins(structs.replace(self, seed=0, about=""))
        return sha256(msgspec.json.encode(plain, order="sorted")).hexdigest()[:16]


def load(path: Path) -> RunConfig:
    """Return the configuration in a file; a bare name is that of a scenario in the box.

    Raises:
        ConfigError: there is no such file, or what is in it makes no sense.
    """
    found = path if path.exists() else SCENARIOS / path.name
    try:
        table = tomllib.loads(found.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    table.setdefault("name", found.stem)
    return parsed(_resolved(table, found.parent), str(path))


def parsed(table: Mapping[str, Any], where: str = "the configuration") -> RunConfig:
    """Return the configuration that a table of TOML holds.

    Raises:
        ConfigError: what is in it makes no sense; ``where`` it stands is in the message.
    """
    try:
        config = msgspec.convert(_plain(table), RunConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from error
    check(config, where)
    return config


def changed(config: RunConfig, **given: Any) -> RunConfig:
    """Return the configuration with something else in it; ConfigError when that makes no sense."""
    try:
        found = structs.replace(config, **given)
        found.__post_init__()
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return found


def check(config: RunConfig, where: str) -> None:
    """Raise ConfigError when a setting, a symbol or a latency is unknown or wrong."""
    _check_names(config, where)
    try:
        env = config.environment
        market = market_symbols(env)
        _check_sources(config, env, market)
    except SettingsError as error:
        raise ConfigError(f"{where}: settings: {error}") from error
    _check_symbols(config.recordings, market, f"{where}: recordings")
    for name, agent in (config.agents or {}).items():
        _check_symbols(agent.symbols, market, f"{where}: agents.{name}: symbols")
        for given in (agent.latency, agent.hearing):
            try:
                latency_of(given)
            except ConfigError as error:
                raise ConfigError(f"{where}: agents.{name}: {error}") from error


def _check_names(config: RunConfig, where: str) -> None:
    """Raise ConfigError for a setting that nothing reads."""
    template = EnvFile(ROOT / ".env_template").file_values
    usual = words(template["SYMBOLS"])
    market = words(_text(config.settings.get("SYMBOLS", template["SYMBOLS"])))
    kinds = {name.partition("_")[2] for name in template if name.partition("_")[0] in usual}
    if "SEED" in config.settings:
        raise ConfigError(f"{where}: settings: SEED is not one of a run: its seed is `seed`")
    for name in config.settings:
        symbol, _, kind = name.partition("_")
        is_of_symbol = kind in kinds or kind in OF_A_SYMBOL or kind.startswith(PARAMETERS)
        if name not in template and not (symbol in market and is_of_symbol):
            raise ConfigError(f"{where}: settings: there is no {name}")


def _check_sources(config: RunConfig, env: Environment, market: Sequence[Symbol]) -> None:
    """Raise SettingsError for a source that cannot be, also where a recording stands in for it."""
    for of in market:
        if not (config.recordings and process_name(env, of) == BINANCE):
            Settings.from_env(env, of)


def _check_symbols(named: Iterable[str], market: Sequence[str], where: str) -> None:
    if unknown := sorted(set(named) - set(market)):
        raise ConfigError(f"{where}: there is no {unknown[0]}, only {', '.join(market)}")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)


def _plain(value: Any) -> Any:
    """Return the value with times as text, so that it is the same as JSON and as TOML."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def _resolved(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the table with the files that it names found beside it."""
    agents = table.get("agents")
    for agent in agents.values() if isinstance(agents, dict) else ():
        if not isinstance(agent, dict):
            continue  # it is refused with its place in the file
        path, colon, name = str(agent.get("strategy", "")).rpartition(":")
        if colon and (folder / path).is_file():
            agent["strategy"] = f"{folder / path}:{name}"
    recordings = table.get("recordings")
    for recording in recordings.values() if isinstance(recordings, dict) else ():
        if isinstance(recording, dict) and (folder / str(recording.get("file", ""))).is_file():
            recording["file"] = str(folder / recording["file"])
    return table
