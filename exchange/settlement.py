"""What the engine's facts do to the ledger, the blotter and the marks."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

from exchange.accounts import Account, Ledger
from exchange.blotter import Blotter
from exchange.funds import Funds
from exchange.positions import MONEY
from exchange.ticket import Ticket
from market.events import Fact, Trade
from market.orders import (
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderDecremented,
    OrderExpired,
    OrderFilled,
    OrderTriggered,
    PlaceOrder,
    Status,
)
from market.values import Symbol

SELF_TRADE: Final = "self-trade"

_subtract: Final = MONEY.subtract
_multiply: Final = MONEY.multiply
_minus: Final = MONEY.minus


class Settlement:
    """Books each fact once, in order; what an open order locks is unlocked as it trades or ends."""

    def __init__(self, ledger: Ledger, blotter: Blotter, marks: dict[Symbol, Decimal]) -> None:
        self.ledger, self.blotter, self.marks = ledger, blotter, marks
        self.sourced: frozenset[Symbol] = frozenset()
        self.funds: Funds | None = None
        self._placing: tuple[PlaceOrder, Account] | None = None
        self._booked = 0
        self.newest: Ticket | None = None  # of the orders that were accepted
        self._rules: dict[type[Fact], Callable[[Any], None]] = {
            Trade: self._traded,
            OrderAccepted: self._accepted,
            OrderTriggered: self._triggered,
            OrderAmended: self._amended,
            OrderFilled: self._filled,
            OrderCancelled: self._cancelled,
            OrderExpired: self._expired,
            OrderDecremented: self._decremented,
        }

    def expect(self, order: PlaceOrder, account: Account) -> None:
        """Say whose order the next `OrderAccepted` is about."""
        self._placing = order, account

    def book(self, facts: Sequence[Fact]) -> None:
        """Book those of a command's facts so far that were not booked before."""
        rules = self._rules
        new = facts[self._booked :] if self._booked else facts
        self._booked = len(facts)
        for fact in new:
            rule = rules.get(type(fact))
            if rule is not None:
                rule(fact)

    def finish(self, facts: Sequence[Fact]) -> None:
        """Book the rest of a command's facts; the next ones are another command's."""
        self.book(facts)
        self._booked = 0
        self._placing = None

    def _traded(self, fact: Trade) -> None:
        if fact.symbol not in self.sourced:
            self.marks[fact.symbol] = fact.price

    def _accepted(self, fact: OrderAccepted) -> None:
        if self._placing is None or self.funds is None:
            raise ValueError(f"order {fact.order_id} was accepted, but nobody placed it")
        order, account = self._placing
        price = order.stop_price if order.price is None else order.price
        ticket = Ticket(
            order_id=fact.order_id,
            order=order,
            time=fact.time,
            quantity=fact.quantity,
            price=order.price,
            lock=self.funds.lock(order.side, price),
        )
        account.traded = True
        self.ledger.add(account)
        self.blotter.add(ticket)
        self.newest = ticket
        self._reserve(ticket, account, fact.quantity)
        if price is not None:
            self.marks.setdefault(order.symbol, price)

    def _triggered(self, fact: OrderTriggered) -> None:
        self._ticket(fact.order_id).time = fact.time

    def _filled(self, fact: OrderFilled) -> None:
        account = self.ledger.settle(fact)
        if fact.order_id < 0:  # the house's
            return
        ticket = self._ticket(fact.order_id)
        ticket.fill(fact)
        self._reserve(ticket, account, _minus(fact.quantity))
        if not ticket.working:
            self.blotter.closed(ticket)

    def _amended(self, fact: OrderAmended) -> None:
        ticket = self._ticket(fact.order_id)
        self._release(ticket, ticket.remaining)
        ticket.quantity, ticket.time = fact.quantity, fact.time
        if fact.price is not None and self.funds is not None:
            ticket.price = fact.price
            ticket.lock = self.funds.lock(ticket.order.side, fact.price)
        account = self.ledger[ticket.order.account]
        self._reserve(ticket, account, ticket.remaining)

    def _decremented(self, fact: OrderDecremented) -> None:
        ticket = self._ticket(fact.order_id)
        self._release(ticket, fact.quantity)
        ticket.quantity, ticket.time = _subtract(ticket.quantity, fact.quantity), fact.time
        if not ticket.remaining:
            self._close(ticket, Status.EXPIRED, SELF_TRADE)

    def _cancelled(self, fact: OrderCancelled) -> None:
        ticket = self._ticket(fact.order_id)
        ticket.time = fact.time
        self._release(ticket, ticket.remaining)
        self._close(ticket, Status.CANCELLED)

    def _expired(self, fact: OrderExpired) -> None:
        ticket = self._ticket(fact.order_id)
        ticket.time = fact.time
        if ticket.working:
            self._release(ticket, ticket.remaining)
            self._close(ticket, Status.EXPIRED, fact.reason)

    def _close(self, ticket: Ticket, status: Status, reason: str | None = None) -> None:
        ticket.status, ticket.reason = status, reason
        self.blotter.closed(ticket)

    def _reserve(self, ticket: Ticket, account: Account, quantity: Decimal) -> None:
        order, lock = ticket.order, ticket.lock
        cash = _multiply(quantity, lock) if lock else lock
        account.reserve(order.symbol, order.side, quantity, cash)

    def _release(self, ticket: Ticket, quantity: Decimal) -> None:
        self._reserve(ticket, self.ledger[ticket.order.account], _minus(quantity))

    def _ticket(self, order_id: int) -> Ticket:
        ticket = self.blotter.find(order_id)
        if ticket is None:
            raise LookupError(f"order {order_id} has no ticket")
        return ticket
