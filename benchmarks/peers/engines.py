"""Matching engines of the package index, and ours, made to speak the same plain commands.

A command is ``(kind, order_id, buy, price, quantity)``; a cancel says the id, side and price of the
order. Order ids are 1, 2, 3, ... in order of entry, which is how those peers that give ids out
number them too. An engine's ``run`` is what is timed: it carries the commands out, from the plain
numbers to whatever the engine answers. ``trades`` tells afterwards, untimed, what was answered, as
``(taker, maker, quantity, price)``.
"""

import importlib
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Protocol

from msgspec import structs

from exchange.floor import Floor
from exchange.matching import MatchingEngine
from exchange.order_book import ANY_PRICE, OrderBook
from exchange.pit import Pit
from exchange.price_level import Match, Order
from exchange.rules import Rules
from exchange.teller import TRADED, Tape
from market.events import Fact, Trade
from market.orders import OrderFilled, OrderType, PlaceOrder
from market.values import Instrument, Side, Symbol

LIMIT: Final = 0
CANCEL: Final = 1
MARKET: Final = 2

Command = tuple[int, int, bool, int, int]
Traded = tuple[int, int, int, int]

BTC: Final = Symbol("BTC")
STEP: Final = Decimal(1)
BITCOIN: Final = Instrument(symbol=BTC, name="Bitcoin", tick_size=STEP, lot_size=STEP)
NOON: Final = datetime(2026, 1, 5, 12, tzinfo=UTC)


class Engine(Protocol):
    """Something that matches."""

    def run(self, commands: Sequence[Command]) -> None:
        """Carry the commands out."""

    def trades(self) -> list[Traded]:
        """Return every trade so far."""


class OurEngine:
    """The whole engine on whole numbers: rules, limits, prevention, and all that happens told."""

    def __init__(self) -> None:
        floor = self._floor = Floor(counts=False)
        self._tape = Tape(floor)
        self._pit = Pit(BITCOIN, Rules(), floor, teller=self._tape)
        market = [
            PlaceOrder(account="ann", symbol=BTC, side=side, quantity=STEP)
            for side in (Side.SELL, Side.BUY)
        ]
        limit = [structs.replace(order, type=OrderType.LIMIT, price=STEP) for order in market]
        self._terms = {LIMIT: limit, MARKET: market}

    def run(self, commands: Sequence[Command]) -> None:
        """Carry the commands out."""
        pit, working = self._pit, self._floor.working
        limit, market = self._terms[LIMIT], self._terms[MARKET]
        for kind, order_id, buy, price, quantity in commands:
            if kind == CANCEL:
                pit.cancel(working[order_id])
            elif kind == LIMIT:
                pit.enter(Order(order_id, limit[buy], price if buy else -price, quantity))
            else:
                pit.enter(Order(order_id, market[buy], 0, quantity))

    def trades(self) -> list[Traded]:
        """Return every trade so far."""
        found: list[Traded] = []
        for event in self._tape.events:
            if event[0] == TRADED:
                maker, taker, ticks, lots = map(int, event[1:5])
                found.append((taker, maker, lots, ticks))
        return found


class Ours:
    """The engine as the exchange has it: decimals come in, facts in decimals go out."""

    def __init__(self) -> None:
        self._engine = MatchingEngine({BTC: BITCOIN}, Rules())
        self._facts: list[Fact] = []

    def run(self, commands: Sequence[Command]) -> None:
        """Carry the commands out."""
        engine, facts = self._engine, self._facts
        buying, selling, limit = Side.BUY, Side.SELL, OrderType.LIMIT
        for kind, order_id, buy, price, quantity in commands:
            side = buying if buy else selling
            if kind == CANCEL:
                facts += engine.cancel(order_id, NOON)
                continue
            if kind == LIMIT:
                order = PlaceOrder(
                    account="ann",
                    symbol=BTC,
                    side=side,
                    quantity=Decimal(quantity),
                    type=limit,
                    price=Decimal(price),
                )
            else:
                order = PlaceOrder(account="ann", symbol=BTC, side=side, quantity=Decimal(quantity))
            facts += engine.place(order_id, order, NOON)

    def trades(self) -> list[Traded]:
        """Return every trade so far."""
        found: list[Traded] = []
        for index, fact in enumerate(self._facts):
            if isinstance(fact, Trade):
                maker, taker = self._facts[index + 1 : index + 3]
                assert isinstance(maker, OrderFilled)
                assert isinstance(taker, OrderFilled)
                ids = taker.order_id, maker.order_id
                found.append((*ids, int(fact.quantity), int(fact.price)))
        return found


class OurBook:
    """The order book alone: whole numbers in, executions out."""

    def __init__(self) -> None:
        self._book = OrderBook()
        self._orders: dict[int, Order] = {}
        self._trades: list[Traded] = []
        self._requests = [
            PlaceOrder(account="ann", symbol=BTC, side=side, quantity=Decimal(1))
            for side in (Side.SELL, Side.BUY)
        ]

    def run(self, commands: Sequence[Command]) -> None:
        """Carry the commands out."""
        bids, asks, orders, trades = self._book.bids, self._book.asks, self._orders, self._trades
        matches: list[Match] = []
        for kind, order_id, buy, price, quantity in commands:
            own, opposite = (bids, asks) if buy else (asks, bids)
            if kind == CANCEL:
                own.remove(orders.pop(order_id))
                continue
            key = price if buy else -price
            left = opposite.take(-key if kind == LIMIT else ANY_PRICE, quantity, matches)
            if matches:
                for maker, lots, _ in matches:
                    trades.append((order_id, maker.id, lots, abs(maker.key)))
                    if not maker.shown:
                        del orders[maker.id]
                matches.clear()
            if left and kind == LIMIT:
                order = orders[order_id] = Order(order_id, self._requests[buy], key, left)
                own.add(order)

    def trades(self) -> list[Traded]:
        """Return every trade so far."""
        return self._trades

    def has(self, order_id: int) -> bool:
        """Whether an order rests."""
        return order_id in self._orders


class LightMatchingEngine:
    """lightmatchingengine."""

    def __init__(self) -> None:
        self._module: Any = importlib.import_module("lightmatchingengine.lightmatchingengine")
        self._engine = self._module.LightMatchingEngine()
        self._answers: list[tuple[int, list[Any]]] = []

    def run(self, commands: Sequence[Command]) -> None:
        """Carry the commands out."""
        engine, answers = self._engine, self._answers
        buying, selling = self._module.Side.BUY, self._module.Side.SELL
        for kind, order_id, buy, price, quantity in commands:
            if kind == CANCEL:
                engine.cancel_order(order_id, "BTC")
                continue
            limit = price if kind == LIMIT else 0
            order, trades = engine.add_order("BTC", limit, quantity, buying if buy else selling)
            if trades:
                answers.append((order.order_id, trades))

    def trades(self) -> list[Traded]:
        """Return every trade so far; the taker's own line, one a level, is none of its own."""
        return [
            (taker, each.order_id, each.trade_qty, each.trade_price)
            for taker, trades in self._answers
            for each in trades
            if each.order_id != taker
        ]


class PyOrderBook:
    """pyorderbook; it has no market orders, so they come with a price that takes anything.

    Its log is off altogether.
    """

    def __init__(self) -> None:
        self._module: Any = importlib.import_module("pyorderbook")
        logging.getLogger("pyorderbook.book").disabled = True
        self._book = self._module.Book()
        self._orders: dict[int, Any] = {}
        self._answers: list[Any] = []

    def run(self, commands: Sequence[Command]) -> None:
        """Carry the commands out."""
        bid, ask, book = self._module.bid, self._module.ask, self._book
        orders, answers = self._orders, self._answers
        for kind, order_id, buy, price, quantity in commands:
            if kind == CANCEL:
                book.cancel(orders[order_id])
                continue
            if kind == MARKET:
                price = 10**9 if buy else 1  # noqa: PLW2901 - its market order
            order = orders[order_id] = (bid if buy else ask)("BTC", price, quantity)
            blotter = book.match(order)
            if blotter.trades:
                answers.append(blotter)

    def trades(self) -> list[Traded]:
        """Return every trade so far."""
        ids = {order.id: order_id for order_id, order in self._orders.items()}
        return [
            (
                ids[each.incoming_order_id],
                ids[each.standing_order_id],
                each.fill_quantity,
                int(each.fill_price),
            )
            for blotter in self._answers
            for each in blotter.trades
        ]


class Akhil4nOrderBook:
    """akhil4n-orderbook; it numbers all orders of a process, so the first number counts as 1.

    Its prices are decimals by their types, but it takes whole numbers, which are quicker.
    """

    def __init__(self) -> None:
        self._module: Any = importlib.import_module("orderbook")
        self._book = self._module.OrderBook()
        self._first = self._module._order_counter  # noqa: SLF001 - it has no other way

    def run(self, commands: Sequence[Command]) -> None:
        """Carry the commands out."""
        module, book, first = self._module, self._book, self._first
        buying, selling = module.OrderSide.BID, module.OrderSide.ASK
        limit, market = module.Order, module.MarketOrder
        for kind, order_id, buy, price, quantity in commands:
            side = buying if buy else selling
            if kind == CANCEL:
                book.cancel_order(str(order_id + first))
            elif kind == LIMIT:
                book.add_limit_order(limit(side, price, quantity))
            else:
                book.add_market_order(market(side, quantity))

    def trades(self) -> list[Traded]:
        """Return every trade so far."""
        first = self._first
        return [
            (
                int(each.aggressor_id) - first,
                int(each.filler_id) - first,
                each.quantity_filled,
                int(each.price),
            )
            for each in self._book.trade_log
        ]


class OrderMatching:
    """order-matching; its log is off."""

    def __init__(self) -> None:
        importlib.import_module("loguru").logger.disable("order_matching")
        name = "order_matching"
        self._order: Any = importlib.import_module(f"{name}.order")
        self._side: Any = importlib.import_module(f"{name}.enums").Side
        self._orders: Any = importlib.import_module(f"{name}.orders").Orders
        self._engine = importlib.import_module(f"{name}.matching_engine").MatchingEngine(seed=1)
        self._answers: list[Any] = []

    def run(self, commands: Sequence[Command]) -> None:
        """Carry the commands out."""
        engine, several = self._engine, self._orders
        limit, market = self._order.LimitOrder, self._order.MarketOrder
        noon = NOON.replace(tzinfo=None)
        for kind, order_id, buy, price, quantity in commands:
            if kind == CANCEL:
                engine.cancel_order(str(order_id))
                continue
            about: dict[str, Any] = {
                "side": self._side.BUY if buy else self._side.SELL,
                "size": quantity,
                "timestamp": noon,
                "order_id": str(order_id),
                "trader_id": "ann",
            }
            order = limit(price=price, **about) if kind == LIMIT else market(**about)
            engine.place(several([order]))
            self._answers.append(engine.match(timestamp=noon))

    def trades(self) -> list[Traded]:
        """Return every trade so far."""
        return [
            (int(each.incoming_order_id), int(each.book_order_id), int(each.size), int(each.price))
            for answer in self._answers
            for each in answer.trades
        ]


PEERS: Final[dict[str, type[Engine]]] = {
    "akhil4n-orderbook": Akhil4nOrderBook,
    "pyorderbook": PyOrderBook,
    "lightmatchingengine": LightMatchingEngine,
    "order-matching": OrderMatching,
}

OURS: Final[dict[str, type[Engine]]] = {
    "our book": OurBook,
    "our engine": OurEngine,
    "our engine, in decimals": Ours,
}

DOES: Final = {
    "akhil4n-orderbook": "whole numbers in; matches, finds orders by id, logs each trade",
    "pyorderbook": "numbers in, decimals inside; matches, finds orders by id, returns trades",
    "lightmatchingengine": "whole numbers in; matches, finds orders by id, returns trades",
    "order-matching": "checked models in; matches, finds orders by id, returns trades",
    "our book": "whole numbers in; matches, finds orders by id, records each trade",
    "our engine": "whole numbers in; rules, limits and prevention too; tells all that happens",
    "our engine, in decimals": "decimals in; the same, told in facts: one an order, three a trade",
}


@contextmanager
def installed_in(folder: Path | None) -> Iterator[None]:
    """Let what was installed into ``folder`` be imported, after all that is installed here."""
    if folder is not None:
        sys.path.append(str(folder))
    try:
        yield
    finally:
        if folder is not None:
            sys.path.remove(str(folder))
