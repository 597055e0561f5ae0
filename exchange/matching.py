"""Commands in, facts out: the matching engine of the whole exchange; no I/O, no clock, no chance.

Signatures first; what each fact means is in `market.orders`.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from exchange.rules import Rules
from market.errors import MarketError
from market.events import Fact
from market.orders import PlaceOrder, SelfTradePrevention, TradingState
from market.values import Instrument, Side, Symbol

Levels = tuple[tuple[Decimal, Decimal], ...]


class UnknownOrderError(MarketError, LookupError):
    """No working order has this id."""


class WorkingOrder(Struct, frozen=True, kw_only=True):
    """An open order: what was asked, how much of it is left, whether it waits for its stop price."""

    order_id: int
    order: PlaceOrder
    quantity: Decimal  # asked for in all, after amendments and decrements
    remaining: Decimal
    price: Decimal | None
    waiting: bool


class Depth(Struct, frozen=True, kw_only=True):
    """The visible book, best first: prices and the quantity that stands at each."""

    bids: Levels
    asks: Levels


class Sweep(Struct, frozen=True, kw_only=True):
    """What taking now would come to: how much is there, its value, the worst price, the taker fee."""

    quantity: Decimal
    notional: Decimal
    worst_price: Decimal | None
    fee: Decimal


MayTrade = Callable[[WorkingOrder, Sequence[Fact]], bool]
"""Asked before a triggered stop (market) trades: the order, and all facts of this call so far
(apply those not yet applied to the ledger first). False: the order expires, `insufficient-funds`."""


class MatchingEngine:
    """Working signatures.

    The house trades as account "house" with negative order ids; only its OrderFilled facts appear
    (its quotes are liquidity, not orders of an account: no accepted/cancelled facts).
    """

    def __init__(
        self,
        instruments: Mapping[Symbol, Instrument],
        rules: Rules,
        may_trade: MayTrade = lambda order, facts: True,
    ) -> None: ...

    def place(self, order_id: int, order: PlaceOrder, time: datetime) -> list[Fact]: ...
    def cancel(self, order_id: int, time: datetime) -> list[Fact]: ...  # raises UnknownOrderError
    def amend(
        self, order_id: int, quantity: Decimal | None, price: Decimal | None, time: datetime
    ) -> list[Fact]: ...  # raises UnknownOrderError; AmendRejected when refused
    def reference(self, symbol: Symbol, price: Decimal, time: datetime) -> list[Fact]: ...
    def halt(self, symbol: Symbol, state: TradingState, time: datetime) -> list[Fact]: ...
    def resume(self, symbol: Symbol, time: datetime) -> list[Fact]: ...
    def advance(self, time: datetime) -> list[Fact]: ...
    def book(self, symbol: Symbol, depth: int = 10) -> Depth: ...
    def changes(self, symbol: Symbol) -> int: ...  # grows whenever the book changes
    def order(self, order_id: int) -> WorkingOrder | None: ...
    def trading_state(self, symbol: Symbol) -> TradingState: ...
    def cost_to_take(
        self,
        symbol: Symbol,
        side: Side,
        quantity: Decimal,
        price: Decimal | None = None,
        account: str = "",
        prevention: SelfTradePrevention | None = None,
    ) -> Sweep: ...  # nothing changes
