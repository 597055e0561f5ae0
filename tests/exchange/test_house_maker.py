from decimal import Decimal
from random import Random

import pytest

from exchange.rules import House, Rules
from market.errors import InvalidValueError, OffGridError
from market.events import Trade
from market.orders import OrderFilled, TradingState
from tests.exchange.desk import BTC, Desk, an_engine, at


def a_desk(levels: int = 3, spread_ticks: int = 2, quantity: str = "10", **rules: object) -> Desk:
    house = House(levels=levels, spread_ticks=spread_ticks, quantity=Decimal(quantity))
    return Desk(Rules(house=house, **rules))  # type: ignore[arg-type]


def test_the_house_quotes_levels_on_each_side_of_the_price() -> None:
    desk = a_desk()
    desk.tick(100)
    assert desk.depth() == ([(99, 10), (98, 10), (97, 10)], [(101, 10), (102, 10), (103, 10)])


@pytest.mark.parametrize(("spread", "bid", "ask"), [(1, 100, 101), (3, 99, 102), (4, 98, 102)])
def test_the_spread_is_between_the_best_bid_and_the_best_ask(
    spread: int, bid: int, ask: int
) -> None:
    desk = a_desk(levels=1, spread_ticks=spread)
    desk.tick(100)
    assert desk.depth() == ([(bid, 10)], [(ask, 10)])


def test_the_quotes_follow_the_price() -> None:
    desk = a_desk()
    desk.tick(100)
    desk.tick(101)
    assert desk.depth() == ([(100, 10), (99, 10), (98, 10)], [(102, 10), (103, 10), (104, 10)])
    desk.tick(50)
    assert desk.depth() == ([(49, 10), (48, 10), (47, 10)], [(51, 10), (52, 10), (53, 10)])


def test_what_did_not_change_is_not_quoted_again() -> None:
    desk = a_desk()
    desk.tick(100)
    before = {(quote.id, quote.key) for quote in desk.engine._pits[BTC]._house.quotes}
    changes = desk.engine.changes(BTC)
    assert desk.tick(100) == []
    assert desk.engine.changes(BTC) == changes
    desk.tick(101)
    after = {(quote.id, quote.key) for quote in desk.engine._pits[BTC]._house.quotes}
    assert {key for _, key in before & after} == {99, 98, -102, -103}


def test_a_quote_that_was_taken_from_is_whole_again_at_the_next_tick() -> None:
    desk = a_desk()
    desk.tick(100)
    desk.buy("t", 14)
    assert desk.depth()[1] == [(102, 6), (103, 10)]
    desk.tick(100)
    assert desk.depth()[1] == [(101, 10), (102, 10), (103, 10)]


def test_a_market_order_sweeps_the_levels_of_the_house() -> None:
    desk = a_desk()
    desk.tick(100)
    assert desk.buy("t", 25) == [
        ("accept", "t"),
        ("trade", "t", -4, 10, 101),
        ("trade", "t", -5, 10, 102),
        ("trade", "t", -6, 5, 103),
    ]
    accounts = {fact.account for fact in desk.facts if isinstance(fact, OrderFilled)}
    assert accounts == {"ann", "house"}


@pytest.mark.parametrize("spread", [1, 2, 5])
@pytest.mark.parametrize("jump", [105, 107, 500])
def test_a_resting_order_is_filled_whole_at_its_price_when_the_market_comes_to_it(
    spread: int, jump: int
) -> None:
    desk = a_desk(spread_ticks=spread)
    desk.tick(100)
    desk.sell("s1", 70, 105)
    desk.sell("s2", 5, 104)
    desk.sell("far", 5, 1000)
    told = [tell[2:] for tell in desk.tick(jump)]
    assert told == [("s2", 5, 104), ("s1", 70, 105)]
    assert isinstance(desk.facts[-3], Trade)
    assert desk.facts[-3].side == "buy"
    bids, asks = desk.depth()
    assert bids[0][0] < asks[0][0]
    assert desk.left("far") == 5


@pytest.mark.parametrize("spread", [1, 2, 5])
def test_a_resting_purchase_is_filled_when_the_market_falls_to_it(spread: int) -> None:
    desk = a_desk(spread_ticks=spread)
    desk.tick(100)
    desk.buy("b", 30, 90, show=10)
    assert sum(tell[3] for tell in desk.tick(90)) == 30
    assert desk.left("b") == 0


def test_a_resting_order_that_the_market_does_not_reach_stays() -> None:
    desk = a_desk()
    desk.tick(100)
    desk.buy("b", 30, 90)
    assert desk.tick(91) == []
    assert desk.left("b") == 30


def test_the_house_never_quotes_at_zero_or_below() -> None:
    desk = a_desk(levels=5, spread_ticks=2)
    desk.tick(3)
    assert desk.depth() == ([(2, 10), (1, 10)], [(price, 10) for price in range(4, 9)])
    desk.tick(1)
    assert desk.depth()[0] == []


def test_a_tick_sets_off_stops_where_the_house_quotes() -> None:
    desk = a_desk()
    desk.tick(100)
    desk.sell("s", 4, stop=95)
    assert desk.tick(96) == []
    assert desk.tick(95) == [("trigger", "s"), ("trade", "s", -8, 4, 94)]


def test_without_a_house_a_tick_neither_quotes_nor_trades_nor_sets_off_stops() -> None:
    desk = a_desk(levels=0)
    desk.sell("s", 4, 105)
    desk.buy("stop", 1, stop=101)
    assert desk.tick(110) == []
    assert desk.depth() == ([], [(105, 4)])


def test_a_price_off_the_grid_counts_as_the_nearest_on_it() -> None:
    desk = a_desk(levels=1)
    desk.tick("100.4")
    assert desk.depth() == ([(99, 10)], [(101, 10)])
    desk.tick("0.0001")
    assert desk.depth() == ([], [(2, 10)])


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "sNaN", "Infinity", "1E+12"])
def test_a_price_that_is_none_is_refused(price: str) -> None:
    desk = a_desk()
    desk.sell("g", 1, 100, force="GTD", expire_time=at(5))
    with pytest.raises(OffGridError):
        desk.engine.reference(BTC, Decimal(price), at(6))
    assert desk.told(desk.engine.advance(at(6))) == [("expire", "g", 1)]  # nothing got lost


def test_a_house_that_quotes_less_than_a_lot_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="less than a lot"):
        an_engine(Rules(house=House(levels=1, quantity=Decimal("0.5"))))


@pytest.mark.parametrize("house", [{"levels": -1}, {"spread_ticks": 0}, {"quantity": Decimal(0)}])
def test_a_house_out_of_range_is_refused(house: dict[str, object]) -> None:
    with pytest.raises(InvalidValueError):
        House(**house)  # type: ignore[arg-type]


def test_the_house_withdraws_in_a_halt_and_comes_back_for_the_auction() -> None:
    desk = a_desk(levels=1, halt_move_pct=Decimal(10), halt_s=5, auction_s=5)
    desk.tick(100)
    desk.tick(120, 1)
    assert desk.engine.trading_state(BTC) is TradingState.HALTED
    assert desk.depth() == ([], [])
    desk.tick(121, 1)
    assert desk.depth() == ([], [])
    desk.engine.advance(at(6))
    assert desk.engine.trading_state(BTC) is TradingState.AUCTION
    assert desk.depth() == ([(120, 10)], [(122, 10)])
    desk.time = at(7)
    desk.buy("b", 3, 125)
    desk.time = at(11)
    assert desk.told(desk.engine.advance(at(11))) == [("trade", "b", -4, 3, 122)]


@pytest.mark.parametrize("spread", [1, 2, 5])
@pytest.mark.parametrize("seed", range(6))
def test_however_the_price_moves_and_whoever_trades_the_house_ends_up_whole(
    spread: int, seed: int
) -> None:
    draw = Random(seed)
    desk = a_desk(levels=4, spread_ticks=spread)
    price = 100
    for step in range(60):
        price = max(6, price + draw.choice([0, 1, -1, 2, -3, 7, -8, 30, -30]))
        desk.tick(price)
        wanted = [price - spread // 2 - level for level in range(4)]
        wanted += [-(wanted[0] + spread + level) for level in range(4)]
        quotes = {order.key: order.id for order in desk.engine._pits[BTC]._house.quotes}
        assert list(quotes) == wanted
        assert len(set(quotes.values())) == len(quotes)
        for side in desk.engine._pits[BTC].book:
            assert side.keys == sorted(side.levels)
            for key, level in side.levels.items():
                standing = list(level)
                assert level.lots == sum(order.shown for order in standing)
                assert all(order.level is level and order.key == key for order in standing)
        trade = draw.choice([desk.buy, desk.sell])
        trade(f"t{step}", draw.randint(1, 45))
        desk.buy(f"b{step}", draw.randint(1, 9), price - draw.randint(1, 9))
        desk.sell(f"s{step}", draw.randint(1, 9), price + draw.randint(1, 9))


@pytest.mark.parametrize("spread", [1, 2, 3])
@pytest.mark.parametrize("price", [100, 99, 98, 97, 101, 103])
def test_every_level_is_there_after_every_price(spread: int, price: int) -> None:
    desk, fresh = a_desk(spread_ticks=spread), a_desk(spread_ticks=spread)
    desk.tick(100)
    desk.tick(price)
    fresh.tick(price)
    assert desk.depth() == fresh.depth()


@pytest.mark.parametrize("seed", range(6))
def test_alone_in_the_book_or_not_the_house_quotes_the_same_orders(seed: int) -> None:
    draw = Random(seed)
    alone, beside = a_desk(levels=4), a_desk(levels=4)
    beside.buy("low", 1, 1)
    beside.sell("high", 1, 100_000)
    price = 1000
    for step in range(80):
        price += draw.choice([0, 1, -1, 2, -3, 4, -4, 7, -30, 30])
        trade, lots = draw.choice(["buy", "sell", ""]), draw.randint(1, 39)
        found = []
        for desk in (alone, beside):
            before = desk.engine.changes(BTC)
            desk.tick(price)
            quotes = [(order.id, order.key) for order in desk.engine._pits[BTC]._house.quotes]
            found.append((quotes, desk.engine.changes(BTC) - before))
            if trade:
                getattr(desk, trade)(f"t{step}", lots)
        assert found[0] == found[1]
