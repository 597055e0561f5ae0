"""What the settings say about the risk service."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from market.errors import InvalidValueError, SettingsError
from market.server import ServerSettings
from market.settings import Environment, port, real, symbols, whole, words
from market.streaming import StreamSettings
from market.values import Symbol, symbol
from risk.limits import Limits
from risk.market_state import Estimators
from risk.portfolio import NO_LIMITS, Portfolio, account_name, limits_of, weights_of
from risk.terms import Terms

DAY_S = 86_400.0
CALM: Mapping[str, Mapping[str, float]] = {
    "all_down_10": {"*": -0.10},
    "all_down_25": {"*": -0.25},
    "all_up_10": {"*": 0.10},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The market that is watched, how it is estimated, and in what terms it is told.

    Attributes:
        portfolio: the default one.
        interval_s: shortest time between two reports of a portfolio.
        max_portfolios: named ones, and as many accounts, that are followed at once.
        account_s: seconds that an account is followed after it was last asked for.
        accounts: followed from the start, for ever.
        account_limits: of each account that is followed under its own name.
        keys: the secret of each account that the exchange guards.
        reconcile_s: seconds between two checks of an account whose stream is open.
    """

    exchange_url: str
    symbols: tuple[Symbol, ...]
    portfolio: Portfolio
    database: Path
    server: ServerSettings = field(default_factory=ServerSettings)
    stream: StreamSettings = field(default_factory=StreamSettings)
    estimators: Estimators = field(default_factory=Estimators)
    terms: Terms = field(default_factory=Terms)
    interval_s: float = 1.0
    history: int = 2000
    max_portfolios: int = 100
    account_s: float = 600.0
    accounts: tuple[str, ...] = ()
    account_limits: Limits = NO_LIMITS
    keys: Mapping[str, str] = field(repr=False, default_factory=dict)
    reconcile_s: float = 10.0
    cors_origins: tuple[str, ...] = ()

    @classmethod
    def from_env(cls, env: Environment) -> Self:
        """Read the settings; raise SettingsError that names the wrong one."""
        host, number = env.read("HOST", str), env.read("EXCHANGE_PORT", port)
        names = symbols(env)
        value = env.read("STARTING_CASH", real(0.01, 1e15))
        return cls(
            exchange_url=env.read("EXCHANGE_URL", str, default=f"http://{host}:{number}"),
            symbols=names,
            portfolio=_portfolio(env, env.read("PORTFOLIO_VALUE", real(0.01, 1e15), default=value)),
            database=env.read("DATA_DIR", Path) / "risk.sqlite3",
            server=ServerSettings.from_env(env, "RISK_PORT"),
            stream=StreamSettings.from_env(env),
            estimators=_estimators(env),
            terms=_terms(env, names),
            interval_s=env.read("RISK_INTERVAL_MS", whole(10, 3_600_000)) / 1000,
            history=env.read("RISK_HISTORY", whole(1, 1_000_000)),
            max_portfolios=env.read("RISK_MAX_PORTFOLIOS", whole(1, 10_000)),
            accounts=env.read("RISK_ACCOUNTS", _accounts, default=()),
            account_limits=env.read("RISK_ACCOUNT_LIMITS", limits_of, default=NO_LIMITS),
            keys=env.secrets("RISK_API_KEYS") or env.secrets("API_KEYS"),
            cors_origins=env.read("CORS_ORIGINS", words, default=()),
        )

    def require_streamed(self) -> None:
        """Raise SettingsError when the default portfolio has what the market does not stream."""
        for name in self.portfolio.symbols:
            if name not in self.symbols:
                market = ",".join(self.symbols)
                raise SettingsError("PORTFOLIO", f"{name} is not among SYMBOLS={market}")


def _accounts(text: str) -> tuple[str, ...]:
    if wrong := [name for name in words(text) if account_name(name) is None]:
        raise ValueError(f"{wrong[0][:80]!r} is no name of an account")
    return words(text)


def _portfolio(env: Environment, value: float) -> Portfolio:
    weights = env.read("PORTFOLIO", weights_of)
    try:
        return Portfolio.of("default", weights, value, env.optional("RISK_LIMITS", limits_of))
    except InvalidValueError as error:
        raise SettingsError("PORTFOLIO", str(error)) from error


def _estimators(env: Environment) -> Estimators:
    headline = env.read("RISK_HALF_LIFE_S", real(0.1, 1e9))
    half_lives = tuple(sorted({headline, 60.0, 900.0, DAY_S}))
    return Estimators(
        half_lives_s=half_lives,
        headline=half_lives.index(headline),
        clock_s=env.optional("RISK_CLOCK_S", real(1e-3, 1e9)),
        scenarios=env.read("RISK_SCENARIOS", whole(10, 100_000)),
        stale_after_s=env.read("STALE_AFTER_S", real(0.001, 1e9)),
    )


def _terms(env: Environment, names: tuple[Symbol, ...]) -> Terms:
    equal = {str(name): 1 / len(names) for name in names}
    return Terms(
        benchmark=env.read("RISK_BENCHMARK", _benchmark, default=equal),
        horizon_s=env.read("RISK_HORIZON_S", real(0.001, 1e9)),
        year_s=env.read("RISK_YEAR_S", real(1, 1e9)),
        shocks=env.read("RISK_SCENARIOS_FILE", _scenarios, default=CALM),
    )


def _benchmark(text: str) -> dict[str, float]:
    weights = weights_of(text)
    total = sum(weights.values())
    if not total > 0:
        raise ValueError("the weights do not add up to something positive")
    return {str(symbol(name)): weight / total for name, weight in weights.items()}


def _scenarios(path: str) -> Mapping[str, Mapping[str, float]]:
    """Return the named shocks of a TOML file: ``[name]`` then ``BTC = -0.2`` or ``"*" = -0.1``."""
    try:
        tables: dict[str, Any] = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(str(error)) from error
    return {name: _shocks(name, table) for name, table in tables.items()}


def _shocks(name: str, table: Any) -> Mapping[str, float]:
    if not isinstance(table, dict) or not table:
        raise ValueError(f"{name} is not a table of shocks")
    if wrong := [key for key, move in table.items() if not _is_move(move)]:
        raise ValueError(f"{name}.{wrong[0]} is not a relative move above -1")
    return {key if key == "*" else symbol(key): float(move) for key, move in table.items()}


def _is_move(move: Any) -> bool:
    return isinstance(move, int | float) and not isinstance(move, bool) and -1 <= move < 1e6
