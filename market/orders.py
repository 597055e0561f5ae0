"""Commands to the exchange, in the imperative, and the facts that answer them, in the past."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from msgspec import Struct

from market.events import Fact
from market.values import Side, Symbol


class OrderType(StrEnum):
    """How an order meets the book."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"


class TimeInForce(StrEnum):
    """How long what is not filled stays."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"


class SelfTradePrevention(StrEnum):
    """What happens when an order meets another of its own account; the taker's mode rules."""

    NONE = "none"
    EXPIRE_TAKER = "expire_taker"
    EXPIRE_MAKER = "expire_maker"
    EXPIRE_BOTH = "expire_both"
    DECREMENT = "decrement"


class TradingState(StrEnum):
    """What an instrument allows: all; only to cancel; or to collect orders for an auction."""

    TRADING = "trading"
    HALTED = "halted"
    CANCEL_ONLY = "cancel_only"
    AUCTION = "auction"


class Status(StrEnum):
    """Where an order is in its life."""

    OPEN = "open"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"


class Liquidity(StrEnum):
    """Whether a fill gave liquidity to the book or took it."""

    MAKER = "maker"
    TAKER = "taker"


class Command(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="command", gc=False):
    """Whatever the exchange may be told to do; it refers to nothing that could refer back to it."""


class PlaceOrder(Command, frozen=True, kw_only=True, tag="place"):
    """Buy or sell; prices and quantities stand on the instrument's grid.

    ``self_trade_prevention`` left out is the account's own, which whoever takes the order fills in.
    """

    account: str
    symbol: Symbol
    side: Side
    quantity: Decimal
    type: OrderType = OrderType.MARKET
    price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    expire_time: datetime | None = None
    post_only: bool = False
    display_quantity: Decimal | None = None
    client_order_id: str | None = None
    self_trade_prevention: SelfTradePrevention | None = None


class CancelOrder(Command, frozen=True, kw_only=True, tag="cancel"):
    """Take an order out of the book."""

    account: str
    order_id: int


class AmendOrder(Command, frozen=True, kw_only=True, tag="amend"):
    """Change what an open order asks for; what stays ``None`` stays as it is."""

    account: str
    order_id: int
    quantity: Decimal | None = None
    price: Decimal | None = None


class HaltTrading(Command, frozen=True, kw_only=True, tag="halt"):
    """Close an instrument to trading until it is resumed: halted, cancel_only, or auction."""

    symbol: Symbol
    state: TradingState = TradingState.HALTED


class ResumeTrading(Command, frozen=True, kw_only=True, tag="resume"):
    """Open an instrument to trading again; what an auction collected is uncrossed first."""

    symbol: Symbol


class TradingStateChanged(Fact, frozen=True, kw_only=True):
    """The instrument now allows what ``state`` says; ``until`` is when that ends by itself."""

    kind: ClassVar[str] = "trading_state"

    symbol: Symbol
    state: TradingState
    reason: str
    time: datetime
    until: datetime | None = None


class OrderFact(Fact, frozen=True, kw_only=True, gc=False):
    """Something that happened to one order; it refers to nothing that could refer back to it."""

    order_id: int
    account: str
    symbol: Symbol
    time: datetime

    @property
    def subject(self) -> str:
        """Whose order it is: what a reader of such facts filters by."""
        return self.account


class OrderAccepted(OrderFact, frozen=True, kw_only=True):
    """The order was taken; ``client_order_id`` is the name its owner gave it."""

    kind: ClassVar[str] = "order_accepted"

    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    client_order_id: str | None = None


class OrderTriggered(OrderFact, frozen=True, kw_only=True):
    """The stop price was reached: the order now trades."""

    kind: ClassVar[str] = "order_triggered"


class OrderAmended(OrderFact, frozen=True, kw_only=True):
    """The order now asks for ``quantity`` in all, at ``price``."""

    kind: ClassVar[str] = "order_amended"

    quantity: Decimal
    price: Decimal | None


class OrderFilled(OrderFact, frozen=True, kw_only=True):
    """One's own part of a trade; ``fee`` is in the quote currency, negative for a rebate."""

    kind: ClassVar[str] = "order_filled"

    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    liquidity: Liquidity
    trade_id: int


class OrderCancelled(OrderFact, frozen=True, kw_only=True):
    """``quantity`` was taken back by its owner, unfilled."""

    kind: ClassVar[str] = "order_cancelled"

    quantity: Decimal


class OrderExpired(OrderFact, frozen=True, kw_only=True):
    """``quantity`` went away unfilled, for ``reason``."""

    kind: ClassVar[str] = "order_expired"

    quantity: Decimal
    reason: str


class OrderDecremented(OrderFact, frozen=True, kw_only=True):
    """``quantity`` went away, lest the account trade with itself; the rest stands."""

    kind: ClassVar[str] = "order_decremented"

    quantity: Decimal


class AmendRejected(OrderFact, frozen=True, kw_only=True):
    """The amendment was refused and the order stands as it was; ``code`` is the problem's name."""

    kind: ClassVar[str] = "amend_rejected"

    code: str
    reason: str


class OrderRejected(OrderFact, frozen=True, kw_only=True):
    """The order was refused and changed nothing; ``code`` is the problem's name."""

    kind: ClassVar[str] = "order_rejected"

    code: str
    reason: str
