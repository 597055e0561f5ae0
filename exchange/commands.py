"""What the venue may be told beyond orders, and how commands are written in the journal."""

from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Struct, structs

from exchange.rules import Rules
from exchange.statement import Terms
from market.orders import (
    AmendOrder,
    CancelOrder,
    Command,
    HaltTrading,
    PlaceOrder,
    ResumeTrading,
    SelfTradePrevention,
)
from market.values import Instrument, Symbol


class Charter(Struct, frozen=True, kw_only=True):
    """Everything that the answers of a venue depend on, besides its commands.

    ``sourced`` are the symbols that trade only while their source is heard. Of closed orders the
    newest ``orders_kept`` stay known, with the ``client_order_id`` that makes them idempotent.
    """

    instruments: tuple[Instrument, ...]
    rules: Rules = Rules()
    sourced: tuple[Symbol, ...] = ()
    starting_cash: Decimal = Decimal(1_000_000)
    self_trade_prevention: SelfTradePrevention = SelfTradePrevention.EXPIRE_TAKER
    orders_kept: int = 50_000
    max_accounts: int = 10_000

    @property
    def terms(self) -> Terms:
        """What an account may do until it is configured."""
        return Terms(
            starting_cash=self.starting_cash, self_trade_prevention=self.self_trade_prevention
        )


class OpenVenue(Command, frozen=True, kw_only=True, tag="open"):
    """Open under a charter: the first command of a journal, and of every start after it.

    No source counts as heard until its next price. Where the grid of an instrument changed, or it
    is gone, its open orders are cancelled first.
    """

    charter: Charter


class ConfigureAccount(Command, frozen=True, kw_only=True, tag="configure"):
    """Open or configure an account; what is ``None`` stays as it is."""

    account: str
    short_selling: bool | None = None
    leverage: Decimal | None = None
    starting_cash: Decimal | None = None
    self_trade_prevention: SelfTradePrevention | None = None

    def changed(self, terms: Terms) -> Terms:
        """Return ``terms`` with what is configured here."""
        names = ("short_selling", "leverage", "starting_cash", "self_trade_prevention")
        asked = {name: getattr(self, name) for name in names}
        return structs.replace(terms, **{k: v for k, v in asked.items() if v is not None})


class CancelOrders(Command, frozen=True, kw_only=True, tag="cancel_all"):
    """Take all open orders of an account out of the books, or those of one symbol."""

    account: str
    symbol: Symbol | None = None


class MoveReference(Command, frozen=True, kw_only=True, tag="reference"):
    """The source of a symbol says what its price is; the symbol is heard."""

    symbol: Symbol
    price: Decimal


class LoseReference(Command, frozen=True, kw_only=True, tag="silence"):
    """The source of a symbol is no longer heard; no order is taken until its next price."""

    symbol: Symbol


class AdvanceTime(Command, frozen=True, kw_only=True, tag="advance"):
    """Do what is due by now: expire orders, end halts and auctions."""


AnyCommand = (
    PlaceOrder
    | CancelOrder
    | AmendOrder
    | CancelOrders
    | ConfigureAccount
    | MoveReference
    | LoseReference
    | HaltTrading
    | ResumeTrading
    | AdvanceTime
    | OpenVenue
)

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(AnyCommand)


def encode(command: AnyCommand) -> bytes:
    """Return the command as the journal keeps it: one line of JSON, decimals as strings."""
    return _ENCODER.encode(command)


def decode(data: str | bytes) -> AnyCommand:
    """Return the command that `encode` wrote; raise msgspec.DecodeError when it is none."""
    command: AnyCommand = _DECODER.decode(data)
    return command
