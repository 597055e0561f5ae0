from decimal import Decimal

import msgspec

from exchange.blotter import Blotter
from exchange.ticket import Ticket
from market.orders import Liquidity, OrderFilled, Status
from market.values import Side
from tests.exchange.venues import NOON, TCS, an_order

D = Decimal


def a_ticket(order_id: int, *, name: str | None = None, account: str = "ann") -> Ticket:
    order = an_order(account, "buy", "5", "10", client_order_id=name)
    return Ticket(
        order_id=order_id,
        order=order,
        time=NOON,
        quantity=order.quantity,
        price=order.price,
        lock=D(10),
    )


def filled(ticket: Ticket, quantity: str, price: str) -> None:
    ticket.fill(
        OrderFilled(
            order_id=ticket.order_id,
            account="ann",
            symbol=TCS,
            time=NOON,
            side=Side.BUY,
            price=D(price),
            quantity=D(quantity),
            fee=D("0.1"),
            liquidity=Liquidity.MAKER,
            trade_id=3,
        )
    )


def test_a_ticket_is_filled_when_nothing_remains() -> None:
    ticket = a_ticket(1)
    assert ticket.view().average_price is None
    filled(ticket, "2", "10")
    assert (ticket.status, ticket.remaining, ticket.working) == (
        Status.PARTIALLY_FILLED,
        D(3),
        True,
    )
    filled(ticket, "3", "9")
    view = ticket.view()
    assert (view.status, view.filled_quantity, view.fee) == (Status.FILLED, D(5), D("0.2"))
    assert view.average_price == D("9.4")


def test_the_first_answer_stays_what_it_was() -> None:
    ticket = a_ticket(1, name="mine")
    filled(ticket, "2", "10")
    ticket.answer()
    first = ticket.view()
    filled(ticket, "3", "9")
    assert ticket.first_view() == first != ticket.view()


def test_no_two_tickets_share_their_fills() -> None:
    one, other = a_ticket(1), a_ticket(2)
    filled(one, "2", "10")
    assert other.fills == []


def test_the_oldest_to_close_is_forgotten_with_its_name() -> None:
    blotter = Blotter(1)
    for order_id in (1, 2, 3):
        blotter.add(a_ticket(order_id, name=f"n{order_id}"))
    for order_id in (2, 1):
        ticket = blotter.find(order_id)
        assert ticket is not None
        ticket.status = Status.CANCELLED
        blotter.closed(ticket)
    assert [t.order_id for t in blotter] == [1, 3]
    assert [t.order_id for t in blotter.of("ann")] == [3, 1]
    assert blotter.named("ann", "n2") is None
    assert blotter.named("bob", "n1") is None
    assert blotter.named("ann", "n1") is blotter.find(1)


def test_a_blotter_comes_back_from_its_state() -> None:
    blotter = Blotter(5)
    for order_id in (1, 2):
        blotter.add(a_ticket(order_id, name=f"n{order_id}"))
    ticket = blotter.find(1)
    assert ticket is not None
    filled(ticket, "5", "10")
    ticket.answer()
    blotter.closed(ticket)
    tickets, closed = blotter.state()
    kept = msgspec.json.decode(msgspec.json.encode(tickets), type=list[Ticket])
    again = Blotter.restored(5, kept, closed)
    assert again.state() == blotter.state()
    found = again.named("ann", "n1")
    assert found is not None
    assert found.view() == ticket.view()
