"""Strategies of ours that do the work; a run loads them from this file, as it would a user's."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from benchmarks.markets import work
from bots.resting import Resting
from bots.strategy import buy, cancel, sell
from market.events import Fact, Tick
from market.orders import Command, OrderAccepted, OrderFact, OrderFilled
from market.values import symbol

TCS: Final = symbol("TCS")
STEP: Final = Decimal(str(work.STEP))


class Turner:
    """Buys on a peak when it is flat, sells on a dip when it is not, at the market."""

    def __init__(self) -> None:
        self._last: list[Decimal] = []
        self._held = Decimal(0)

    def decide(self, fact: Fact) -> Sequence[Command]:
        """Return an order on a turn."""
        if isinstance(fact, OrderFilled):
            self._held += fact.side.sign * fact.quantity
        if not isinstance(fact, Tick):
            return ()
        last = self._last
        last.append(fact.price)
        if len(last) < 3:
            return ()
        before, middle, now = last
        del last[0]
        if before < middle > now and not self._held:
            return (buy(TCS, work.AMOUNT),)
        if before > middle < now and self._held:
            return (sell(TCS, self._held),)
        return ()


class Quoter:
    """Quotes as the house does, with orders like anybody's: it knows beforehand which.

    Args:
        ticks: how many prices there will be.
    """

    def __init__(self, ticks: int) -> None:
        self._coming = iter(work.quotes(work.prices(ticks)))
        self._ids: dict[int, int] = {}  # by quote

    def decide(self, fact: Fact) -> Sequence[Command]:
        """Return what becomes of its quotes at a tick."""
        if isinstance(fact, OrderAccepted) and fact.price is not None:
            self._ids[fact.side.sign * int(fact.price / STEP)] = fact.order_id
        if not isinstance(fact, Tick):
            return ()
        withdrawn, placed = next(self._coming)
        commands: list[Command] = [cancel(self._ids.pop(quote)) for quote in withdrawn]
        for quote in placed:
            price = abs(quote) * STEP
            commands.append((buy if quote > 0 else sell)(TCS, work.QUOTED, price=price))
        return commands


class Zero:
    """An agent of the orders: it takes its oldest order back, and places one by the dice.

    Args:
        number: which of the agents.
    """

    def __init__(self, number: int) -> None:
        self._dice, self._resting = work.Dice(number), Resting()
        self._place = buy if self._dice.buys else sell

    def decide(self, fact: Fact) -> Sequence[Command]:
        """Return its orders at a tick."""
        if isinstance(fact, OrderFact):
            self._resting.apply(fact)
        if not isinstance(fact, Tick):
            return ()
        limit = self._dice.limit(int(fact.price / STEP)) * STEP
        order = self._place(TCS, work.AMOUNT, price=limit)
        resting = self._resting.of(TCS)
        if len(resting) < work.MOST_RESTING:
            return (order,)
        return (cancel(resting[0].order_id), order)
