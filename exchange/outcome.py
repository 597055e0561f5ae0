"""What a command led to, as its sender is told."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from exchange.rules import Refusal
from exchange.ticket import OrderView, Ticket
from market.events import Fact

STATUSES: Final = {
    "unknown-symbol": 404,
    "unknown-account": 404,
    "unknown-order": 404,
    "insufficient-funds": 409,
    "insufficient-position": 409,
    "not-cancellable": 409,
    "post-only-would-take": 409,
    "trading-state": 409,
    "max-open-orders": 409,
    "starting-cash-fixed": 409,
    "too-many-accounts": 409,
    "no-fresh-price": 503,
}
"""The HTTP status of each refusal; what is not named here is a 422."""


class Outcome(Struct, frozen=True):
    """What a command led to; a refused one changed nothing.

    ``facts`` is everything that happened, to whomever. ``tickets`` are the orders that were placed,
    amended or cancelled; ``repeated`` says that the order was placed before, under the same
    ``client_order_id``, and is not placed again.
    """

    facts: Sequence[Fact] = ()
    tickets: Sequence[Ticket] = ()
    account: str | None = None
    refusal: Refusal | None = None
    repeated: bool = False

    @property
    def changed(self) -> bool:
        """Whether anything is different now; if not, the command need not be kept."""
        return bool(self.facts) or not (self.refusal or self.repeated)

    @property
    def orders(self) -> list[OrderView]:
        """The answers about its orders, as they stand: to be taken before the next command."""
        if self.repeated:
            return [ticket.first_view() for ticket in self.tickets]
        return [ticket.view() for ticket in self.tickets]
