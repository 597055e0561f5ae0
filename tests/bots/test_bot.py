from decimal import Decimal
from typing import Any

from bots.bot import Bot
from bots.strategy import Strategy, buy
from market.events import Fact, Tick
from market.orders import Command, PlaceOrder
from tests.bots.builders import TCS, a_tick, bought, ticks


class Log:
    """Keeps the names of what is logged."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def info(self, event: str, **_: Any) -> None:
        self.events.append(event)

    warning = error = info


class Buyer:
    """Buys at every tick."""

    def decide(self, fact: Fact) -> list[Command]:
        return [buy(TCS, 1)] if isinstance(fact, Tick) else []


def a_bot(log: Log, make: type[Strategy] = Buyer, *, reports: bool = True) -> Bot:
    return Bot(make, account="me", starting_cash=Decimal(1000), log=log, reports=reports)


def test_a_bot_whose_log_nobody_reads_keeps_the_same_books() -> None:
    loud, still = Log(), Log()
    bots = a_bot(loud), a_bot(still, reports=False)
    for bot in bots:
        for fact in (*ticks("10", "11"), bought("2", "11"), a_tick("12.50", 3)):
            bot.hear(fact)

    assert (loud.events, still.events) == (["fill"], [])
    one, other = (bot.status() for bot in bots)
    assert one["equity"] == "1003"
    assert one == other  # of two prices there is no value at risk yet


def test_what_a_strategy_orders_is_for_its_account() -> None:
    (order,) = a_bot(Log()).hear(a_tick("10"))

    assert isinstance(order, PlaceOrder)
    assert (order.account, order.quantity) == ("me", Decimal(1))
