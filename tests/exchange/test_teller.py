from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from random import Random
from typing import Any

from exchange.floor import Floor
from exchange.matching import MatchingEngine
from exchange.order_book import ANY_PRICE
from exchange.pit import Pit
from exchange.price_level import Order
from exchange.rules import House, Rules
from exchange.teller import (
    ACCEPTED,
    AMENDED,
    AMENDMENT_REJECTED,
    CANCELLED,
    CHANGED,
    DECREMENTED,
    EXPIRED,
    MAKER,
    REJECTED,
    TAKER,
    TRADED,
    TRIGGERED,
    Event,
    Tape,
)
from market.events import Fact, Trade
from market.orders import (
    AmendRejected,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderDecremented,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderTriggered,
    PlaceOrder,
    SelfTradePrevention,
    TradingState,
    TradingStateChanged,
)
from tests.exchange.desk import BTC, START, an_instrument, an_order

RULES = Rules(price_band_pct=Decimal(20), house=House(levels=2, quantity=Decimal(3)))


class Both:
    """An engine that answers in facts, and a pit whose tape is kept; both are told the same."""

    def __init__(self, rules: Rules = RULES) -> None:
        floor = Floor(counts=rules.max_open_orders > 0)
        floor.time = START
        self.tape = Tape(floor)
        self.pit = Pit(an_instrument(), rules, floor, teller=self.tape)
        self.working = floor.working
        self.engine = MatchingEngine({BTC: an_instrument()}, rules)
        self.facts: list[Fact] = []

    def place(self, order_id: int, request: PlaceOrder) -> None:
        self.facts += self.engine.place(order_id, request, START)
        self.pit.place(order_id, request)

    def cancel(self, order_id: int) -> None:
        self.facts += self.engine.cancel(order_id, START)
        self.pit.cancel(self.working[order_id])

    def amend(self, order_id: int, quantity: Decimal | None, price: Decimal | None) -> None:
        self.facts += self.engine.amend(order_id, quantity, price, START)
        self.pit.amend(self.working[order_id], quantity, price)

    def reference(self, price: int) -> None:
        self.facts += self.engine.reference(BTC, Decimal(price), START)
        self.pit.reference(price)

    def auction(self) -> None:
        if self.pit.session.state is TradingState.TRADING:
            self.facts += self.engine.halt(BTC, TradingState.AUCTION, START)
            self.pit.halt(TradingState.AUCTION, "halted by hand")
        else:
            self.facts += self.engine.resume(BTC, START)
            self.pit.resume()


def random_trading(random: Random, both: Both, count: int) -> None:
    for number in range(1, count + 1):
        chance = random.random()
        if chance < 0.1:
            both.reference(random.randint(90, 110))
        elif chance < 0.12:
            both.auction()
        elif chance < 0.3 and both.working:
            both.cancel(random.choice(list(both.working)))
        elif chance < 0.4 and both.working:
            wanted = random.choice([None, Decimal(random.randint(1, 20))])
            price = random.choice([None, Decimal(random.randint(85, 115))])
            both.amend(random.choice(list(both.working)), wanted, price)
        else:
            both.place(number, random_order(random))


def random_order(random: Random) -> PlaceOrder:
    price = random.choice([None, random.randint(85, 115), random.randint(95, 105)])
    more: dict[str, object] = {"account": random.choice(["ann", "bob"])}
    more["self_trade_prevention"] = random.choice(list(SelfTradePrevention))
    if random.random() < 0.2:
        more["stop"] = random.randint(90, 110)
    if price is not None:
        more["force"] = random.choice(["GTC", "GTC", "IOC", "FOK"])
        more["show"] = random.choice([None, None, 2]) if more["force"] == "GTC" else None
    quantity = random.choice(["0.5", *range(2, 20)])
    return an_order(random.choice(["buy", "sell"]), quantity, price, **more)


EVENTS: dict[type[Fact], Callable[[Any], Event]] = {
    OrderAccepted: lambda fact: (ACCEPTED, fact.order_id),
    OrderRejected: lambda fact: (REJECTED, fact.order_id, fact.account, fact.code),
    OrderAmended: lambda fact: (AMENDED, fact.order_id),
    AmendRejected: lambda fact: (AMENDMENT_REJECTED, fact.order_id, fact.code),
    OrderTriggered: lambda fact: (TRIGGERED, fact.order_id),
    OrderCancelled: lambda fact: (CANCELLED, fact.order_id, int(fact.quantity)),
    OrderExpired: lambda fact: (EXPIRED, fact.order_id, int(fact.quantity), fact.reason),
    OrderDecremented: lambda fact: (DECREMENTED, fact.order_id, int(fact.quantity)),
    TradingStateChanged: lambda fact: (CHANGED, 0, fact.state, fact.reason, ""),
}


def events_of(facts: Sequence[Fact]) -> Iterator[Event]:
    """Yield what a tape would have kept, but for what acceptances and amendments ask for."""
    for index, fact in enumerate(facts):
        if isinstance(fact, Trade):
            maker, taker = facts[index + 1 : index + 3]
            assert isinstance(maker, OrderFilled)
            assert isinstance(taker, OrderFilled)
            amounts = int(fact.price), int(fact.quantity)
            ids = maker.order_id, taker.order_id
            yield TRADED, *ids, *amounts, fact.trade_id, taker.liquidity
        elif not isinstance(fact, OrderFilled):  # that is told with its trade
            yield EVENTS[type(fact)](fact)


def test_a_tape_keeps_what_the_facts_say() -> None:
    seen: set[int | str] = set()
    for seed in range(6):
        both = Both()
        random_trading(Random(seed), both, 500)
        events = both.tape.events
        kept = [event[:2] if event[0] in (ACCEPTED, AMENDED) else event for event in events]
        assert kept == list(events_of(both.facts))
        seen.update(event[0] for event in kept)
    assert seen == set(range(10))


def test_an_order_in_ticks_and_lots_trades_as_one_in_decimals() -> None:
    both = Both(Rules())
    terms = an_order("sell", 1, 1)
    both.pit.enter(Order(1, terms, -101, 5))
    both.pit.enter(Order(2, an_order("buy", 1, 1), 101, 3))
    assert both.tape.events == [
        (ACCEPTED, 1, -101, 5),
        (ACCEPTED, 2, 101, 3),
        (TRADED, 1, 2, 101, 3, 1, TAKER),
    ]
    assert both.pit.book.asks.take(ANY_PRICE, 9, []) == 7


def test_an_auction_has_two_makers() -> None:
    both = Both(Rules())
    both.auction()
    both.place(1, an_order("sell", 5, 100))
    both.place(2, an_order("buy", 5, 100))
    both.auction()
    assert (TRADED, 1, 2, 100, 5, 1, MAKER) in both.tape.events
