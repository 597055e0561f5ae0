"""What a bot is told by the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from market.errors import InvalidValueError, SettingsError
from market.settings import Environment, instrument, port, real, symbols, whole, words
from market.values import Instrument, Symbol, symbol


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one bot; amounts are in units of the instrument, on its lot grid."""

    exchange_url: str
    amounts: Mapping[Symbol, Decimal]
    instruments: Mapping[Symbol, Instrument]
    starting_cash: Decimal
    status_s: float
    order_retry_s: float
    max_failures: int
    silence_s: float
    seed: int | None
    keys: Mapping[str, str] = field(repr=False, default_factory=dict)

    @property
    def symbols(self) -> tuple[Symbol, ...]:
        """What the bot trades."""
        return tuple(self.amounts)

    @classmethod
    def from_env(
        cls, env: Environment, bot: str, only: tuple[Symbol, ...] | None = None
    ) -> "Settings":
        """Read the lines ``<BOT>_INTERESTED_IN`` and ``<BOT>_AMOUNT...``, and the common ones.

        A bot without lines of its own is interested in every symbol, one unit at a time; ``only``
        goes before what it is interested in.

        Raises:
            SettingsError: a variable is missing or wrong; the message names it.
        """
        prefix = bot.upper().replace("-", "_")
        chosen = _interests(env, prefix, only)
        instruments = {of: instrument(env, of) for of in chosen}
        return cls(
            exchange_url=_exchange_url(env),
            amounts={of: _amount(env, prefix, instruments[of]) for of in chosen},
            instruments=instruments,
            starting_cash=env.read("STARTING_CASH", Decimal),
            status_s=env.read("STATUS_S", real(0.01, 86_400)),
            order_retry_s=env.read("ORDER_RETRY_S", real(0, 600)),
            max_failures=env.read("STRATEGY_MAX_FAILURES", whole(1, 10**9)),
            silence_s=3 * env.read("HEARTBEAT_S", real(0.01, 3600)),
            seed=env.optional("SEED", int),
            keys=env.secrets("API_KEYS"),
        )


def _exchange_url(env: Environment) -> str:
    host, number = env.read("HOST", str), env.read("EXCHANGE_PORT", port)
    return f"http://[{host}]:{number}" if ":" in host else f"http://{host}:{number}"


def _interests(
    env: Environment, prefix: str, only: tuple[Symbol, ...] | None
) -> tuple[Symbol, ...]:
    """``only``, else the symbols of ``<PREFIX>_INTERESTED_IN``, else all of the market."""
    name, market = f"{prefix}_INTERESTED_IN", symbols(env)
    chosen = only or env.read(name, lambda text: tuple(map(symbol, words(text))), default=market)
    for of in chosen:
        if of not in market:
            where = "--symbols" if only else name
            raise SettingsError(where, f"{of} is not among SYMBOLS={','.join(market)}")
    return tuple(dict.fromkeys(chosen))


def _amount(env: Environment, prefix: str, of: Instrument) -> Decimal:
    """``<PREFIX>_AMOUNT_<SYMBOL>``, else ``<PREFIX>_AMOUNT``, else one."""
    name = f"{prefix}_AMOUNT_{of.symbol}"
    general = env.read(f"{prefix}_AMOUNT", Decimal, default=Decimal(1))
    amount = env.read(name, Decimal, default=general)
    try:
        return of.quantity(amount)
    except InvalidValueError as error:
        raise SettingsError(name, str(error)) from error
