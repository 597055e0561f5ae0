"""The rules of the market maker and of the noise trader, against a book of paper."""

from collections.abc import Iterable
from decimal import Decimal
from random import Random

from bots import MarketMaker, Noise, Strategy, cancel
from market.events import Fact, Tick
from market.orders import (
    CancelOrder,
    Command,
    OrderAccepted,
    OrderCancelled,
    OrderRejected,
    PlaceOrder,
)
from market.values import Side
from tests.bots.builders import INSTRUMENTS, START, TCS, a_fill, bought, orders, ticks

AMOUNTS = {TCS: Decimal(5)}


class PaperBook:
    """Accepts every order, and fills a resting one when a tick goes through its price."""

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy
        self.resting: dict[int, PlaceOrder] = {}
        self.sent: list[Command] = []
        self.held = Decimal(0)
        self._next_id = 0

    def run(self, facts: Iterable[Tick]) -> None:
        for tick in facts:
            for order_id, order in list(self.resting.items()):
                assert order.price is not None
                if (tick.price - order.price) * order.side.sign < 0:
                    del self.resting[order_id]
                    self.held += order.side.sign * order.quantity
                    self._tell(a_fill(order.side, order.quantity, order.price, order_id=order_id))
            self._tell(tick)

    def _tell(self, fact: Fact) -> None:
        for command in self.strategy.decide(fact) or ():
            self.sent.append(command)
            self._answer(command)

    def _answer(self, command: Command) -> None:
        if isinstance(command, CancelOrder):
            order = self.resting.pop(command.order_id)
            gone = OrderCancelled(
                order_id=command.order_id,
                account="me",
                symbol=order.symbol,
                time=START,
                quantity=order.quantity,
            )
            self._tell(gone)
        elif isinstance(command, PlaceOrder):
            self._next_id += 1
            self.resting[self._next_id] = command
            self._tell(taken(command, self._next_id))


def taken(order: PlaceOrder, order_id: int) -> OrderAccepted:
    return OrderAccepted(
        order_id=order_id,
        account="me",
        symbol=order.symbol,
        time=START,
        side=order.side,
        type=order.type,
        quantity=order.quantity,
        price=order.price,
    )


def a_market_maker() -> MarketMaker:
    return MarketMaker(amounts=AMOUNTS, instruments=INSTRUMENTS, half_spread=2, depth=4)


def quotes(commands: Iterable[Command]) -> list[tuple[Side, str, str]]:
    return [
        (each.side, str(each.quantity), str(each.price))
        for each in commands
        if isinstance(each, PlaceOrder)
    ]


def test_without_inventory_the_market_maker_only_bids() -> None:
    assert quotes(orders(a_market_maker(), ticks("10.00"))) == [(Side.BUY, "5", "9.98")]


def test_with_inventory_it_quotes_both_sides_post_only() -> None:
    found = orders(a_market_maker(), [bought("3", "10"), *ticks("10.00")])
    assert quotes(found) == [(Side.BUY, "5", "9.98"), (Side.SELL, "3", "10.02")]
    assert all(isinstance(each, PlaceOrder) and each.post_only for each in found)


def test_the_more_it_holds_the_lower_it_quotes() -> None:
    found = orders(a_market_maker(), [bought("10", "10"), *ticks("10.00")])
    assert quotes(found) == [(Side.BUY, "5", "9.97"), (Side.SELL, "5", "10.01")]


def test_with_a_full_inventory_it_only_asks() -> None:
    found = orders(a_market_maker(), [bought("20", "10"), *ticks("10.00")])
    assert quotes(found) == [(Side.SELL, "5", "10.00")]


def test_it_waits_until_its_orders_are_answered() -> None:
    assert len(orders(a_market_maker(), ticks("10.00", "10.05", "10.10"))) == 1


def test_a_refused_quote_is_tried_again_on_the_next_tick() -> None:
    market_maker = a_market_maker()
    refused = OrderRejected(
        order_id=0, account="me", symbol=TCS, time=START, code="post-only", reason="it would trade"
    )
    found = orders(market_maker, [*ticks("10.00"), refused, *ticks("10.01", first=2)])
    assert quotes(found) == [(Side.BUY, "5", "9.98"), (Side.BUY, "5", "9.99")]


def test_a_quote_that_still_stands_right_is_left_in_the_book() -> None:
    book = PaperBook(a_market_maker())
    book.run(ticks("10.00", "10.00", "10.00"))
    assert len(book.sent) == 1


def test_a_quote_that_stands_wrong_is_moved() -> None:
    book = PaperBook(a_market_maker())
    book.run(ticks("10.00", "10.01"))
    assert book.sent[1] == cancel(1)
    assert quotes(book.resting.values()) == [(Side.BUY, "5", "9.99")]


def test_over_a_random_day_it_never_has_more_than_one_quote_a_side_or_sells_short() -> None:
    rng, price, seen = Random(7), Decimal("100.00"), []
    book = PaperBook(a_market_maker())
    for seq in range(1, 2001):
        price += Decimal(rng.randint(-6, 6)) / 100
        book.run(ticks(str(price), first=seq))
        sides = [order.side for order in book.resting.values()]
        assert len(sides) == len(set(sides))
        assert 0 <= book.held <= 20
        seen.append(book.held)
    assert len(set(seen)) > 2


def a_noise(seed: int = 1) -> Noise:
    return Noise(
        amounts=AMOUNTS, instruments=INSTRUMENTS, rng=Random(seed), chance=0.5, most=3, reach=5
    )


def noisy_book(seed: int) -> PaperBook:
    book = PaperBook(a_noise(seed))
    rng, price = Random(7), Decimal("100.00")
    for seq in range(1, 1001):
        price += Decimal(rng.randint(-6, 6)) / 100
        book.run(ticks(str(price), first=seq))
        assert len(book.resting) <= 3
        assert book.held >= 0
    return book


def test_the_noise_trader_never_sells_what_it_has_not_and_keeps_few_orders() -> None:
    sides = {order[0] for order in quotes(noisy_book(1).sent)}
    assert sides == {Side.BUY, Side.SELL}


def test_the_noise_of_one_seed_is_the_same_noise() -> None:
    assert noisy_book(1).sent == noisy_book(1).sent
    assert noisy_book(1).sent != noisy_book(2).sent


def test_what_noise_orders_stands_on_the_grid() -> None:
    instrument = INSTRUMENTS[TCS]
    for order in noisy_book(3).sent:
        if isinstance(order, PlaceOrder):
            assert order.price is not None
            assert instrument.price(order.price) == order.price
            assert instrument.quantity(order.quantity) == order.quantity
