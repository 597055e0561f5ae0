"""What the exchange answers about orders and accounts, and the facts that it amounts to."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import asdict

from bots.blotter import Blotter
from bots.position import Position
from market.orders import (
    Liquidity,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderFact,
    OrderFilled,
    OrderRejected,
    OrderType,
    Status,
)
from market.values import Side, Symbol


class FillAnswer(Struct, frozen=True, kw_only=True):
    """One fill of an order, as the exchange tells its owner."""

    trade_id: int
    price: Decimal
    quantity: Decimal
    fee: Decimal
    liquidity: Liquidity = Liquidity.TAKER


class OrderAnswer(Struct, frozen=True, kw_only=True):
    """An order as it stands; the members beyond these are not ours to read."""

    order_id: int
    account: str
    symbol: Symbol
    side: Side
    type: OrderType
    status: Status
    quantity: Decimal
    filled_quantity: Decimal
    fills: tuple[FillAnswer, ...]
    time: datetime
    client_order_id: str | None = None
    price: Decimal | None = None
    reason: str | None = None


class PositionAnswer(Struct, frozen=True, kw_only=True):
    """A position as the exchange values it; its exact cost follows from mark and P&L."""

    symbol: Symbol
    quantity: Decimal
    average_price: Decimal
    mark: Decimal
    unrealized_pnl: Decimal


class AccountAnswer(Struct, frozen=True, kw_only=True):
    """An account as the exchange keeps it."""

    account: str
    cash: Decimal
    equity: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees: Decimal
    positions: tuple[PositionAnswer, ...]

    @property
    def starting_cash(self) -> Decimal:
        """What it began with: its equity without what it has won."""
        return self.equity - self.realized_pnl - self.unrealized_pnl

    def has_traded_like(self, other: "AccountAnswer") -> bool:
        """Whether no fill lies between the two answers."""
        mine, theirs = ((each.cash, each.realized_pnl, each.fees) for each in (self, other))
        return mine == theirs

    def books(self) -> dict[Symbol, Position]:
        """Return the positions with their exact cost."""
        return {
            each.symbol: Position.valued(each.quantity, each.mark, each.unrealized_pnl)
            for each in self.positions
        }


def differences(blotter: Blotter, account: AccountAnswer | None) -> dict[str, tuple[str, str]]:
    """Return what the two books disagree on, each as (ours, the exchange's).

    An account that the exchange does not know yet agrees with a blotter that never traded.
    """
    if account is None:
        return {"account": ("open", "unknown")} if blotter.has_traded else {}
    theirs = account.books()
    pairs: dict[str, tuple[Decimal, Decimal]] = {
        "cash": (blotter.cash, account.cash),
        "realized_pnl": (blotter.realized_pnl, account.realized_pnl),
    }
    for of in sorted(blotter.positions.keys() | theirs.keys()):
        our, their = blotter.positions.get(of, Position()), theirs.get(of, Position())
        pairs[f"quantity_{of}"] = our.quantity, their.quantity
        pairs[f"cost_{of}"] = our.cost, their.cost
    return {name: (f"{a:f}", f"{b:f}") for name, (a, b) in pairs.items() if a != b}


def accepted(answer: OrderAnswer) -> OrderAccepted:
    """Return the fact that the exchange took the order."""
    return OrderAccepted(
        order_id=answer.order_id,
        account=answer.account,
        symbol=answer.symbol,
        time=answer.time,
        side=answer.side,
        type=answer.type,
        quantity=answer.quantity,
        price=answer.price,
        client_order_id=answer.client_order_id,
    )


def filled(answer: OrderAnswer, fill: FillAnswer) -> OrderFilled:
    """Return the fact of one of its fills."""
    return OrderFilled(
        order_id=answer.order_id,
        account=answer.account,
        symbol=answer.symbol,
        time=answer.time,
        side=answer.side,
        price=fill.price,
        quantity=fill.quantity,
        fee=fill.fee,
        liquidity=fill.liquidity,
        trade_id=fill.trade_id,
    )


def ended(answer: OrderAnswer) -> Iterator[OrderFact]:
    """Yield how the order ended, when it did otherwise than by being filled."""
    left, reason = answer.quantity - answer.filled_quantity, answer.reason or answer.status
    about = OrderFact(
        order_id=answer.order_id, account=answer.account, symbol=answer.symbol, time=answer.time
    )
    if answer.status is Status.CANCELLED:
        yield OrderCancelled(**asdict(about), quantity=left)
    elif answer.status is Status.EXPIRED:
        yield OrderExpired(**asdict(about), quantity=left, reason=reason)
    elif answer.status is Status.REJECTED:
        yield OrderRejected(**asdict(about), code="rejected", reason=reason)
