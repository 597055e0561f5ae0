import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.auction import Offer, Uncrossing, uncrossing
from market.orders import OrderFilled, SelfTradePrevention, TradingState, TradingStateChanged
from tests.exchange.desk import BTC, Desk, at, in_short

OFFERS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 9)), max_size=12)


def volume(price: int, bids: list[Offer], asks: list[Offer]) -> tuple[int, int]:
    wanted = sum(lots for at, lots in bids if at >= price)
    offered = sum(lots for at, lots in asks if at <= price)
    return min(wanted, offered), abs(wanted - offered)


def test_an_auction_without_a_cross_has_no_price() -> None:
    assert uncrossing([(99, 5)], [(100, 5)], 100) is None
    assert uncrossing([], [(100, 5)], 100) is None
    assert uncrossing([(100, 5)], [], 100) is None


def test_the_price_with_the_most_volume_wins() -> None:
    bids = [(105, 3), (104, 4), (101, 10)]
    asks = [(100, 5), (103, 6), (104, 1)]
    assert uncrossing(bids, asks, 100) == Uncrossing(103, 7, 4)


def test_of_the_same_volume_the_least_imbalance_wins() -> None:
    assert uncrossing([(105, 5), (102, 5)], [(100, 5)], 101) == Uncrossing(103, 5, 0)


def test_of_the_same_imbalance_the_nearest_to_the_reference_wins() -> None:
    assert uncrossing([(110, 5)], [(100, 5)], 107) == Uncrossing(107, 5, 0)
    assert uncrossing([(110, 5)], [(100, 5)], 120) == Uncrossing(110, 5, 0)
    assert uncrossing([(110, 5)], [(100, 5)], 90) == Uncrossing(100, 5, 0)


def test_without_a_reference_the_middle_of_the_range_is_the_nearest() -> None:
    assert uncrossing([(111, 5)], [(100, 5)], None) == Uncrossing(105, 5, 0)


@settings(max_examples=300, deadline=None)
@given(OFFERS, OFFERS, st.integers(1, 30))
def test_no_price_at_all_is_better_than_the_one_found(
    bids: list[Offer], asks: list[Offer], reference: int
) -> None:
    found = uncrossing(bids, asks, reference)
    ranked = [
        (-lots, imbalance, abs(price - reference), price)
        for price in range(1, 31)
        for lots, imbalance in [volume(price, bids, asks)]
        if lots
    ]
    if not ranked:
        assert found is None
    else:
        assert found is not None
        best = min(ranked)
        assert (-found.lots, found.imbalance, found.price) == (best[0], best[1], best[3])


def test_an_auction_collects_orders_and_trades_at_one_price_by_price_then_time() -> None:
    desk = Desk()
    desk.tick(102)
    desk.told(desk.engine.halt(BTC, TradingState.AUCTION, desk.time))
    desk.sell("s1", 5, 100)
    desk.sell("s2", 5, 101)
    desk.buy("b1", 4, 103)
    desk.buy("b2", 4, 104)
    assert desk.depth()[0] == [(104, 4), (103, 4)]
    told = desk.told(desk.engine.resume(BTC, desk.time))
    assert told == [
        ("trade", "b2", "s1", 4, 102),
        ("trade", "b1", "s1", 1, 102),
        ("trade", "b1", "s2", 3, 102),
    ]
    assert desk.depth() == ([], [(101, 2)])
    assert isinstance(desk.facts[-1], TradingStateChanged)
    assert desk.engine.trading_state(BTC) is TradingState.TRADING


def test_both_sides_of_an_auction_pay_as_makers_and_the_younger_gives_the_side() -> None:
    desk = Desk()
    desk.engine.halt(BTC, TradingState.AUCTION, desk.time)
    desk.buy("b", 4, 103)
    desk.sell("s", 4, 101)
    desk.told(desk.engine.resume(BTC, desk.time))
    fills = [fact for fact in desk.facts if isinstance(fact, OrderFilled)]
    assert [fill.liquidity for fill in fills] == ["maker", "maker"]
    assert [fill.side for fill in fills] == ["buy", "sell"]


@pytest.mark.parametrize("mode", SelfTradePrevention)
def test_self_trade_prevention_is_for_continuous_trading_only(mode: SelfTradePrevention) -> None:
    desk = Desk()
    desk.engine.halt(BTC, TradingState.AUCTION, desk.time)
    desk.buy("b", 4, 103, account="ann", self_trade_prevention=mode)
    desk.sell("s", 4, 101, account="ann", self_trade_prevention=mode)
    assert desk.told(desk.engine.resume(BTC, desk.time)) == [("trade", "s", "b", 4, 102)]


def test_an_auction_takes_no_order_that_cannot_wait() -> None:
    desk = Desk()
    desk.engine.halt(BTC, TradingState.AUCTION, desk.time)
    assert desk.buy("m", 1) == [("reject", "m")]
    assert desk.buy("i", 1, 100, force="IOC") == [("reject", "i")]
    assert desk.buy("f", 1, 100, force="FOK") == [("reject", "f")]
    assert desk.buy("p", 1, 100, post_only=True) == [("reject", "p")]
    assert desk.buy("g", 1, 100, force="GTD", expire_time=at(5)) == [("accept", "g")]


def test_an_order_in_an_auction_can_be_amended_across_and_cancelled() -> None:
    desk = Desk()
    desk.engine.halt(BTC, TradingState.AUCTION, desk.time)
    desk.buy("b", 4, 100)
    desk.sell("s", 4, 101)
    assert desk.amend("b", price=102) == [("amend", "b", 4)]
    assert desk.depth() == ([(102, 4)], [(101, 4)])
    assert desk.cancel("s") == [("cancel", "s", 4)]
    assert desk.told(desk.engine.resume(BTC, desk.time)) == []


def test_stops_that_the_auction_price_reaches_go_off_after_it() -> None:
    desk = Desk()
    desk.engine.halt(BTC, TradingState.AUCTION, desk.time)
    desk.buy("stop", 1, stop=100)
    desk.buy("b", 4, 102)
    desk.sell("s", 6, 102)
    assert desk.told(desk.engine.resume(BTC, desk.time)) == [
        ("trade", "s", "b", 4, 102),
        ("trigger", "stop"),
        ("trade", "stop", "s", 1, 102),
    ]


def test_an_iceberg_brings_all_it_has_to_an_auction_slice_by_slice() -> None:
    desk = Desk()
    desk.engine.halt(BTC, TradingState.AUCTION, desk.time)
    desk.sell("i", 5, 100, show=2)
    desk.sell("s", 3, 100)
    desk.buy("b", 6, 100)
    told = in_short(desk.engine.resume(BTC, desk.time), desk.names)
    assert told == [
        ("trade", "b", "i", 2, 100),
        ("trade", "b", "s", 3, 100),
        ("trade", "b", "i", 1, 100),
    ]
