"""What the settings say about the exchange."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final

from exchange.api.requests import NAME_IN_WORDS, is_name
from exchange.commands import Charter
from exchange.history_file import HISTORY, Keeping
from exchange.journal import Synchronous
from exchange.pre_trade import PreTradeSettings
from exchange.rules import House, Rules
from market.errors import InvalidValueError, SettingsError
from market.server import ServerSettings
from market.settings import (
    Environment,
    instrument,
    one_of,
    port,
    real,
    source_url,
    symbols,
    whole,
    words,
)
from market.streaming import StreamSettings
from market.values import Instrument, Symbol

JOURNAL: Final = "journal.sqlite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that the exchange is told from outside."""

    instruments: Mapping[Symbol, Instrument]
    sources: Mapping[Symbol, str]
    charter: Charter
    server: ServerSettings
    stream: StreamSettings
    data: Path
    history: int = 100_000
    heartbeat_s: float = 15.0
    stale_after_s: float = 10.0
    delay_s: float = 1.0
    status_s: float = 10.0
    synchronous: Synchronous = "normal"
    snapshot_every: int = 100_000
    journal_keep: int = 0
    recent: int = 1000
    candle_interval_s: float = 0.25
    keeping: Keeping = field(default_factory=Keeping)
    cors_origins: tuple[str, ...] = ("*",)
    keys: Mapping[str, str] = field(repr=False, default_factory=dict)
    operators: tuple[str, ...] = ()
    """Those among the keys' names who may stop and open trading."""
    orders_per_s: float = 0.0
    pre_trade: PreTradeSettings | None = None
    charts_port: int | None = None
    """Where the live page is: ``/`` leads there, on the host that was asked for."""

    @classmethod
    def from_env(cls, env: Environment) -> "Settings":
        """Read the settings; raise SettingsError that names the wrong one."""
        names = symbols(env)
        instruments = {name: instrument(env, name) for name in names}
        keys = _keys(env)
        return cls(
            instruments=instruments,
            sources={name: source_url(env, name) for name in names},
            charter=_charter(env, tuple(instruments.values())),
            server=ServerSettings.from_env(env, "EXCHANGE_PORT"),
            stream=StreamSettings.from_env(env),
            data=env.read("DATA_DIR", Path),
            history=env.read("HISTORY", whole(1, 10_000_000)),
            heartbeat_s=env.read("HEARTBEAT_S", real(0.05, 3600)),
            stale_after_s=env.read("STALE_AFTER_S", real(0.05, 1e6)),
            delay_s=env.read("DELAY_SECONDS", real(0.001, 3600)),
            status_s=env.read("STATUS_S", real(0.01, 1e6)),
            synchronous=_synchronous(env),
            snapshot_every=env.read("JOURNAL_SNAPSHOT_EVERY", whole(100, 10**9)),
            journal_keep=env.read("JOURNAL_KEEP", whole(0, 10**12)),
            recent=env.read("RECENT", whole(1, 1_000_000)),
            candle_interval_s=env.read("CANDLE_INTERVAL_MS", whole(10, 60_000)) / 1000,
            keeping=_keeping(env),
            cors_origins=env.read("CORS_ORIGINS", words, default=()),
            keys=keys,
            operators=_operators(env, keys),
            orders_per_s=env.read("ORDERS_PER_S", real(0, 1e6)),
            pre_trade=PreTradeSettings.from_env(env),
            charts_port=env.optional("CHARTS_PORT", port),
        )


def operator_key(env: Environment) -> str | None:
    """Return a key that may stop and open trading, None when none is needed or there is none."""
    keys = _keys(env)
    return next((keys[name] for name in _operators(env, keys)), None)


def journal_path(env: Environment) -> Path:
    """Return where the journal is."""
    return env.read("DATA_DIR", Path) / JOURNAL


def history_path(env: Environment) -> Path:
    """Return where the history is."""
    return env.read("DATA_DIR", Path) / HISTORY


def _keys(env: Environment) -> dict[str, str]:
    keys = env.secrets("API_KEYS")
    for number, name in enumerate(keys, start=1):
        if not is_name(name):
            raise SettingsError("API_KEYS", f"word {number} names no account: {NAME_IN_WORDS}")
    return keys


def _operators(env: Environment, keys: Mapping[str, str]) -> tuple[str, ...]:
    names: tuple[str, ...] = env.read("OPERATORS", words, default=())
    for name in names:
        if name not in keys:
            raise SettingsError("OPERATORS", f"{name} has no key in API_KEYS")
    return names


def _keeping(env: Environment) -> Keeping:
    """Return what the history keeps; candles a day at least: the forming ones are made of them."""
    return Keeping(
        ticks=env.read("TICKS_KEPT", whole(0, 10**12)),
        ticks_hours=env.read("TICKS_KEPT_H", whole(0, 10**6)),
        trades=env.read("TRADES_KEPT", whole(0, 10**12)),
        trades_hours=env.read("TRADES_KEPT_H", whole(0, 10**6)),
        candles=env.read("CANDLES_KEPT", _none_or(whole(100, 10**12))),
        candles_hours=env.read("CANDLES_KEPT_H", _none_or(whole(24, 10**6))),
    )


def _none_or(cast: Callable[[str], int]) -> Callable[[str], int]:
    return lambda text: 0 if text == "0" else cast(text)


def _charter(env: Environment, instruments: tuple[Instrument, ...]) -> Charter:
    """Return what the venue opens under."""
    return Charter(
        instruments=instruments,
        rules=_rules(env),
        sourced=tuple(of.symbol for of in instruments),
        starting_cash=env.read("STARTING_CASH", _money),
        orders_kept=env.read("ORDERS_KEPT", whole(1, 100_000_000)),
        max_accounts=env.read("MAX_ACCOUNTS", whole(1, 100_000_000)),
    )


def _rules(env: Environment) -> Rules:
    try:
        return Rules(
            maker_fee_bps=env.read("MAKER_FEE_BPS", Decimal),
            taker_fee_bps=env.read("TAKER_FEE_BPS", Decimal),
            price_band_pct=env.read("PRICE_BAND_PCT", Decimal),
            min_notional=env.read("MIN_NOTIONAL", Decimal),
            max_quantity=env.read("MAX_QUANTITY", Decimal),
            max_open_orders=env.read("MAX_OPEN_ORDERS", whole(0, 10**9)),
            halt_move_pct=env.read("HALT_MOVE_PCT", Decimal),
            halt_window_s=env.read("HALT_WINDOW_S", real(0, 1e9)),
            halt_s=env.read("HALT_S", real(0, 1e9)),
            auction_s=env.read("AUCTION_S", real(0, 1e9)),
            house=House(
                levels=env.read("HOUSE_LEVELS", whole(0, 1000)),
                spread_ticks=env.read("HOUSE_SPREAD_TICKS", whole(1, 10**6)),
                quantity=env.read("HOUSE_QUANTITY", Decimal),
            ),
        )
    except InvalidValueError as error:
        raise SettingsError("the rules", str(error)) from error


def _synchronous(env: Environment) -> Synchronous:
    return (
        "full" if env.read("JOURNAL_SYNCHRONOUS", one_of("full", "normal")) == "full" else "normal"
    )


def _money(text: str) -> Decimal:
    value = Decimal(text)
    if not 0 <= value < 10**12:
        raise ValueError("it must be in [0, 10^12)")
    return value
