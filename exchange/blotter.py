"""The blotter: a ticket for every order, open or closed, and the names that customers gave them."""

from collections import deque
from collections.abc import Iterable, Iterator

from exchange.ticket import Ticket


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
