"""Buys on one turn of the price and sells everything on the other, one order at a time."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import ClassVar, Final

from bots.holdings import Holdings
from bots.strategy import buy, sell
from bots.turns import Turn, Turns
from market.events import Fact, Tick
from market.orders import (
    OrderCancelled,
    OrderExpired,
    OrderFact,
    OrderFilled,
    OrderRejected,
    PlaceOrder,
)
from market.values import Symbol

_ENDS: Final = (OrderRejected, OrderExpired, OrderCancelled)


class TurnTrader(ABC):
    """What investor and hamster share; they differ in which turn they buy on and when they sell."""

    buys_on: ClassVar[Turn]
    sells_on: ClassVar[Turn]

    def __init__(self, *, amounts: Mapping[Symbol, Decimal]) -> None:
        self._amounts = amounts
        self._turns = Turns()
        self._holdings = Holdings()
        self._in_flight: dict[Symbol, Decimal] = {}  # what is still to come of the order sent

    @abstractmethod
    def sells_at(self, price: Decimal, highest_paid: Decimal) -> bool:
        """Return whether to sell the whole position at ``price``."""

    def decide(self, fact: Fact) -> Sequence[PlaceOrder]:
        """Return an order when a tick of an own symbol turns and none is in flight there."""
        turn = self._turns.seen(fact)
        if isinstance(fact, OrderFact):
            self._book(fact)
        if turn is None or not isinstance(fact, Tick) or fact.symbol in self._in_flight:
            return ()
        order = self._order(turn, fact)
        if order is None:
            return ()
        self._in_flight[fact.symbol] = order.quantity
        return (order,)

    def _order(self, turn: Turn, tick: Tick) -> PlaceOrder | None:
        if tick.symbol not in self._amounts:
            return None
        if turn is self.buys_on:
            return buy(tick.symbol, self._amounts[tick.symbol])
        held = self._holdings[tick.symbol]
        if turn is not self.sells_on or held.quantity <= 0:
            return None
        if not self.sells_at(tick.price, held.highest_paid):
            return None
        return sell(tick.symbol, held.quantity)

    def _book(self, fact: OrderFact) -> None:
        if isinstance(fact, OrderFilled):
            self._holdings.apply(fact)
            self._arrive(fact.symbol, fact.quantity)
        elif isinstance(fact, _ENDS):
            self._in_flight.pop(fact.symbol, None)

    def _arrive(self, of: Symbol, quantity: Decimal) -> None:
        left = self._in_flight.pop(of, quantity) - quantity
        if left > 0:
            self._in_flight[of] = left
