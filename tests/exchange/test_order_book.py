from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.grid import Grid
from exchange.order_book import ANY_PRICE, NONE, BookSide, OrderBook
from exchange.price_level import TRADED, Match, Order, PriceLevel
from exchange.stops import StopOrders
from market.errors import OffGridError
from tests.exchange.desk import an_order

BUY, SELL = an_order("buy", 1, 1), an_order("sell", 1, 1)


def a_sale(order_id: int, lots: int, price: int, show: int = 0) -> Order:
    order = Order(order_id, SELL, -price, lots)
    order.display = show
    order.slice()
    return order


def asks(*orders: Order) -> BookSide:
    side = BookSide()
    for order in orders:
        side.add(order)
    return side


def told(matches: list[Match]) -> list[tuple[int, int]]:
    assert all(outcome == TRADED for _, _, outcome in matches)
    return [(order.id, lots) for order, lots, _ in matches]


def test_the_best_price_is_taken_first_then_the_oldest_order() -> None:
    side = asks(a_sale(1, 5, 101), a_sale(2, 5, 100), a_sale(3, 5, 100))
    matches: list[Match] = []
    assert side.take(-101, 12, matches) == 0
    assert told(matches) == [(2, 5), (3, 5), (1, 2)]
    assert side.depth(9) == [(101, 3)]


def test_taking_stops_at_its_limit() -> None:
    side = asks(a_sale(1, 5, 101), a_sale(2, 5, 100))
    matches: list[Match] = []
    assert side.take(-100, 12, matches) == 7
    assert side.depth(9) == [(101, 5)]


def test_an_order_leaves_from_anywhere_in_its_queue() -> None:
    orders = [a_sale(count, 1, 100) for count in range(4)]
    side = asks(*orders)
    for gone in (orders[1], orders[3], orders[0]):
        side.remove(gone)
    assert [*side] == [orders[2]]
    side.remove(orders[2])
    assert side.best is None
    assert side.depth(9) == []


def test_depth_shows_what_icebergs_show() -> None:
    side = asks(a_sale(1, 9, 100, show=2), a_sale(2, 1, 100), a_sale(3, 1, 102))
    assert side.depth(1) == [(100, 3)]
    assert side.depth(9) == [(100, 3), (102, 1)]


def test_a_book_knows_what_crosses() -> None:
    book = OrderBook()
    book.asks.add(a_sale(1, 1, 100))
    assert book.crosses(Order(2, BUY, 100, 1))
    assert not book.crosses(Order(2, BUY, 99, 1))
    assert not book.crosses(a_sale(3, 1, 1))
    assert book.opposite_of(Order(2, BUY, 99, 1)) is book.asks
    assert book.side_of(Order(2, BUY, 99, 1)) is book.bids


def test_a_smaller_iceberg_gives_up_what_it_hides_first() -> None:
    order = a_sale(1, 9, 100, show=4)
    side = asks(order)
    side.resize(order, 5)
    assert (order.shown, order.hidden) == (4, 1)
    side.resize(order, 3)
    assert (order.shown, order.hidden) == (3, 0)
    assert side.depth(1) == [(100, 3)]


def test_every_change_counts() -> None:
    side = asks(order := a_sale(1, 9, 100))
    seen = [side.changes]
    side.take(ANY_PRICE, 1, [])
    seen.append(side.changes)
    side.resize(order, 2)
    seen.append(side.changes)
    side.hit(order, 1)
    seen.append(side.changes)
    side.remove(order)
    seen.append(side.changes)
    assert seen == sorted(set(seen))


def the_queue(level: PriceLevel) -> Iterator[tuple[int, int]]:
    return ((order.id, order.shown) for order in level)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(0, 3)), max_size=10),
    st.integers(1, 60),
    st.integers(1, 5),
)
def test_what_a_sweep_foretells_is_what_taking_does(
    orders: list[tuple[int, int, int]], lots: int, limit: int
) -> None:
    side = asks(
        *(a_sale(count, left, price, show) for count, (left, price, show) in enumerate(orders))
    )
    before = {key: [*the_queue(level)] for key, level in side.levels.items()}
    foretold = [*side.swept(-limit, lots, "", NONE)]
    assert {key: [*the_queue(level)] for key, level in side.levels.items()} == before
    matches: list[Match] = []
    left = side.take(-limit, lots, matches)
    assert foretold == [(order.price, part) for order, part, _ in matches]
    assert left == lots - sum(part for _, part in foretold)
    assert side.keys == sorted(side.levels)
    assert all(level.lots == sum(o.shown for o in level) for level in side.levels.values())


def test_stops_are_elected_in_order_of_entry_whatever_their_price() -> None:
    stops = StopOrders()
    orders = [Order(count, BUY if count % 2 else SELL, 0, 1) for count in range(6)]
    for order, price in zip(orders, (98, 103, 99, 101, 90, 110), strict=True):
        stops.add(order, price)
    stops.remove(orders[2])
    assert orders[2] not in stops
    assert stops.elected(100, 100) == []
    assert [order.id for order in stops.elected(97, 103)] == [0, 1, 3]
    assert [waiting.order.id for waiting in stops] == [4, 5]


@pytest.mark.parametrize(("step", "value", "steps", "written"), [
    ("0.01", "33.95", 3395, "33.95"),
    ("0.01", "34", 3400, "34.00"),
    ("0.00001", "1", 100_000, "1.00000"),
    ("0.05", "0.15", 3, "0.15"),
    ("10", "70400", 7040, "70400"),
    ("1E+1", "70400", 7040, "70400"),
    ("0.000000000001", "999999999999.999999999999", 10**24 - 1, "999999999999.999999999999"),
])  # fmt: skip
def test_decimals_become_whole_steps_and_back(
    step: str, value: str, steps: int, written: str
) -> None:
    grid = Grid("price", Decimal(step))
    assert grid.whole(Decimal(value)) == steps
    assert str(grid.value(steps)) == written


@pytest.mark.parametrize("value", ["0", "-1", "0.005", "NaN", "sNaN", "-Infinity", "1E+12"])
def test_what_is_off_the_grid_is_refused_however_often_it_is_asked(value: str) -> None:
    grid = Grid("price", Decimal("0.01"))
    for _ in range(2):
        with pytest.raises(OffGridError):
            grid.whole(Decimal(value))


def test_a_grid_remembers_only_so_much() -> None:
    grid = Grid("price", Decimal(1))
    for steps in range(1, 70_000):
        assert grid.whole(grid.value(steps)) == steps
    assert len(grid.values) <= 1 << 16
    assert len(grid._wholes) <= 1 << 16


def test_a_price_off_the_grid_counts_as_the_nearest_and_stays_off_it() -> None:
    grid = Grid("price", Decimal("0.05"))
    off, on = Decimal("1.02"), Decimal("1.05")
    for _ in range(2):
        assert (grid.nearest(off), grid.nearest(on), grid.whole(on)) == (20, 21, 21)
        with pytest.raises(OffGridError):
            grid.whole(off)
    assert grid.nearest(Decimal("0.001")) == 1


@pytest.mark.parametrize("value", ["0", "-1", "NaN", "sNaN", "Infinity", "1E+12"])
def test_what_is_no_price_is_nearest_to_none(value: str) -> None:
    grid = Grid("price", Decimal("0.01"))
    for _ in range(2):
        with pytest.raises(OffGridError):
            grid.nearest(Decimal(value))
