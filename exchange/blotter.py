"""The blotter: a ticket for every order, open or closed, and the names that customers gave them."""

from collections import deque
from collections.abc import Iterable, Iterator
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

_add, _subtract, _multiply = MONEY.add, MONEY.subtract, MONEY.multiply


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


class Blotter:
    """Every open ticket, and the newest ``kept`` closed ones, in the order they closed."""

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self._tickets: dict[int, Ticket] = {}
        self._named: dict[tuple[str, str], int] = {}
        self._of: dict[str, dict[int, Ticket]] = {}
        self._closed: deque[int] = deque()

    def add(self, ticket: Ticket) -> None:
        """Take in a new order."""
        order = ticket.order
        self._tickets[ticket.order_id] = ticket
        self._of.setdefault(order.account, {})[ticket.order_id] = ticket
        if order.client_order_id is not None:
            self._named[order.account, order.client_order_id] = ticket.order_id

    def closed(self, ticket: Ticket) -> None:
        """Take note that an order ended; the oldest that did so beyond the bound is forgotten."""
        self._closed.append(ticket.order_id)
        while len(self._closed) > self.kept:
            self._forget(self._tickets.pop(self._closed.popleft()))

    def _forget(self, ticket: Ticket) -> None:
        order = ticket.order
        del self._of[order.account][ticket.order_id]
        if order.client_order_id is not None:
            del self._named[order.account, order.client_order_id]

    def find(self, order_id: int) -> Ticket | None:
        """Return the ticket of an order, or None when it was never placed or is forgotten."""
        return self._tickets.get(order_id)

    def named(self, account: str, client_order_id: str) -> Ticket | None:
        """Return the ticket that its owner gave this name, if it is still known."""
        order_id = self._named.get((account, client_order_id))
        return None if order_id is None else self._tickets[order_id]

    def of(self, account: str) -> Iterator[Ticket]:
        """Yield the tickets of an account, newest first."""
        return reversed(self._of.get(account, {}).values())

    def __iter__(self) -> Iterator[Ticket]:
        """Yield all tickets, oldest first."""
        return iter(self._tickets.values())

    def state(self) -> tuple[list[Ticket], list[int]]:
        """Return everything that `restored` needs: tickets, and the closed ones as they closed."""
        return list(self._tickets.values()), list(self._closed)

    @classmethod
    def restored(cls, kept: int, tickets: Iterable[Ticket], closed: Iterable[int]) -> "Blotter":
        """Return the blotter whose `state` was kept."""
        blotter = cls(kept)
        for ticket in tickets:
            blotter.add(ticket)
        blotter._closed.extend(closed)
        return blotter
