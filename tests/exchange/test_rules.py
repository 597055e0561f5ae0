from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from msgspec import structs

from exchange.circuit_breaker import CircuitBreaker
from exchange.rules import Rules
from market.errors import InvalidValueError
from market.orders import (
    AmendRejected,
    OrderFilled,
    OrderRejected,
    OrderType,
    TradingState,
    TradingStateChanged,
)
from tests.exchange.desk import BTC, START, Desk, an_order, at

BEYOND = datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-2)))
"""A moment that has no date in UTC."""


def refused(desk: Desk, side: str, quantity: object, price: object = None, **more: object) -> str:
    told = desk.place("refused", an_order(side, quantity, price, **more))
    assert told == [("reject", "refused")]
    fact = desk.facts[-1]
    assert isinstance(fact, OrderRejected)
    return f"{fact.code}: {fact.reason}"


def a_desk(**rules: object) -> Desk:
    return Desk(Rules(**rules))  # type: ignore[arg-type]


@pytest.mark.parametrize("price", ["100.5", "0", "-1", "NaN", "sNaN", "Infinity", "1E+12", "1E-13"])
def test_a_price_off_the_grid_is_refused(price: str) -> None:
    assert refused(a_desk(), "buy", 1, price).startswith("tick-size: price")
    desk = a_desk()
    desk.buy("b", 1, 100)
    assert desk.amend("b", price=price) == [("reject", "b")]
    assert isinstance(desk.facts[-1], AmendRejected)
    assert desk.facts[-1].code == "tick-size"


@pytest.mark.parametrize("quantity", ["1.5", "0", "-1", "NaN", "Infinity", "1E+12"])
def test_a_quantity_off_the_grid_is_refused(quantity: str) -> None:
    assert refused(a_desk(), "buy", quantity, 100).startswith("lot-size: quantity")


def test_the_value_of_an_order_has_a_minimum() -> None:
    desk = a_desk(min_notional=Decimal("99.5"))
    assert refused(desk, "buy", 3, 33) == "min-notional: value 99 is below 99.5"
    assert desk.buy("b", 4, 25) == [("accept", "b")]
    assert refused(desk, "sell", 3) == "min-notional: value 75 is below 99.5"
    assert desk.amend("b", 3) == [("reject", "b")]


def test_the_quantity_of_an_order_has_a_maximum() -> None:
    desk = a_desk(max_quantity=Decimal("10.5"))
    assert refused(desk, "buy", 11) == "max-quantity: quantity 11 is above 10.5"
    assert desk.buy("b", 10, 100) == [("accept", "b")]
    assert desk.amend("b", 11) == [("reject", "b")]


def test_a_limit_price_stays_within_the_band_around_the_reference() -> None:
    desk = a_desk(price_band_pct=Decimal(10))
    assert desk.buy("free", 1, 1000) == [("accept", "free")]
    desk.cancel("free")
    desk.tick(101)
    reason = "price-band: price 112 is not in [91, 111], 10 % around the reference"
    assert refused(desk, "sell", 1, 112) == reason
    assert refused(desk, "buy", 1, 90).startswith("price-band")
    assert desk.buy("b", 1, 91) == [("accept", "b")]
    assert desk.sell("s", 1, 111) == [("accept", "s")]
    assert desk.amend("b", price=90) == [("reject", "b")]


def test_an_order_that_the_band_has_left_may_become_smaller_but_not_larger() -> None:
    desk = a_desk(price_band_pct=Decimal(10))
    desk.tick(100)
    desk.buy("b", 5, 91)
    desk.tick(120)
    assert desk.amend("b", 4) == [("amend", "b", 4)]
    assert desk.amend("b", 5) == [("reject", "b")]
    assert desk.amend("b", 3, 92) == [("reject", "b")]


def test_the_value_of_a_stop_has_its_minimum_at_its_stop_price() -> None:
    desk = a_desk(min_notional=Decimal(100))
    desk.buy("s", 2, stop=100)
    assert refused(desk, "buy", 1, stop=99) == "min-notional: value 99 is below 100"
    assert desk.amend("s", 1) == [("amend", "s", 1)]
    desk.buy("t", 2, stop=99)
    assert desk.amend("t", 1) == [("reject", "t")]


def test_an_iceberg_comes_in_a_thousand_slices_at_most() -> None:
    desk = a_desk()
    assert refused(desk, "sell", 3001, 100, show=3).startswith(
        "invalid-order: display_quantity 3 makes more than 1000 slices"
    )
    assert desk.sell("i", 3000, 100, show=3) == [("accept", "i")]
    assert desk.amend("i", 3001) == [("reject", "i")]
    assert desk.amend("i", 2999) == [("amend", "i", 2999)]


def test_an_older_iceberg_of_more_slices_may_be_repriced_and_made_smaller_only() -> None:
    before, desk = a_desk(), a_desk()
    before.sell("i", 3000, 100, show=3)
    state = before.engine.state()
    (pit,) = state.pits
    (order,) = pit.orders
    older = structs.replace(order, shown=1, hidden=2999, display=1)
    desk.engine.restore(structs.replace(state, pits=(structs.replace(pit, orders=(older,)),)))
    desk.ids, desk.names = before.ids, before.names
    assert desk.amend("i", 2999) == [("amend", "i", 2999)]
    assert desk.amend("i", price=101) == [("amend", "i", 2999)]
    assert desk.amend("i", 3000) == [("reject", "i")]


def test_without_a_reference_the_band_is_around_the_last_trade() -> None:
    desk = a_desk(price_band_pct=Decimal(10))
    desk.sell("s", 1, 100)
    desk.buy("b", 1, 100)
    assert refused(desk, "sell", 1, 111).startswith("price-band")


def test_a_market_order_ends_at_the_edge_of_the_band() -> None:
    desk = a_desk(price_band_pct=Decimal(10))
    desk.sell("near", 2, 108)
    desk.sell("far", 2, 150)
    desk.tick(100)
    told = desk.buy("t", 4)
    assert told == [("accept", "t"), ("trade", "t", "near", 2, 108), ("expire", "t", 2)]
    assert desk.facts[-1].reason == "price-band"  # type: ignore[attr-defined]


def test_an_account_has_so_many_orders_open_and_no_more() -> None:
    desk = a_desk(max_open_orders=2)
    desk.buy("b1", 1, 99)
    desk.buy("stop", 1, stop=120)
    assert refused(desk, "buy", 1, 98) == "max-open-orders: 2 orders are open, 2 may be"
    assert desk.buy("other", 1, 98, account="bob") == [("accept", "other")]
    assert desk.buy("now", 1, 98, force="IOC")[0] == ("accept", "now")
    desk.cancel("b1")
    assert desk.buy("b2", 1, 98) == [("accept", "b2")]


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"type": OrderType.LIMIT}, "price is missing: a limit order needs one"),
        ({"type": OrderType.MARKET, "price": Decimal(1)}, "price is not for a market order"),
        ({"type": OrderType.STOP}, "stop_price is missing: a stop order needs one"),
        ({"type": OrderType.MARKET, "stop": 1}, "stop_price is not for a market order"),
        ({"force": "GTD", "price": 9}, "expire_time is missing: GTD needs one"),
        ({"price": 9, "expire_time": at(9)}, "expire_time is for GTD alone"),
        (
            {"price": 9, "force": "GTD", "expire_time": START.replace(tzinfo=None)},
            "expire_time needs a time zone",
        ),
        ({"post_only": True}, "post_only is for limit orders that may rest"),
        ({"price": 9, "force": "IOC", "show": 1}, "display_quantity is for limit orders that"),
        ({"price": 9, "show": 3}, "display_quantity 3 is above the quantity 2"),
        (
            {"price": 9, "force": "GTD", "expire_time": BEYOND},
            "expire_time is after the year 9999 in UTC",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(order: dict[str, object], reason: str) -> None:
    desk = a_desk()
    kind = order.pop("type", None)
    price = order.pop("price", None)
    placed = an_order("buy", 2, price, **order)
    if kind is not None:
        changes = {name: getattr(placed, name) for name in placed.__struct_fields__}
        placed = type(placed)(**{**changes, "type": kind})
    desk.place("refused", placed)
    fact = desk.facts[-1]
    assert isinstance(fact, OrderRejected)
    assert fact.code == "invalid-order"
    assert fact.reason.startswith(reason)


def test_an_order_does_not_expire_before_it_comes() -> None:
    reason = refused(a_desk(), "buy", 1, 100, force="GTD", expire_time=START)
    assert reason.startswith("expire-time: expire_time 2026-01-05 09:00:00+00:00 is not after")


def test_a_stop_market_order_gets_no_price_by_amendment() -> None:
    desk = a_desk()
    desk.buy("s", 1, stop=100)
    assert desk.amend("s", price=100) == [("reject", "s")]


def test_fees_are_exact_to_the_last_digit() -> None:
    desk = a_desk(maker_fee_bps=Decimal("-0.25"), taker_fee_bps=Decimal("7.5"))
    desk.sell("s", 3, 70_412)
    desk.buy("b", 3)
    fees = [fact.fee for fact in desk.facts if isinstance(fact, OrderFilled)]
    assert fees == [Decimal("-5.2809"), Decimal("158.427")]


@pytest.mark.parametrize(
    "rules",
    [
        {"price_band_pct": Decimal(-1)},
        {"min_notional": Decimal("NaN")},
        {"taker_fee_bps": Decimal(10**12)},
        {"maker_fee_bps": Decimal("1E-13")},
        {"max_open_orders": -1},
        {"halt_s": -1.0},
    ],
)
def test_rules_out_of_range_are_refused(rules: dict[str, object]) -> None:
    with pytest.raises(InvalidValueError, match=next(iter(rules))):
        a_desk(**rules)


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.CANCEL_ONLY])
def test_a_closed_instrument_only_lets_orders_be_cancelled(state: TradingState) -> None:
    desk = a_desk()
    desk.buy("b", 5, 100)
    desk.told(desk.engine.halt(BTC, state, desk.time))
    assert (
        refused(desk, "sell", 5, 100)
        == f"trading-state: BTC is {state}: orders can only be cancelled"
    )
    assert desk.amend("b", 4) == [("reject", "b")]
    assert desk.cancel("b") == [("cancel", "b", 5)]
    desk.told(desk.engine.resume(BTC, desk.time))
    assert desk.sell("s", 5, 100) == [("accept", "s")]


def test_trading_is_not_halted_into_trading() -> None:
    with pytest.raises(ValueError, match="resumed"):
        a_desk().engine.halt(BTC, TradingState.TRADING, START)


def test_resuming_what_trades_says_nothing() -> None:
    assert a_desk().engine.resume(BTC, START) == []


def test_a_move_too_far_halts_then_collects_then_opens() -> None:
    desk = a_desk(halt_move_pct=Decimal(5), halt_window_s=60, halt_s=10, auction_s=20)
    desk.tick(100)
    desk.tick(104, 30)
    desk.tick(105, 20)
    change = desk.facts[-1]
    assert isinstance(change, TradingStateChanged)
    assert (change.state, change.until) == (TradingState.HALTED, at(60))
    assert change.reason == "the price moved by 5 % within 60 s"
    facts = desk.engine.advance(at(80))
    assert [(f.state, f.time) for f in facts if isinstance(f, TradingStateChanged)] == [
        (TradingState.AUCTION, at(60)),
        (TradingState.TRADING, at(80)),
    ]


def test_without_a_halt_a_move_goes_straight_to_the_auction() -> None:
    desk = a_desk(halt_move_pct=Decimal(5), halt_s=0, auction_s=20)
    desk.tick(100)
    desk.tick(110)
    assert desk.engine.trading_state(BTC) is TradingState.AUCTION


def test_a_halt_without_an_end_lasts_until_trading_is_resumed() -> None:
    desk = a_desk(halt_move_pct=Decimal(5), halt_s=0, auction_s=0)
    desk.tick(100)
    desk.tick(110)
    assert desk.engine.advance(at(10**6)) == []
    assert desk.engine.trading_state(BTC) is TradingState.HALTED
    desk.engine.resume(BTC, at(10**6))
    assert desk.engine.trading_state(BTC) is TradingState.TRADING


def test_an_instrument_resumed_by_hand_is_not_opened_again_by_its_alarm() -> None:
    desk = a_desk(halt_move_pct=Decimal(5), halt_s=10, auction_s=20)
    desk.tick(100)
    desk.tick(110)
    desk.engine.resume(BTC, at(1))
    assert desk.engine.advance(at(100)) == []


def test_a_slow_move_does_not_break_the_circuit() -> None:
    breaker = CircuitBreaker(Decimal(10), 60)
    assert not any(breaker.breaks(100 + step, at(step * 10)) for step in range(50))


def test_the_circuit_breaks_on_the_way_down_and_after_a_swing() -> None:
    breaker = CircuitBreaker(Decimal(10), 60)
    prices = [100, 95, 104, 94]  # 104 -> 94 is 9.6 %
    assert [breaker.breaks(price, at(count)) for count, price in enumerate(prices)] == [False] * 4
    assert breaker.breaks(93, at(5))
    assert not breaker.breaks(93, at(6))


def test_what_left_the_window_is_forgotten() -> None:
    breaker = CircuitBreaker(Decimal(10), 60)
    assert not breaker.breaks(100, at(0))
    assert not breaker.breaks(111, at(61))
