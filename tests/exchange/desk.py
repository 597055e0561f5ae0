"""Builders for tests of the engine: a desk to trade at, and facts in the shorthand of the book."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from exchange.matching import MatchingEngine
from exchange.rules import Rules
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
    OrderType,
    PlaceOrder,
    TimeInForce,
)
from market.values import Instrument, Side, symbol

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
BTC = symbol("BTC")


def an_instrument(name: str = "BTC", tick_size: str = "1", lot_size: str = "1") -> Instrument:
    return Instrument(
        symbol=symbol(name), name=name, tick_size=Decimal(tick_size), lot_size=Decimal(lot_size)
    )


def an_engine(rules: Rules | None = None, *names: str) -> MatchingEngine:
    instruments = [an_instrument(name) for name in names or ("BTC",)]
    return MatchingEngine({each.symbol: each for each in instruments}, rules or Rules())


def an_order(side: str, quantity: object, price: object = None, **more: Any) -> PlaceOrder:
    """Return an order as told: a price makes it a limit order, a stop price a stop."""
    stop = more.pop("stop", None)
    kinds = {
        (False, False): OrderType.MARKET,
        (True, False): OrderType.LIMIT,
        (False, True): OrderType.STOP,
        (True, True): OrderType.STOP_LIMIT,
    }
    return PlaceOrder(
        account=more.pop("account", "ann"),
        symbol=more.pop("symbol", BTC),
        side=Side(side),
        quantity=Decimal(str(quantity)),
        type=kinds[price is not None, stop is not None],
        price=a_decimal(price),
        stop_price=a_decimal(stop),
        time_in_force=TimeInForce(more.pop("force", "GTC")),
        display_quantity=a_decimal(more.pop("show", None)),
        **more,
    )


def a_decimal(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class Desk:
    """Talks to an engine in names instead of ids, and keeps all facts."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.engine = an_engine(rules)
        self.ids: dict[str, int] = {}
        self.names: dict[int, str] = {}
        self.facts: list[Fact] = []
        self.time = START

    def buy(self, name: str, quantity: object, price: object = None, **more: Any) -> list[Any]:
        return self.place(name, an_order("buy", quantity, price, **more))

    def sell(self, name: str, quantity: object, price: object = None, **more: Any) -> list[Any]:
        return self.place(name, an_order("sell", quantity, price, **more))

    def place(self, name: str, order: PlaceOrder) -> list[Any]:
        order_id = self.ids[name] = len(self.ids) + 1
        self.names[order_id] = name
        return self.told(self.engine.place(order_id, order, self.time))

    def cancel(self, name: str) -> list[Any]:
        return self.told(self.engine.cancel(self.ids[name], self.time))

    def amend(self, name: str, quantity: object = None, price: object = None) -> list[Any]:
        facts = self.engine.amend(self.ids[name], a_decimal(quantity), a_decimal(price), self.time)
        return self.told(facts)

    def tick(self, price: object, seconds: float = 0) -> list[Any]:
        self.time += timedelta(seconds=seconds)
        return self.told(self.engine.reference(BTC, Decimal(str(price)), self.time))

    def told(self, facts: list[Fact]) -> list[Any]:
        self.facts += facts
        return in_short(facts, self.names)

    def left(self, name: str) -> int:
        order = self.engine.order(self.ids[name])
        return 0 if order is None else int(order.remaining)

    def depth(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        return depth(self.engine)


def depth(engine: MatchingEngine) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    book = engine.book(BTC, 1000)
    bids, asks = ([(int(p), int(q)) for p, q in side] for side in (book.bids, book.asks))
    return bids, asks


def in_short(facts: list[Fact], names: dict[int, str] | None = None) -> list[Any]:
    """Return facts as tuples of a word, an order and whole numbers; a trade is told once."""
    named = names or {}
    told: list[Any] = []
    for index, fact in enumerate(facts):
        if isinstance(fact, Trade):
            maker, taker = facts[index + 1], facts[index + 2]
            assert isinstance(maker, OrderFilled)
            assert isinstance(taker, OrderFilled)
            assert maker.trade_id == taker.trade_id == fact.trade_id
            assert maker.quantity == taker.quantity == fact.quantity
            assert maker.price == taker.price == fact.price
            assert maker.side is taker.side.opposite
            pair = (
                named.get(taker.order_id, taker.order_id),
                named.get(maker.order_id, maker.order_id),
            )
            told.append(("trade", *pair, int(fact.quantity), int(fact.price)))
        elif type(fact) in WORDS:
            word = WORDS[type(fact)]
            name = named.get(fact.order_id, fact.order_id)  # type: ignore[attr-defined]
            sized = word in {"expire", "decrement", "cancel", "amend"}
            told.append((word, name, int(fact.quantity)) if sized else (word, name))  # type: ignore[attr-defined]
    return told


WORDS: dict[type[Fact], str] = {
    OrderAccepted: "accept",
    OrderRejected: "reject",
    AmendRejected: "reject",
    OrderExpired: "expire",
    OrderDecremented: "decrement",
    OrderTriggered: "trigger",
    OrderCancelled: "cancel",
    OrderAmended: "amend",
}
