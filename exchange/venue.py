"""The whole exchange as one pure state machine: commands in, facts and an answer out.

Nothing here reads a clock, a file or a socket: the same commands at the same times give the same
facts, byte for byte, wherever they are replayed.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Self

import msgspec
from msgspec import structs

from exchange.accounts import Account, Ledger
from exchange.admission import Admission, unknown_account, unknown_symbol
from exchange.blotter import Blotter
from exchange.commands import (
    AdvanceTime,
    AnyCommand,
    CancelOrders,
    Charter,
    ConfigureAccount,
    LoseReference,
    MoveReference,
    OpenVenue,
)
from exchange.funds import Funds
from exchange.matching import MatchingEngine, WorkingOrder
from exchange.outcome import STATUSES, Outcome
from exchange.rules import Refusal
from exchange.settlement import Settlement
from exchange.ticket import Ticket
from exchange.venue_state import VenueState, adapted, digest, staying
from exchange.venue_view import VenueView
from market.events import Fact
from market.orders import (
    AmendOrder,
    AmendRejected,
    CancelOrder,
    Command,
    HaltTrading,
    OrderRejected,
    PlaceOrder,
    ResumeTrading,
)
from market.values import Symbol

__all__ = ["STATUSES", "Outcome", "Venue", "digest"]


class Venue(VenueView):
    """Instruments, books, accounts and orders; it is told to open before anything else."""

    def __init__(self) -> None:
        super().__init__()
        self._fresh: set[Symbol] = set()
        self._next_order_id = 1
        self._settlement = Settlement(self.ledger, self.blotter, self.marks)
        self._adopt(self._charter, self._engine_of(self._charter))
        self._handlers: dict[type[Command], Callable[[Any], Outcome]] = {
            PlaceOrder: self._place,
            CancelOrder: self._cancel,
            CancelOrders: self._cancel_all,
            AmendOrder: self._amend,
            ConfigureAccount: self._configure,
            MoveReference: self._move,
            LoseReference: self._lose,
            HaltTrading: self._halt,
            ResumeTrading: self._resume,
            AdvanceTime: self._nothing_more,
            OpenVenue: self._open,
        }

    def handle(self, command: AnyCommand, time: datetime) -> Outcome:
        """Carry out a command; ``time`` never goes back."""
        before = self.time
        if time > before:
            self.time = time
        due = self._overdue() if self._engine.is_due(self.time) else []
        outcome = self._handlers[type(command)](command)
        if due:
            return structs.replace(outcome, facts=[*due, *outcome.facts])
        if not outcome.changed:
            self.time = before  # so that the state is the same with and without it
        return outcome

    def _overdue(self) -> list[Fact]:
        """Let happen what the passing of time brings."""
        facts = self._engine.advance(self.time)
        self._settlement.finish(facts)
        return facts

    # --- orders ---------------------------------------------------------------------------------

    def _place(self, order: PlaceOrder) -> Outcome:
        name = order.client_order_id
        if name is not None:
            before = self.blotter.named(order.account, name)
            if before is not None:
                return Outcome(tickets=(before,), repeated=True)
        account = self._account(order.account)
        if order.self_trade_prevention is None:
            mode = account.terms.self_trade_prevention
            order = structs.replace(order, self_trade_prevention=mode)
        refusal = self._admission.order(order, account)
        return Outcome(refusal=refusal) if refusal else self._match(order, account)

    def _match(self, order: PlaceOrder, account: Account) -> Outcome:
        order_id = self._next_order_id
        self._settlement.expect(order, account)
        facts = self._engine.place(order_id, order, self.time)
        refused = facts and facts[-1]
        if isinstance(refused, OrderRejected) and refused.order_id == order_id:
            self._settlement.finish(facts[:-1])
            return Outcome(facts[:-1], refusal=Refusal(refused.code, refused.reason))
        ticket = self._settled(facts, order_id)
        self._next_order_id += 1
        if order.client_order_id is not None:
            ticket.answer()
        return Outcome(facts, (ticket,))

    def _settled(self, facts: Sequence[Fact], order_id: int) -> Ticket:
        """Book the facts and return the ticket, which the same facts may have made the oldest."""
        self._settlement.finish(facts)
        ticket = self._settlement.newest
        if ticket is None or ticket.order_id != order_id:
            raise LookupError(f"order {order_id} was neither accepted nor refused")
        return ticket

    def _account(self, name: str) -> Account:
        """Return the account, or the one that its first order would open."""
        return self.ledger.find(name) or Account(name, self._charter.terms)

    def _may_trade(self, working: WorkingOrder, facts: Sequence[Fact]) -> bool:
        """Tell the engine whether a stop order that was set off can be paid for at the market."""
        self._settlement.book(facts)
        ticket = self.blotter.find(working.order_id)
        return ticket is not None and self._admission.at_the_market(ticket) is None

    def _own(self, account: str, order_id: int) -> Ticket | Refusal:
        """Return the account's open order, or why it is none."""
        ticket = self.blotter.find(order_id)
        if ticket is None or ticket.order.account != account:
            return Refusal("unknown-order", f"{account} has no order {order_id}")
        if not ticket.working:
            return Refusal("not-cancellable", f"order {order_id} is {ticket.status} already")
        return ticket

    def _cancel(self, command: CancelOrder) -> Outcome:
        ticket = self._own(command.account, command.order_id)
        if isinstance(ticket, Refusal):
            return Outcome(refusal=ticket)
        facts = self._engine.cancel(ticket.order_id, self.time)
        self._settlement.finish(facts)
        return Outcome(facts, (ticket,))

    def _cancel_all(self, command: CancelOrders) -> Outcome:
        if command.account not in self.ledger:
            return Outcome(refusal=unknown_account(command.account))
        symbol = command.symbol
        if symbol is not None and symbol not in self.instruments:
            return Outcome(refusal=unknown_symbol(symbol))
        return self._withdraw(
            ticket
            for ticket in self.blotter.of(command.account)
            if symbol is None or ticket.order.symbol == symbol
        )

    def _withdraw(self, tickets: Iterable[Ticket]) -> Outcome:
        """Cancel those that are open, oldest first."""
        found = sorted((t for t in tickets if t.working), key=lambda t: t.order_id)
        facts: list[Fact] = []
        for ticket in found:
            facts += (cancelled := self._engine.cancel(ticket.order_id, self.time))
            self._settlement.finish(cancelled)
        return Outcome(facts, found)

    def _amend(self, command: AmendOrder) -> Outcome:
        ticket = self._own(command.account, command.order_id)
        if isinstance(ticket, Refusal):
            return Outcome(refusal=ticket)
        refusal = self._admission.amendment(command, ticket)
        if refusal:
            return Outcome(refusal=refusal)
        facts = self._engine.amend(ticket.order_id, command.quantity, command.price, self.time)
        refused = facts and facts[-1]
        if isinstance(refused, AmendRejected):
            self._settlement.finish(facts[:-1])
            return Outcome(facts[:-1], refusal=Refusal(refused.code, refused.reason))
        self._settlement.finish(facts)
        return Outcome(facts, (ticket,))

    # --- accounts -------------------------------------------------------------------------------

    def _configure(self, command: ConfigureAccount) -> Outcome:
        account = self._account(command.account)
        terms = command.changed(account.terms)
        refusal = self._admission.terms(account, command, terms)
        if refusal:
            return Outcome(refusal=refusal)
        self.ledger.configure(command.account, terms)
        return Outcome(account=command.account)

    # --- the market -----------------------------------------------------------------------------

    def _move(self, command: MoveReference) -> Outcome:
        symbol = command.symbol
        if symbol not in self.instruments:
            return Outcome(refusal=unknown_symbol(symbol))
        if refusal := self._admission.reference(symbol, command.price):
            return Outcome(refusal=refusal)
        self.marks[symbol] = command.price
        self._fresh.add(symbol)
        facts = self._engine.reference(symbol, command.price, self.time)
        self._settlement.finish(facts)
        return Outcome(facts)

    def _lose(self, command: LoseReference) -> Outcome:
        self._fresh.discard(command.symbol)
        return Outcome()

    def _halt(self, command: HaltTrading) -> Outcome:
        return self._regulated(
            command.symbol, lambda: self._engine.halt(command.symbol, command.state, self.time)
        )

    def _resume(self, command: ResumeTrading) -> Outcome:
        return self._regulated(
            command.symbol, lambda: self._engine.resume(command.symbol, self.time)
        )

    def _regulated(self, symbol: Symbol, change: Callable[[], list[Fact]]) -> Outcome:
        if symbol not in self.instruments:
            return Outcome(refusal=unknown_symbol(symbol))
        facts = change()
        self._settlement.finish(facts)
        return Outcome(facts)

    def _nothing_more(self, _: AdvanceTime) -> Outcome:
        return Outcome()

    def _open(self, command: OpenVenue) -> Outcome:
        old, new = self._charter, command.charter
        self._fresh.clear()
        if (old.instruments, old.rules) == (new.instruments, new.rules):
            self._adopt(new, self._engine)
            return Outcome()
        symbols = staying(old, new)
        outcome = self._withdraw(t for t in self.blotter if t.order.symbol not in symbols)
        engine = self._engine_of(new)
        engine.restore(adapted(self._engine.state(), engine.state(), symbols))
        self._adopt(new, engine)
        return outcome

    def _engine_of(self, charter: Charter) -> MatchingEngine:
        instruments = {instrument.symbol: instrument for instrument in charter.instruments}
        return MatchingEngine(instruments, charter.rules, self._may_trade)

    def _adopt(self, charter: Charter, engine: MatchingEngine) -> None:
        self._charter, self._engine = charter, engine
        self.instruments = {instrument.symbol: instrument for instrument in charter.instruments}
        self._settlement.funds = Funds(charter.rules, self.marks)
        self._settlement.sourced = frozenset(charter.sourced)
        self._admission = Admission(charter, engine, self._settlement, self._fresh)
        self.blotter.kept = charter.orders_kept

    # --- snapshots ------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """Return the whole state as JSON; equal states give equal bytes."""
        tickets, closed = self.blotter.state()
        state = VenueState(
            charter=self._charter,
            time=self.time,
            next_order_id=self._next_order_id,
            accounts=self.ledger.state(),
            marks=dict(sorted(self.marks.items())),
            fresh=sorted(self._fresh),
            tickets=tickets,
            closed=closed,
            engine=structs.replace(self._engine.state(), time=self.time),
        )
        return msgspec.json.encode(state)

    def state_hash(self) -> str:
        """Return a hash over the whole state: two venues with the same one answer alike."""
        return digest(self.snapshot())

    @classmethod
    def restored(cls, snapshot: bytes) -> Self:
        """Return the venue whose `snapshot` this is; raise msgspec.DecodeError when it is none."""
        state = msgspec.json.decode(snapshot, type=VenueState)
        venue = cls()
        venue.time, venue._next_order_id = state.time, state.next_order_id
        venue.ledger = Ledger.restored(state.accounts)
        venue.blotter = Blotter.restored(state.charter.orders_kept, state.tickets, state.closed)
        venue.marks.update(state.marks)
        venue._fresh.update(state.fresh)
        venue._settlement = Settlement(venue.ledger, venue.blotter, venue.marks)
        engine = venue._engine_of(state.charter)
        engine.restore(state.engine)
        venue._adopt(state.charter, engine)
        return venue
