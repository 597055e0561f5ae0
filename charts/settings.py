"""What the settings say about the charts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from market.server import ServerSettings
from market.settings import Environment, port, real, whole
from market.streaming import StreamSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is read, and how much of it is kept and shown.

    Attributes:
        stale_after_s: age of a price after which the page calls it stale.
        candles: closed candles in a chart.
        max_series: symbol and interval pairs that are kept up to date at once.
        max_accounts: accounts whose orders, fills and equity are followed.
        rate: messages a second to a page, at most.
        keys: of the accounts that the page may show to all who reach it, where the exchange guards
            them; the page itself is given none.
        var_limit_pct, drawdown_limit_pct: of a portfolio's value; the bars of the risk panel are
            full there.
    """

    exchange_url: str
    risk_url: str
    server: ServerSettings = field(default_factory=ServerSettings)
    stream: StreamSettings = field(default_factory=StreamSettings)
    request_timeout_s: float = 10.0
    stale_after_s: float = 10.0
    candles: int = 500
    max_series: int = 60
    max_accounts: int = 12
    rate: float = 10.0
    var_limit_pct: float = 10.0
    drawdown_limit_pct: float = 20.0
    keys: Mapping[str, str] = field(repr=False, default_factory=dict)

    @classmethod
    def from_env(cls, env: Environment) -> Self:
        """Read the settings; raise SettingsError that names the wrong one."""
        host = env.read("HOST", str)
        exchange, risk = env.read("EXCHANGE_PORT", port), env.read("RISK_PORT", port)
        return cls(
            exchange_url=env.read("EXCHANGE_URL", str, default=f"http://{host}:{exchange}"),
            risk_url=env.read("RISK_URL", str, default=f"http://{host}:{risk}"),
            server=ServerSettings.from_env(env, "CHARTS_PORT"),
            stream=StreamSettings.from_env(env),
            request_timeout_s=env.read("REQUEST_TIMEOUT_S", real(0.1, 3600)),
            stale_after_s=env.read("STALE_AFTER_S", real(0.05, 1e6)),
            candles=env.read("CHARTS_CANDLES", whole(50, 5000)),
            max_series=env.read("CHARTS_MAX_SERIES", whole(1, 10_000)),
            max_accounts=env.read("CHARTS_MAX_ACCOUNTS", whole(1, 1000)),
            rate=env.read("CHARTS_RATE", real(0.2, 50)),
            var_limit_pct=env.read("CHARTS_VAR_LIMIT_PCT", real(0.001, 1000)),
            drawdown_limit_pct=env.read("CHARTS_DRAWDOWN_LIMIT_PCT", real(0.001, 100)),
            keys=env.secrets("CHARTS_API_KEYS"),
        )
