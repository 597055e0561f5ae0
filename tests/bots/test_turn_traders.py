"""The rules of the investor and the hamster, and of the turns that both trade on."""

from collections.abc import Callable
from decimal import Decimal
from random import Random

import pytest

from bots import Blotter, Hamster, Investor, buy, sell
from bots.turn_trader import TurnTrader
from market.events import Gap, Snapshot
from market.orders import OrderExpired, OrderRejected
from tests.bots.builders import BTC, START, TCS, bought, orders, sold, ticks, traded, walk

AMOUNTS = {BTC: Decimal(1), TCS: Decimal(5)}
GAP = Gap(since="00000000-1", until="00000000-9", missed=8, reason="slow")
BUY_TCS = buy("TCS", 5)


def an_investor() -> Investor:
    return Investor(amounts=AMOUNTS)


def a_hamster() -> Hamster:
    return Hamster(amounts=AMOUNTS)


def a_refusal(of: str = "TCS") -> OrderRejected:
    return OrderRejected(
        order_id=0, account="me", symbol=TCS, time=START, code="insufficient-funds", reason=of
    )


def test_the_investor_buys_its_amount_on_a_dip() -> None:
    assert orders(an_investor(), ticks(10, 9, 11)) == [BUY_TCS]
    assert orders(an_investor(), ticks(10, 9, 11, of="BTC")) == [buy("BTC", 1)]


def test_the_hamster_buys_its_amount_on_a_peak() -> None:
    assert orders(a_hamster(), ticks(10, 11, 9)) == [BUY_TCS]


@pytest.mark.parametrize("prices", [(10, 9, 8), (10, 11, 12), (10, 9, 9), (9, 9, 10), (10, 9)])
def test_nothing_is_ordered_where_the_price_does_not_turn(prices: tuple[int, ...]) -> None:
    assert orders(an_investor(), ticks(*prices)) == []
    assert orders(a_hamster(), ticks(*prices)) == []


def test_equal_prices_are_three_ticks_like_any_other() -> None:
    assert orders(an_investor(), ticks(10, 9, 9, 10)) == []


def test_a_symbol_that_a_bot_is_not_interested_in_is_left_alone() -> None:
    assert orders(an_investor(), ticks(10, 9, 11, of="META")) == []


def test_the_turns_of_two_symbols_are_not_mixed() -> None:
    mixed = [*ticks(10, 9), *ticks(10, 9, of="BTC"), *ticks(11, first=3)]
    assert orders(an_investor(), mixed) == [BUY_TCS]


def test_the_investor_sells_everything_on_a_peak_above_the_most_it_paid() -> None:
    investor = an_investor()
    orders(investor, [bought("5", "10"), bought("5", "12")])
    assert orders(investor, ticks(12, "12.5", "12.01")) == [sell("TCS", 10)]


@pytest.mark.parametrize("price", ["12", "11.99"])
def test_the_investor_keeps_on_a_peak_that_is_not_above_it(price: str) -> None:
    investor = an_investor()
    orders(investor, [bought("5", "10"), bought("5", "12")])
    assert orders(investor, ticks(11, 13, price)) == []


def test_the_hamster_sells_everything_on_a_dip_below_the_most_it_paid() -> None:
    hamster = a_hamster()
    orders(hamster, [bought("5", "10"), bought("5", "12")])
    assert orders(hamster, ticks(12, 11, "11.99")) == [sell("TCS", 10)]


@pytest.mark.parametrize("price", ["12", "12.01"])
def test_the_hamster_keeps_on_a_dip_that_is_not_below_it(price: str) -> None:
    hamster = a_hamster()
    orders(hamster, [bought("5", "12")])
    assert orders(hamster, ticks(12, 11, price)) == []


@pytest.mark.parametrize("make", [an_investor, a_hamster])
def test_nothing_is_sold_where_nothing_is_held(make: Callable[[], TurnTrader]) -> None:
    found = orders(make(), ticks(10, 9, 11, 9))
    assert found == [BUY_TCS]


def test_the_most_that_was_paid_is_forgotten_when_everything_is_sold() -> None:
    investor = an_investor()
    orders(investor, [bought("5", "20"), sold("5", "21"), bought("5", "10")])
    assert orders(investor, ticks(10, 12, 11)) == [sell("TCS", 5)]


def test_the_most_that_was_paid_is_kept_when_a_part_is_sold() -> None:
    investor = an_investor()
    orders(investor, [bought("5", "20"), bought("5", "10"), sold("5", "21")])
    assert orders(investor, ticks(10, 12, 11)) == []


def test_there_is_no_second_order_while_one_is_in_flight() -> None:
    investor = an_investor()
    assert orders(investor, ticks(10, 9, 11, 9, 11)) == [BUY_TCS]
    orders(investor, [bought("2", "11")])
    assert orders(investor, ticks(9, 11, first=6)) == []
    orders(investor, [bought("3", "11")])
    assert orders(investor, ticks(9, 11, first=8)) == [BUY_TCS]


def test_an_order_in_flight_holds_up_its_own_symbol_only() -> None:
    both = [*ticks(10, 9, 11), *ticks(10, 9, 11, of="BTC")]
    assert orders(an_investor(), both) == [BUY_TCS, buy("BTC", 1)]


def test_a_refused_order_is_forgotten_and_the_next_signal_tries_again() -> None:
    investor = an_investor()
    facts = [*ticks(10, 9, 11), a_refusal(), *ticks(9, 8, first=4), a_refusal(), *ticks(9, first=6)]
    assert orders(investor, facts) == [BUY_TCS, BUY_TCS]


def test_what_expires_of_an_order_is_not_in_flight_any_more() -> None:
    expired = OrderExpired(
        order_id=1, account="me", symbol=TCS, time=START, quantity=Decimal(3), reason="no depth"
    )
    facts = [*ticks(10, 9, 11), bought("2", "11"), expired, *ticks(9, 11, first=4)]
    assert orders(an_investor(), facts) == [BUY_TCS, BUY_TCS]


def test_the_memory_of_ticks_ends_at_a_gap() -> None:
    assert orders(an_investor(), [*ticks(10, 9), GAP, *ticks(11, first=3)]) == []


def test_a_snapshot_is_the_first_tick_after_a_gap() -> None:
    (shown,) = ticks(9, first=7)
    snapshot = Snapshot(id="00000000-9", ticks=(shown,))
    facts = [*ticks(20, 10), GAP, snapshot, *ticks(8, 9, first=8)]
    assert orders(an_investor(), facts) == [BUY_TCS]
    assert orders(an_investor(), facts[:-1]) == []


def test_ticks_with_a_hole_between_them_make_no_turn() -> None:
    assert orders(an_investor(), [*ticks(10, 9), *ticks(11, first=4)]) == []


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(5))
def test_on_the_original_walk_the_investor_wins_and_the_hamster_loses(seed: int) -> None:
    prices = walk(Random(seed), "33.95", "0.01", most=10, length=6000)
    realized = {}
    for trader in (an_investor(), a_hamster()):
        blotter = Blotter(Decimal(10) ** 6)
        for fill in traded(trader, ticks(*map(str, prices))):
            blotter.apply(fill)
        realized[type(trader)] = blotter.realized_pnl
    assert realized[Investor] > 0
    assert realized[Hamster] < 0
