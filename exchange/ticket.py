"""A ticket: what became of one order, and how it looks to its owner."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Final

from msgspec import Struct

from exchange.positions import MONEY, ZERO, plain, ratio
from market.orders import (
    Liquidity,
    OrderFilled,
    OrderType,
    PlaceOrder,
    SelfTradePrevention,
    Status,
    TimeInForce,
)
from market.values import Side, Symbol

OPEN: Final = Status.OPEN  # by name: looking up a member of an enum takes its time
PARTIALLY_FILLED: Final = Status.PARTIALLY_FILLED
FILLED: Final = Status.FILLED

_add: Final = MONEY.add
_subtract: Final = MONEY.subtract
_multiply: Final = MONEY.multiply


class Fill(Struct, frozen=True, kw_only=True):
    """An order's own part of a trade."""

    trade_id: int
    price: Decimal
    quantity: Decimal
    fee: Decimal
    liquidity: Liquidity


class OrderView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order as its owner sees it; ``time`` is that of its last change.

    The last four are there when they say something: a plain order has but the mode of its account.
    """

    order_id: int
    client_order_id: str | None
    account: str
    symbol: Symbol
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    status: Status
    quantity: Decimal
    filled_quantity: Decimal
    average_price: Decimal | None
    fee: Decimal
    fills: tuple[Fill, ...]
    time: datetime
    price: Decimal | None
    stop_price: Decimal | None
    reason: str | None
    post_only: bool = False
    display_quantity: Decimal | None = None
    expire_time: datetime | None = None
    self_trade_prevention: SelfTradePrevention | None = None


class FirstAnswer(Struct, frozen=True):
    """How a ticket stood when its order was answered."""

    status: Status
    quantity: Decimal
    price: Decimal | None
    reason: str | None
    fills: int
    time: datetime


class Ticket(Struct, kw_only=True, omit_defaults=True):
    """What became of one order; ``lock`` is the cash that each unit left to buy keeps locked."""

    order_id: int
    order: PlaceOrder
    time: datetime
    quantity: Decimal
    price: Decimal | None
    lock: Decimal
    filled: Decimal = ZERO
    status: Status = OPEN
    reason: str | None = None
    fills: list[Fill] = []
    first: FirstAnswer | None = None

    @property
    def remaining(self) -> Decimal:
        """What is neither filled nor taken away."""
        return _subtract(self.quantity, self.filled)

    @property
    def working(self) -> bool:
        """Whether it may still trade."""
        return self.status is OPEN or self.status is PARTIALLY_FILLED

    def fill(self, fact: OrderFilled) -> None:
        """Take in its own part of a trade."""
        self.fills.append(
            Fill(
                trade_id=fact.trade_id,
                price=fact.price,
                quantity=fact.quantity,
                fee=fact.fee,
                liquidity=fact.liquidity,
            )
        )
        self.filled = _add(self.filled, fact.quantity)
        self.time = fact.time
        done = self.filled == self.quantity
        self.status = FILLED if done else PARTIALLY_FILLED

    def answer(self) -> None:
        """Keep how it stands now as the answer to whoever sends the same name again."""
        self.first = FirstAnswer(
            self.status, self.quantity, self.price, self.reason, len(self.fills), self.time
        )

    def view(self) -> OrderView:
        """Return the order as it stands."""
        now = FirstAnswer(
            self.status, self.quantity, self.price, self.reason, len(self.fills), self.time
        )
        return self._view(now)

    def first_view(self) -> OrderView:
        """Return the order as it stood when it was answered."""
        return self._view(self.first) if self.first else self.view()

    def _view(self, at: FirstAnswer) -> OrderView:
        order, fills = self.order, tuple(islice(self.fills, at.fills))
        filled = value = fee = ZERO
        for fill in fills:
            filled = _add(filled, fill.quantity)
            value = _add(value, _multiply(fill.quantity, fill.price))
            fee = _add(fee, fill.fee)
        return OrderView(
            order_id=self.order_id,
            client_order_id=order.client_order_id,
            account=order.account,
            symbol=order.symbol,
            side=order.side,
            type=order.type,
            time_in_force=order.time_in_force,
            status=at.status,
            quantity=at.quantity,
            filled_quantity=filled,
            average_price=plain(ratio(value, filled)) if filled else None,
            fee=plain(fee),
            fills=fills,
            time=at.time,
            price=at.price,
            stop_price=order.stop_price,
            reason=at.reason,
            post_only=order.post_only,
            display_quantity=order.display_quantity,
            expire_time=order.expire_time and order.expire_time.astimezone(UTC),
            self_trade_prevention=order.self_trade_prevention,
        )
