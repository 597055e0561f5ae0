"""What the settings say about one source."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Self

from market.errors import InvalidValueError, SettingsError
from market.server import ServerSettings
from market.settings import Environment, instrument, one_of, real, symbols, whole, words
from market.streaming import StreamSettings
from market.values import Instrument, Symbol
from sources.processes import (
    PROCESSES,
    Hawkes,
    IntradayProfile,
    PriceProcess,
    cholesky,
    create_process,
    parameters,
)

ANY: Final = real(-1e15, 1e15)
BINANCE: Final = "binance"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """How a stream of one symbol is served, whatever is on it."""

    instrument: Instrument
    history: int
    stream: StreamSettings
    server: ServerSettings
    cors_origins: tuple[str, ...] = ()

    @classmethod
    def from_env(cls, env: Environment, of: Symbol) -> Self:
        """Read the settings of a symbol; raise SettingsError when it is unknown or one is wrong."""
        known = symbols(env)
        if of not in known:
            raise SettingsError("SYMBOLS", f"there is no {of}, only {', '.join(known)}")
        return cls(
            instrument=instrument(env, of),
            history=env.read("HISTORY", whole(1, 100_000_000)),
            stream=StreamSettings.from_env(env),
            server=ServerSettings.from_env(env, f"{of}_PORT"),
            cors_origins=env.read("CORS_ORIGINS", words, default=()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One live source: where its prices come from, and how fast.

    ``seed`` is None for a new market each time. ``arrivals`` is None for ticks at one interval.
    """

    source: SourceSettings
    start: Decimal
    process_name: str
    process: PriceProcess
    interval_s: float
    seed: int | None = None
    arrivals: Hawkes | None = None
    profile: IntradayProfile = field(default_factory=IntradayProfile)

    @property
    def correlated(self) -> bool:
        """Tell whether the process draws the shocks of the whole market, and takes its own."""
        return self.process_name == "correlated"

    @classmethod
    def from_env(cls, env: Environment, of: Symbol) -> Self:
        """Read the settings of a symbol; raise SettingsError that names the wrong one."""
        source = SourceSettings.from_env(env, of)
        name = process_name(env, of)
        if name == BINANCE:
            raise SettingsError(f"{of}_PROCESS", f"{name} is the real market, and is not drawn")
        seed = env.optional("SEED", whole(0, 2**63 - 1))
        if name == "correlated" and seed is None:
            raise SettingsError("SEED", f"is empty, but {of}_PROCESS=correlated has to share one")
        return cls(
            source=source,
            start=_start(env, source.instrument),
            process_name=name,
            process=_process(env, source.instrument, name),
            interval_s=env.read("TICK_INTERVAL_S", real(0, 86400)),
            seed=seed,
            arrivals=_arrivals(env, of),
            profile=IntradayProfile(depth=env.read(f"{of}_VOLUME_DEPTH", real(0, 1), default=0.0)),
        )


def process_name(env: Environment, of: Symbol) -> str:
    """Return what makes a symbol's prices; raise SettingsError when there is no such process."""
    return env.read(f"{of}_PROCESS", one_of(*PROCESSES, BINANCE))


def _start(env: Environment, of: Instrument) -> Decimal:
    return env.read(f"{of.symbol}_START", lambda text: of.price(Decimal(text)))


def _process(env: Environment, of: Instrument, name: str) -> PriceProcess:
    given: dict[str, object] = {}
    if name == "walk":
        step_max = env.read(f"{of.symbol}_STEP_MAX", whole(1, 1_000_000))
        given = {"step_max": step_max, "tick_size": float(of.tick_size)}
    elif name == "correlated":
        given = {"loadings": _loadings(env, of.symbol)}
    prefix = f"{of.symbol}_PROCESS_"
    _refuse_unknown(env, prefix, frozenset().union(*map(parameters, PROCESSES)), parameters(name))
    try:
        return create_process(
            name, lambda key, default: env.read(prefix + key.upper(), ANY, default=default), **given
        )
    except InvalidValueError as error:
        raise SettingsError(f"{prefix}...", str(error)) from error


def _refuse_unknown(
    env: Environment, prefix: str, known: frozenset[str], here: frozenset[str]
) -> None:
    """Refuse a parameter that nothing has; one that is not of ``here`` may wait for its process."""
    for name in env.names(prefix):
        if name.removeprefix(prefix).lower() not in known:
            raise SettingsError(name, f"there is no such parameter, only {', '.join(sorted(here))}")


def _arrivals(env: Environment, of: Symbol) -> Hawkes | None:
    of_bursts = frozenset({"mu", "alpha", "beta"})
    _refuse_unknown(env, f"{of}_ARRIVALS_", of_bursts, of_bursts)
    if env.read(f"{of}_ARRIVALS", one_of("regular", "hawkes"), default="regular") == "regular":
        return None
    usual = Hawkes()
    try:
        return Hawkes(
            mu=env.read(f"{of}_ARRIVALS_MU", ANY, default=usual.mu),
            alpha=env.read(f"{of}_ARRIVALS_ALPHA", ANY, default=usual.alpha),
            beta=env.read(f"{of}_ARRIVALS_BETA", ANY, default=usual.beta),
        )
    except InvalidValueError as error:
        raise SettingsError(f"{of}_ARRIVALS_...", str(error)) from error


def _loadings(env: Environment, of: Symbol) -> tuple[float, ...]:
    """Return the symbol's row of the market's Cholesky factor, from ``CORRELATION``."""
    market = sorted(symbols(env))  # so that the same seed draws the same, in whatever order
    matrix = [[float(row == column) for column in market] for row in market]
    try:
        for first, second, value in env.optional("CORRELATION", _correlations) or ():
            row, column = market.index(Symbol(first)), market.index(Symbol(second))
            if row == column:
                raise InvalidValueError(f"{first} is given a correlation with itself")
            matrix[row][column] = matrix[column][row] = value
        return cholesky(matrix)[market.index(of)]
    except ValueError as error:
        raise SettingsError("CORRELATION", str(error)) from error


def _correlations(text: str) -> tuple[tuple[str, str, float], ...]:
    """Return the pairs of ``BTC:TCS:0.6,BTC:META:0.4``; a pair that is not named has none."""
    found = []
    for word in words(text):
        first, second, value = word.split(":")
        found.append((first, second, real(-1, 1)(value)))
    return tuple(found)
