"""The rules of matching, each as a test; then random streams against the slow reference book."""

import random
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.matching import EngineState, MatchingEngine, UnknownOrderError, WorkingOrder
from exchange.rules import House, Rules
from market.events import Fact, Trade
from market.orders import (
    OrderExpired,
    OrderFilled,
    OrderRejected,
    PlaceOrder,
    SelfTradePrevention,
    TradingState,
)
from market.values import Side, symbol
from tests.exchange.desk import (
    BTC,
    START,
    Desk,
    a_decimal,
    an_engine,
    an_instrument,
    an_order,
    at,
    depth,
    in_short,
)
from tests.exchange.reference_book import ReferenceBook, Slow

PREVENTION = SelfTradePrevention


def the_trades(told: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    return [tell[1:] for tell in told if tell[0] == "trade"]


def test_price_comes_first_then_time() -> None:
    desk = Desk()
    desk.sell("a1", 5, 101)
    desk.sell("a2", 5, 100)
    desk.sell("a3", 5, 100)
    told = desk.buy("t", 7, 101)
    assert the_trades(told) == [("t", "a2", 5, 100), ("t", "a3", 2, 100)]
    assert desk.left("a3") == 3
    assert desk.depth() == ([], [(100, 3), (101, 5)])


def test_a_trade_is_at_the_makers_price() -> None:
    desk = Desk()
    desk.sell("a1", 5, 100)
    assert the_trades(desk.buy("t", 3, 105)) == [("t", "a1", 3, 100)]


def test_a_partial_fill_keeps_its_priority() -> None:
    desk = Desk()
    desk.sell("a1", 10, 100)
    desk.sell("a2", 10, 100)
    assert the_trades(desk.buy("t1", 4, 100)) == [("t1", "a1", 4, 100)]
    assert the_trades(desk.buy("t2", 8, 100)) == [("t2", "a1", 6, 100), ("t2", "a2", 2, 100)]


def test_an_amendment_down_keeps_its_priority() -> None:
    desk = Desk()
    desk.sell("a1", 10, 100)
    desk.sell("a2", 10, 100)
    assert desk.amend("a1", 6) == [("amend", "a1", 6)]
    assert the_trades(desk.buy("t", 8, 100)) == [("t", "a1", 6, 100), ("t", "a2", 2, 100)]


def test_an_amendment_up_loses_its_priority() -> None:
    desk = Desk()
    desk.sell("a1", 10, 100)
    desk.sell("a2", 10, 100)
    desk.amend("a1", 12)
    assert the_trades(desk.buy("t", 12, 100)) == [("t", "a2", 10, 100), ("t", "a1", 2, 100)]


def test_another_price_loses_its_priority() -> None:
    desk = Desk()
    desk.sell("a1", 5, 101)
    desk.sell("a2", 5, 100)
    desk.amend("a1", price=100)
    assert the_trades(desk.buy("t", 7, 100)) == [("t", "a2", 5, 100), ("t", "a1", 2, 100)]


def test_an_amendment_that_crosses_trades() -> None:
    desk = Desk()
    desk.buy("b1", 4, 99)
    desk.sell("a1", 5, 101)
    told = desk.amend("a1", price=99)
    assert told == [("amend", "a1", 5), ("trade", "a1", "b1", 4, 99)]
    assert desk.depth() == ([], [(99, 1)])


def test_an_immediate_or_cancel_order_never_rests() -> None:
    desk = Desk()
    desk.sell("a1", 3, 100)
    desk.sell("a2", 3, 102)
    told = desk.buy("t", 5, 100, force="IOC")
    assert told == [("accept", "t"), ("trade", "t", "a1", 3, 100), ("expire", "t", 2)]
    assert desk.depth() == ([], [(102, 3)])


def test_a_fill_or_kill_order_trades_whole_or_not_at_all() -> None:
    desk = Desk()
    desk.sell("a1", 3, 100)
    desk.sell("a2", 3, 101)
    assert desk.buy("t1", 7, 101, force="FOK") == [("accept", "t1"), ("expire", "t1", 7)]
    told = desk.buy("t2", 6, 101, force="FOK")
    assert the_trades(told) == [("t2", "a1", 3, 100), ("t2", "a2", 3, 101)]


def test_a_market_order_sweeps_and_expires_on_a_dry_book() -> None:
    desk = Desk()
    desk.sell("a1", 2, 100)
    desk.sell("a2", 2, 101)
    desk.sell("a3", 2, 103)
    swept = [("t1", "a1", 2, 100), ("t1", "a2", 2, 101), ("t1", "a3", 1, 103)]
    assert the_trades(desk.buy("t1", 5)) == swept
    told = desk.buy("t2", 4)
    assert told == [("accept", "t2"), ("trade", "t2", "a3", 1, 103), ("expire", "t2", 3)]
    assert isinstance(desk.facts[-1], OrderExpired)
    assert desk.facts[-1].reason == "no-liquidity"


def test_a_post_only_order_never_takes() -> None:
    desk = Desk()
    desk.sell("a1", 2, 100)
    assert desk.buy("b1", 1, 100, post_only=True) == [("reject", "b1")]
    assert isinstance(desk.facts[-1], OrderRejected)
    assert desk.facts[-1].code == "post-only-would-take"
    assert desk.buy("b2", 1, 99, post_only=True) == [("accept", "b2")]
    assert desk.depth() == ([(99, 1)], [(100, 2)])


@pytest.mark.parametrize(
    ("prevention", "told"),
    [
        (PREVENTION.EXPIRE_TAKER, [("expire", "t", 4)]),
        (PREVENTION.EXPIRE_MAKER, [("expire", "x1", 2), ("trade", "t", "y1", 4, 100)]),
        (PREVENTION.EXPIRE_BOTH, [("expire", "x1", 2), ("expire", "t", 4)]),
        (
            PREVENTION.DECREMENT,
            [("expire", "x1", 2), ("decrement", "t", 2), ("trade", "t", "y1", 2, 100)],
        ),
        (PREVENTION.NONE, [("trade", "t", "x1", 2, 100), ("trade", "t", "y1", 2, 100)]),
        (None, [("trade", "t", "x1", 2, 100), ("trade", "t", "y1", 2, 100)]),
    ],
)
def test_the_takers_mode_of_self_trade_prevention_rules(
    prevention: SelfTradePrevention | None, told: list[object]
) -> None:
    desk = Desk()
    desk.sell("x1", 2, 100, account="a")
    desk.sell("y1", 5, 100, account="b")
    assert desk.buy("t", 4, 100, account="a", self_trade_prevention=prevention) == [
        ("accept", "t"),
        *told,
    ]


def test_a_taker_trades_with_others_before_it_meets_itself() -> None:
    desk = Desk()
    desk.sell("y0", 3, 100, account="b")
    desk.sell("x1", 2, 100, account="a")
    told = desk.buy("t", 4, 100, account="a", self_trade_prevention=PREVENTION.EXPIRE_TAKER)
    assert told == [("accept", "t"), ("trade", "t", "y0", 3, 100), ("expire", "t", 1)]
    assert desk.left("x1") == 2


def test_a_new_slice_of_an_iceberg_goes_to_the_back() -> None:
    desk = Desk()
    desk.sell("i", 9, 100, show=3)
    desk.sell("a2", 4, 100)
    assert desk.depth() == ([], [(100, 7)])
    assert the_trades(desk.buy("t1", 5)) == [("t1", "i", 3, 100), ("t1", "a2", 2, 100)]
    assert the_trades(desk.buy("t2", 5, 100)) == [("t2", "a2", 2, 100), ("t2", "i", 3, 100)]


def test_stops_go_off_after_the_taker_in_order_of_entry() -> None:
    desk = Desk()
    for name, quantity, price in (("a1", 1, 100), ("a2", 1, 101), ("a3", 5, 102)):
        desk.sell(name, quantity, price)
    desk.buy("s1", 2, stop=101)
    desk.buy("s2", 1, stop=100)
    assert desk.buy("t", 2) == [
        ("accept", "t"),
        ("trade", "t", "a1", 1, 100),
        ("trade", "t", "a2", 1, 101),
        ("trigger", "s1"),
        ("trade", "s1", "a3", 2, 102),
        ("trigger", "s2"),
        ("trade", "s2", "a3", 1, 102),
    ]


def test_stops_set_each_other_off_in_one_chain() -> None:
    desk = Desk()
    for name, quantity, price in (("b1", 1, 100), ("b2", 1, 98), ("b3", 5, 95)):
        desk.buy(name, quantity, price)
    desk.sell("s1", 1, stop=100)
    desk.sell("s2", 1, stop=98)
    assert desk.sell("t", 1) == [
        ("accept", "t"),
        ("trade", "t", "b1", 1, 100),
        ("trigger", "s1"),
        ("trade", "s1", "b2", 1, 98),
        ("trigger", "s2"),
        ("trade", "s2", "b3", 1, 95),
    ]


def test_a_stop_limit_order_that_went_off_rests_at_its_limit() -> None:
    desk = Desk()
    desk.sell("a1", 1, 100)
    desk.sell("a2", 1, 105)
    desk.buy("s", 3, 102, stop=100)
    assert desk.buy("t", 1) == [("accept", "t"), ("trade", "t", "a1", 1, 100), ("trigger", "s")]
    assert desk.depth() == ([(102, 3)], [(105, 1)])


def test_a_stop_whose_price_is_reached_already_goes_off_at_once() -> None:
    desk = Desk()
    desk.sell("a1", 3, 100)
    desk.buy("t", 1)
    assert desk.buy("s", 1, stop=99) == [
        ("accept", "s"),
        ("trigger", "s"),
        ("trade", "s", "a1", 1, 100),
    ]


def test_a_stop_that_nobody_can_pay_for_expires() -> None:
    asked: list[tuple[str, int]] = []

    def may_trade(order: WorkingOrder, facts: Sequence[Fact]) -> bool:
        asked.append((order.order.account, len(facts)))
        return False

    desk = Desk()
    desk.engine = MatchingEngine({BTC: an_instrument()}, Rules(), may_trade)
    desk.sell("a1", 5, 100)
    desk.buy("s", 1, stop=100, account="bob")
    told = desk.buy("t", 1)
    assert told[-2:] == [("trigger", "s"), ("expire", "s", 1)]
    assert asked == [("bob", 5)]  # accepted, a trade and its two fills, triggered
    assert desk.engine.order(desk.ids["s"]) is None


def test_an_amendment_below_what_is_filled_is_refused() -> None:
    desk = Desk()
    desk.sell("a1", 5, 100)
    desk.buy("t", 3)
    assert desk.amend("a1", 3) == [("reject", "a1")]
    assert desk.left("a1") == 2
    assert desk.amend("a1", 4) == [("amend", "a1", 4)]
    assert desk.left("a1") == 1


def test_a_post_only_order_is_not_amended_into_a_taker() -> None:
    desk = Desk()
    desk.sell("a1", 5, 100)
    desk.buy("b1", 5, 99, post_only=True)
    assert desk.amend("b1", price=100) == [("reject", "b1")]
    assert desk.depth() == ([(99, 5)], [(100, 5)])


def test_an_order_expires_by_its_own_time_before_the_command_that_comes_later() -> None:
    desk = Desk()
    desk.sell("g", 5, 100, force="GTD", expire_time=at(10))
    desk.time = at(20)
    assert desk.buy("t", 1) == [("expire", "g", 5), ("accept", "t"), ("expire", "t", 1)]
    assert isinstance(desk.facts[1], OrderExpired)
    assert desk.facts[1].time == at(10)
    assert desk.facts[1].reason == "expire-time"


def test_an_order_that_expires_as_it_is_cancelled_has_expired() -> None:
    desk = Desk()
    desk.sell("g", 5, 100, force="GTD", expire_time=at(10))
    desk.time = at(10)
    assert desk.cancel("g") == [("expire", "g", 5)]


def test_a_cancelled_order_leaves_no_alarm_behind() -> None:
    desk = Desk()
    desk.sell("g", 5, 100, force="GTD", expire_time=at(10))
    assert desk.cancel("g") == [("cancel", "g", 5)]
    assert desk.engine.advance(at(20)) == []


def test_what_is_not_working_cannot_be_cancelled_or_amended() -> None:
    engine = an_engine()
    with pytest.raises(UnknownOrderError, match="order 7 is not working"):
        engine.cancel(7, START)
    with pytest.raises(UnknownOrderError):
        engine.amend(7, Decimal(1), None, START)


def test_an_id_is_used_once() -> None:
    engine = an_engine()
    engine.place(1, an_order("buy", 1, 100), START)
    with pytest.raises(ValueError, match="in use"):
        engine.place(1, an_order("buy", 1, 100), START)


def test_an_unknown_symbol_is_refused() -> None:
    facts = an_engine().place(1, an_order("buy", 1, symbol=symbol("DOGE")), START)
    assert isinstance(facts[0], OrderRejected)
    assert facts[0].code == "unknown-symbol"


def test_time_never_runs_backwards() -> None:
    engine = an_engine()
    engine.advance(at(5))
    (fact,) = engine.place(1, an_order("buy", 1, 100), at(1))
    assert fact.time == at(5)  # type: ignore[attr-defined]


def test_the_cost_of_taking_is_what_taking_then_costs() -> None:
    desk = Desk(Rules(taker_fee_bps=Decimal(10)))
    desk.sell("i", 9, 100, show=3)
    desk.sell("own", 4, 100, account="bob")
    desk.sell("far", 9, 105)
    sweep = desk.engine.cost_to_take(
        BTC, Side.BUY, Decimal(12), account="bob", prevention=PREVENTION.EXPIRE_MAKER
    )
    assert (str(sweep.quantity), str(sweep.notional)) == ("12", "1215")
    assert sweep.worst_price == Decimal(105)
    desk.buy("t", 12, account="bob", self_trade_prevention=PREVENTION.EXPIRE_MAKER)
    fills = [
        fact
        for fact in desk.facts
        if isinstance(fact, OrderFilled) and fact.order_id == desk.ids["t"]
    ]
    assert sum(fill.price * fill.quantity for fill in fills) == sweep.notional
    assert sum(fill.fee for fill in fills) == sweep.fee == Decimal("1.215")


# --- random streams -----------------------------------------------------------------------------

PRICES = st.integers(98, 103)
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
MODES = st.sampled_from(["none", "expire_taker", "expire_maker", "expire_both", "decrement"])


@st.composite
def slow_orders(draw: st.DrawFn) -> Slow:
    kind = draw(st.sampled_from(["limit"] * 6 + ["market"] * 2 + ["stop", "stop_limit"]))
    priced = kind in {"limit", "stop_limit"}
    force = draw(st.sampled_from(["GTC"] * 4 + ["IOC", "FOK"]))
    quantity = draw(st.integers(1, 12))
    rests = priced and force == "GTC"
    return Slow(
        id=0,
        account=draw(st.sampled_from("abc")),
        buy=draw(st.booleans()),
        left=quantity,
        price=draw(PRICES) if priced else None,
        stop=draw(PRICES) if kind.startswith("stop") else None,
        force=force,
        post_only=rests and draw(st.integers(0, 5)) == 0,
        show=draw(st.integers(1, quantity)) if rests and draw(st.integers(0, 3)) == 0 else 0,
        prevention=draw(MODES),
    )


COMMANDS = st.lists(
    st.one_of(
        slow_orders(),
        slow_orders(),
        slow_orders(),
        st.tuples(st.just("cancel"), st.integers(0, 60)),
        st.tuples(
            st.just("amend"),
            st.integers(0, 60),
            st.one_of(st.none(), st.integers(1, 15)),
            st.one_of(st.none(), PRICES),
        ),
    ),
    min_size=25,
    max_size=60,
)


def spoken(order: Slow) -> PlaceOrder:
    more = {"show": order.show} if order.show else {}
    return an_order(
        "buy" if order.buy else "sell",
        order.left,
        order.price,
        stop=order.stop,
        account=order.account,
        force=order.force,
        post_only=order.post_only,
        self_trade_prevention=SelfTradePrevention(order.prevention),
        expire_time=None if order.until is None else at(order.until),
        **more,
    )


Told = list[tuple[object, ...]]


class Both:
    """The engine and the slow book side by side."""

    def __init__(self) -> None:
        self.engine = an_engine()
        self.slow = ReferenceBook()
        self.count = self.now = 0

    def do(self, command: Slow | tuple[object, ...], seconds: int = 0) -> None:
        """Do the same at both, so many seconds later, and compare what they say."""
        self.now += seconds
        facts, told = self._done(command, self.slow.wait(self.now))
        assert in_short(facts) == told

    def _done(self, command: Slow | tuple[object, ...], told: Told) -> tuple[list[Fact], Told]:
        engine, slow, time = self.engine, self.slow, at(self.now)
        if isinstance(command, Slow):
            self.count += 1
            until = None if command.until is None else self.now + command.until
            order = Slow(**{**vars(command), "id": self.count, "until": until})
            facts = engine.place(self.count, spoken(order), time)
            return facts, told + slow.place(order)
        word, *rest = command
        if word == "halt":
            slow.halt(str(rest[0]))
            return engine.halt(BTC, TradingState(str(rest[0])), time), told
        if word == "resume":
            return engine.resume(BTC, time), told + slow.resume()
        return self._changed(str(word), *rest, told=told)  # type: ignore[arg-type]

    def _changed(
        self,
        word: str,
        chosen: int,
        quantity: int | None = None,
        price: int | None = None,
        *,
        told: Told,
    ) -> tuple[list[Fact], Told]:
        engine, slow, time = self.engine, self.slow, at(self.now)
        if not slow.orders:
            return engine.advance(time), told
        order_id = slow.orders[chosen % len(slow.orders)].id
        if word == "cancel":
            return engine.cancel(order_id, time), told + slow.cancel(order_id)
        facts = engine.amend(order_id, a_decimal(quantity), a_decimal(price), time)
        return facts, told + slow.amend(order_id, quantity, price)

    def check(self) -> None:
        bids, asks = depth(self.engine)
        assert bids == self.slow.depth(buy=True)
        assert asks == self.slow.depth(buy=False)
        assert not bids or not asks or bids[0][0] < asks[0][0] or self.slow.state != "trading"
        for order in self.slow.orders:
            working = self.engine.order(order.id)
            assert working is not None
            assert (int(working.remaining), int(working.quantity)) == (order.left, order.total)


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(COMMANDS)
def test_the_engine_says_what_the_slow_book_says(commands: list[Slow | tuple[object, ...]]) -> None:
    both = Both()
    for command in commands:
        both.do(command)
        both.check()


def a_random_order(rng: random.Random) -> Slow:
    kind = rng.choice(["limit"] * 7 + ["market", "stop", "stop_limit"])
    priced = kind in {"limit", "stop_limit"}
    force = rng.choice(["GTC"] * 6 + ["IOC", "FOK", "GTD"])
    quantity = rng.randint(1, 20)
    rests = priced and force in {"GTC", "GTD"}
    return Slow(
        id=0,
        account=rng.choice("abcd"),
        buy=rng.random() < 0.5,
        left=quantity,
        price=rng.randint(96, 105) if priced else None,
        stop=rng.randint(96, 105) if kind.startswith("stop") else None,
        force=force,
        post_only=rests and rng.random() < 0.1,
        show=rng.randint(1, quantity) if rests and rng.random() < 0.3 else 0,
        prevention=rng.choice(["none"] * 4 + [mode.value for mode in PREVENTION]),
        until=rng.randint(-1, 12) if force == "GTD" else None,
    )


def a_random_command(rng: random.Random) -> Slow | tuple[object, ...]:
    chance = rng.random()
    if chance < 0.7:
        return a_random_order(rng)
    if chance < 0.82:
        return "cancel", rng.randrange(1000)
    if chance < 0.95:
        quantity = rng.choice([None, rng.randint(1, 25)])
        return "amend", rng.randrange(1000), quantity, rng.choice([None, rng.randint(96, 105)])
    if chance < 0.97:
        return "halt", rng.choice(["halted", "cancel_only", "auction", "auction"])
    return ("resume",)


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(8))
def test_a_long_random_stream_is_told_alike(seed: int) -> None:
    rng = random.Random(seed)
    both = Both()
    for _ in range(2000):
        both.do(a_random_command(rng), rng.choice([0, 0, 1, 2]))
        both.check()


def replayed(
    engine: MatchingEngine, commands: list[Slow | tuple[object, ...]], first: int = 1
) -> list[Fact]:
    facts: list[Fact] = []
    for count, command in enumerate(commands, first):
        time = START + timedelta(seconds=count)
        if isinstance(command, Slow):
            facts += engine.place(count, spoken(command), time)
        elif (order_id := int(str(command[1]))) in engine._floor.working:
            facts += engine.cancel(order_id, time)
        elif command[0] == "amend":
            facts += engine.reference(BTC, Decimal(95 + order_id % 11), time)
    return facts


def lively(*, levels: int) -> MatchingEngine:
    return an_engine(
        Rules(
            halt_move_pct=Decimal(8),
            halt_window_s=20,
            halt_s=5,
            auction_s=5,
            maker_fee_bps=Decimal("-0.5"),
            taker_fee_bps=Decimal(7),
            price_band_pct=Decimal(30),
            house=House(levels=levels, spread_ticks=2, quantity=Decimal(3)),
        )
    )


@settings(max_examples=30, deadline=None, suppress_health_check=SLOW)
@given(COMMANDS, st.integers(0, 60), st.integers(0, 3))
def test_a_restored_engine_goes_on_as_if_nothing_had_happened(
    commands: list[Slow | tuple[object, ...]], cut: int, levels: int
) -> None:
    whole, before, after = (lively(levels=levels) for _ in range(3))
    facts = replayed(whole, commands)
    told = replayed(before, commands[:cut])
    kept = msgspec.json.encode(before.state())
    after.restore(msgspec.json.decode(kept, type=EngineState))
    told += replayed(after, commands[cut:], first=cut + 1 if cut < len(commands) else 1)
    assert told == facts
    assert msgspec.json.encode(after.state()) == msgspec.json.encode(whole.state())


@settings(max_examples=30, deadline=None, suppress_health_check=SLOW)
@given(COMMANDS, st.integers(0, 3))
def test_what_is_filled_is_what_was_asked_and_no_trade_is_one_sided(
    commands: list[Slow | tuple[object, ...]], levels: int
) -> None:
    engine = lively(levels=levels)
    facts = replayed(engine, commands)
    trades = [fact for fact in facts if isinstance(fact, Trade)]
    fills = [fact for fact in facts if isinstance(fact, OrderFilled)]
    assert [trade.trade_id for trade in trades] == [*range(1, len(trades) + 1)]
    assert sum(fill.side.sign * fill.quantity for fill in fills) == 0
    assert sum(fill.side.sign * fill.quantity * fill.price for fill in fills) == 0
    filled: dict[int, Decimal] = {}
    for fill in fills:
        filled[fill.order_id] = filled.get(fill.order_id, Decimal(0)) + fill.quantity
    bids, asks = depth(engine)
    trading = engine.trading_state(BTC) is TradingState.TRADING
    assert not (trading and bids and asks) or bids[0][0] < asks[0][0]
    for order_id, order in engine._floor.working.items():
        assert filled.get(order_id, 0) == order.total - order.left


def test_the_order_in_which_instruments_are_set_up_changes_nothing() -> None:
    names = ("BTC", "TCS", "META")
    told = []
    for order in (names, names[::-1], ("TCS", "BTC", "META")):
        engine = an_engine(Rules(max_open_orders=5), *order)
        facts: list[Fact] = []
        for count in range(1, 200):
            name = symbol(names[count * 7 % 3])
            side = "buy" if count * 5 % 7 < 4 else "sell"
            placed = an_order(
                side,
                1 + count % 4,
                100 + count * 3 % 5,
                symbol=name,
                account="abc"[count % 3],
                force="GTD",
                expire_time=at(10 * (1 + count // 20)),
            )
            facts += engine.place(count, placed, at(count / 2))
        told.append(msgspec.json.encode((facts, engine.state())))
    assert told[0] == told[1] == told[2]


def test_an_engine_in_use_is_not_restored() -> None:
    engine = an_engine()
    engine.place(1, an_order("buy", 1, 100), START)
    with pytest.raises(ValueError, match="only a new engine"):
        engine.restore(engine.state())
    with pytest.raises(ValueError, match="the state is not of TCS"):
        an_engine(None, "TCS").restore(engine.state())
