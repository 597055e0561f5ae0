"""Stops that are set off, and those that they set off in turn."""

from collections import deque

from exchange.book_view import BookView
from exchange.execution import Execution
from exchange.floor import Floor
from exchange.order_book import OrderBook
from exchange.price_level import Order
from exchange.rules import STOP
from exchange.session import TRADING, Session
from exchange.stops import StopOrders
from exchange.teller import Teller
from exchange.working import MayTrade


class StopChain:
    """Carries out what prices set off, one stop after the other, to its end."""

    __slots__ = ("_book", "_execution", "_floor", "_may_trade", "_session", "_stops", "_teller",
                 "_view")  # fmt: skip

    def __init__(
        self,
        stops: StopOrders,
        session: Session,
        book: OrderBook,
        view: BookView,
        floor: Floor,
        execution: Execution,
        teller: Teller,
        may_trade: MayTrade,
    ) -> None:
        self._stops, self._session, self._book, self._view = stops, session, book, view
        self._floor, self._execution, self._teller = floor, execution, teller
        self._may_trade = may_trade

    def run(self) -> None:
        """Carry out what was set off: a queue, so that each stop ends before the next begins."""
        session = self._session
        if not self._stops:
            session.low = session.high = 0
            return
        chain: deque[Order] = deque()
        while True:
            if session.high:
                low, high = session.low, session.high
                session.low = session.high = 0
                if session.state is TRADING:
                    chain.extend(self._stops.elected(low, high))
            if not chain:
                return
            self._trigger(chain.popleft())

    def _trigger(self, order: Order) -> None:
        request = order.request
        self._teller.triggered(order)
        if request.type is STOP and not self._affordable(order):
            self._execution.expire(order, "insufficient-funds")
        elif request.post_only and self._book.crosses(order):
            self._execution.expire(order, "post-only-would-take")
        else:
            self._execution.enter(order)

    def _affordable(self, order: Order) -> bool:
        return self._may_trade(self._view.order(order, waiting=False), self._floor.facts)
