from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.commands import (
    AdvanceTime,
    CancelOrders,
    ConfigureAccount,
    LoseReference,
    MoveReference,
)
from exchange.commands import OpenVenue as Open
from exchange.rules import Rules
from exchange.statement import AccountView
from exchange.ticket import Ticket
from exchange.venue import STATUSES, Outcome, Venue
from market.orders import (
    AmendOrder,
    CancelOrder,
    HaltTrading,
    OrderFilled,
    OrderType,
    ResumeTrading,
    SelfTradePrevention,
    Status,
    TimeInForce,
)
from market.values import Instrument, Side, Symbol
from tests.exchange.venues import (
    BTC,
    HOUSE,
    INSTRUMENTS,
    NOON,
    TCS,
    Trading,
    a_charter,
    an_order,
    random_commands,
)

D = Decimal
FREE = Rules()


def account(trading: Trading, name: str) -> AccountView:
    found = trading.venue.account(name)
    assert found is not None
    return found


def refusal(outcome: Outcome) -> str | None:
    return outcome.refusal.code if outcome.refusal else None


def without_fees() -> Trading:
    return Trading(a_charter(FREE))


# --- orders and funds -----------------------------------------------------------------------------


def test_an_account_opens_at_its_first_accepted_order_only() -> None:
    trading = without_fees()
    assert refusal(trading.limit("ann", "buy", "1000", "10.01")) == "insufficient-funds"
    assert trading.venue.account("ann") is None
    trading.limit("ann", "buy", "1000", "10")
    assert account(trading, "ann").cash == D(10_000)


def test_open_orders_lock_cash_and_holdings() -> None:
    trading = without_fees()
    trading.limit("ann", "buy", "600", "10")
    assert account(trading, "ann").locked_cash == D(6000)
    assert refusal(trading.limit("ann", "buy", "401", "10")) == "insufficient-funds"
    trading.give("ann", "5", "10")
    trading.limit("ann", "sell", "4", "11")
    assert account(trading, "ann").positions[0].locked == D(4)
    assert refusal(trading.market("ann", "sell", "2")) == "insufficient-position"


def test_the_dearer_fee_is_locked_with_the_price() -> None:
    trading = Trading()
    assert refusal(trading.limit("ann", "buy", "1000", "10")) == "insufficient-funds"
    trading.limit("ann", "buy", "999", "10")
    assert account(trading, "ann").locked_cash == D("9997.2927")


def test_what_is_cancelled_is_unlocked() -> None:
    trading = without_fees()
    order = trading.limit("ann", "buy", "600", "10").orders[0]
    answer = trading.do(CancelOrder(account="ann", order_id=order.order_id)).orders[0]
    assert (answer.status, answer.filled_quantity) == (Status.CANCELLED, D(0))
    assert account(trading, "ann").locked_cash == 0


def test_a_better_price_gives_back_what_it_saves() -> None:
    trading = without_fees()
    trading.give("ann", "100", "9")
    trading.limit("bob", "buy", "100", "11")
    answer = trading.limit("ann", "sell", "40", "10").orders[0]
    assert (answer.average_price, answer.status) == (D(11), Status.FILLED)
    bob = account(trading, "bob")
    assert (bob.cash, bob.locked_cash) == (D(10_000 - 440), D(660))


def test_an_answer_tells_every_fill_and_its_fee() -> None:
    trading = Trading()
    trading.do(ConfigureAccount(account="bob", short_selling=True))
    trading.limit("bob", "sell", "10", "10")
    trading.limit("bob", "sell", "10", "11")
    answer = trading.market("ann", "buy", "15").orders[0]
    assert [(f.quantity, f.price, f.fee, f.liquidity) for f in answer.fills] == [
        (D(10), D(10), D("0.073"), "taker"),
        (D(5), D(11), D("0.04015"), "taker"),
    ]
    assert (answer.status, answer.filled_quantity) == (Status.FILLED, D(15))
    assert (answer.average_price, answer.fee) == (D("10.333333333333"), D("0.11315"))


def test_fees_are_inside_realized_pnl_and_go_to_the_fee_account() -> None:
    trading = Trading()
    trading.give("ann", "10", "10")
    ann, own = account(trading, "ann"), trading.venue.accounts(own=True)
    assert (ann.fees, ann.realized_pnl) == (D("0.073"), D("-0.073"))
    assert [(a.account, a.cash) for a in own][-2:] == [("fees", D("0.068")), ("house", D(0))]


def test_a_market_order_needs_what_it_would_take() -> None:
    trading = without_fees()
    trading.do(ConfigureAccount(account="bob", short_selling=True, starting_cash=D(10**6)))
    trading.limit("bob", "sell", "900", "10")
    trading.limit("bob", "sell", "200", "20")
    assert refusal(trading.market("ann", "buy", "951")) == "insufficient-funds"
    assert trading.market("ann", "buy", "950").orders[0].status is Status.FILLED
    assert account(trading, "ann").cash == 0


def test_a_market_order_into_an_empty_book_expires() -> None:
    answer = without_fees().market("ann", "buy", "5").orders[0]
    assert (answer.status, answer.reason) == (Status.EXPIRED, "no-liquidity")
    assert answer.average_price is None


def test_a_stop_that_cannot_be_paid_when_it_goes_off_expires() -> None:
    trading = without_fees()
    trading.do(ConfigureAccount(account="bob", short_selling=True, starting_cash=D(10**6)))
    trading.limit("bob", "sell", "1", "10")
    trading.limit("bob", "sell", "1000", "15")
    stop = trading.do(
        an_order("ann", "buy", "900", None, type=OrderType.STOP, stop_price=D(10))
    ).orders[0]
    assert account(trading, "ann").locked_cash == D(9000)
    trading.market("carl", "buy", "1")
    found = trading.venue.order(stop.order_id)
    assert found
    assert (found.status, found.reason) == (Status.EXPIRED, "insufficient-funds")
    assert account(trading, "ann").locked_cash == 0


def test_a_stop_that_can_be_paid_trades_at_the_market() -> None:
    trading = without_fees()
    trading.do(ConfigureAccount(account="bob", short_selling=True, starting_cash=D(10**6)))
    trading.limit("bob", "sell", "1", "10")
    trading.limit("bob", "sell", "1000", "15")
    trading.do(an_order("ann", "buy", "600", None, type=OrderType.STOP, stop_price=D(10)))
    trading.market("carl", "buy", "1")
    ann = account(trading, "ann")
    assert (ann.cash, ann.locked_cash, ann.positions[0].quantity) == (D(1000), D(0), D(600))


def test_an_amendment_needs_the_difference_and_locks_it() -> None:
    trading = without_fees()
    order = trading.limit("ann", "buy", "600", "10").orders[0].order_id
    more = AmendOrder(account="ann", order_id=order, quantity=D(1001))
    assert refusal(trading.do(more)) == "insufficient-funds"
    answer = trading.do(AmendOrder(account="ann", order_id=order, price=D(16))).orders[0]
    assert (answer.price, account(trading, "ann").locked_cash) == (D(16), D(9600))


def test_an_amended_price_may_trade_at_once() -> None:
    trading = without_fees()
    trading.give("ann", "5", "10")
    trading.limit("ann", "sell", "5", "12")
    order = trading.limit("bob", "buy", "5", "9").orders[0].order_id
    answer = trading.do(AmendOrder(account="bob", order_id=order, price=D(13))).orders[0]
    assert (answer.status, answer.average_price) == (Status.FILLED, D(12))
    assert account(trading, "bob").locked_cash == 0


def test_a_refused_amendment_leaves_the_order() -> None:
    trading = without_fees()
    order = trading.limit("ann", "buy", "5", "10").orders[0]
    refused = trading.do(AmendOrder(account="ann", order_id=order.order_id, price=D("9.999")))
    assert refusal(refused) == "tick-size"
    assert trading.venue.order(order.order_id) == order


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "code", "status"),
    [
        (an_order("ann", "buy", "1", "10", symbol=Symbol("NONE")), "unknown-symbol", 404),
        (an_order("ann", "buy", "0.5", "10"), "lot-size", 422),
        (an_order("ann", "buy", "1", "10.001"), "tick-size", 422),
        (an_order("ann", "buy", "NaN", "10"), "lot-size", 422),
        (an_order("ann", "sell", "1", "10"), "insufficient-position", 409),
        (an_order("ann", "sell", "1", None, type=OrderType.LIMIT), "invalid-order", 422),
        (an_order("house", "sell", "1"), "reserved-account", 422),
        (CancelOrder(account="ann", order_id=7), "unknown-order", 404),
        (AmendOrder(account="ann", order_id=7), "unknown-order", 404),
        (CancelOrders(account="nobody"), "unknown-account", 404),
        (CancelOrders(account="ann", symbol=Symbol("NONE")), "unknown-symbol", 404),
        (MoveReference(symbol=Symbol("NONE"), price=D(1)), "unknown-symbol", 404),
        (MoveReference(symbol=TCS, price=D(-1)), "tick-size", 422),
        (HaltTrading(symbol=Symbol("NONE")), "unknown-symbol", 404),
        (ConfigureAccount(account="fees"), "reserved-account", 422),
        (ConfigureAccount(account="ann", starting_cash=D(5)), "starting-cash-fixed", 409),
        (ConfigureAccount(account="bob", starting_cash=D("-1")), "invalid-cash", 422),
        (ConfigureAccount(account="bob", leverage=D("0.5")), "invalid-leverage", 422),
        (ConfigureAccount(account="bob", leverage=D("Infinity")), "invalid-leverage", 422),
    ],
)
def test_a_refused_command_says_why_and_changes_nothing(
    order: object, code: str, status: int
) -> None:
    trading = without_fees()
    trading.limit("ann", "buy", "1", "10")
    before = trading.venue.snapshot()
    outcome = trading.do(order)  # type: ignore[arg-type]
    assert (refusal(outcome), STATUSES.get(code, 422)) == (code, status)
    assert not outcome.changed
    assert not outcome.orders
    assert trading.venue.snapshot() == before


def test_an_order_that_is_gone_cannot_be_cancelled_and_another_s_is_unknown() -> None:
    trading = without_fees()
    order = trading.limit("ann", "buy", "1", "10").orders[0].order_id
    assert refusal(trading.do(CancelOrder(account="bob", order_id=order))) == "unknown-order"
    trading.do(CancelOrder(account="ann", order_id=order))
    assert refusal(trading.do(CancelOrder(account="ann", order_id=order))) == "not-cancellable"


def test_no_order_is_taken_while_a_source_is_not_heard() -> None:
    trading = Trading(a_charter(sourced=(TCS,)))
    assert refusal(trading.limit("ann", "buy", "1", "10")) == "no-fresh-price"
    trading.do(MoveReference(symbol=TCS, price=D(10)))
    order = trading.limit("ann", "buy", "1", "9").orders[0].order_id
    trading.do(LoseReference(symbol=TCS))
    assert not trading.venue.is_fresh(TCS)
    assert refusal(trading.market("ann", "buy", "1")) == "no-fresh-price"
    dearer = AmendOrder(account="ann", order_id=order, price=D(10))
    assert refusal(trading.do(dearer)) == "no-fresh-price"
    assert trading.do(CancelOrder(account="ann", order_id=order)).refusal is None


def test_accounts_are_bounded() -> None:
    trading = Trading()
    charter = a_charter()
    trading.do(Open(charter=type(charter)(instruments=INSTRUMENTS, max_accounts=1)))
    trading.limit("ann", "buy", "1", "10")
    assert refusal(trading.limit("bob", "buy", "1", "10")) == "too-many-accounts"
    assert refusal(trading.do(ConfigureAccount(account="bob"))) == "too-many-accounts"
    assert trading.limit("ann", "buy", "1", "10").refusal is None


# --- names ----------------------------------------------------------------------------------------


def test_the_same_name_gets_the_first_answer_whatever_came_since() -> None:
    trading = without_fees()
    first = trading.limit("ann", "buy", "5", "10", client_order_id="mine").orders
    trading.give("bob", "5", "10")
    trading.market("bob", "sell", "2")
    again = trading.limit("ann", "buy", "5", "10", client_order_id="mine")
    assert again.repeated
    assert not again.changed
    assert again.orders == first
    assert len(trading.venue.orders("ann")) == 1


def test_a_name_is_its_owner_s_and_a_refused_order_leaves_it_free() -> None:
    trading = without_fees()
    assert refusal(trading.market("ann", "sell", "5", client_order_id="mine"))
    one = trading.limit("ann", "buy", "5", "10", client_order_id="mine").orders[0]
    other = trading.limit("bob", "buy", "5", "10", client_order_id="mine").orders[0]
    assert one.order_id != other.order_id


def test_only_the_newest_closed_orders_stay_known() -> None:
    trading = Trading(a_charter(FREE, kept=2))
    stays = trading.limit("ann", "buy", "1", "10", client_order_id="open").orders[0]
    for number in range(4):
        trading.market("ann", "buy", "1", client_order_id=f"c{number}")
    known = [order.client_order_id for order in trading.venue.orders("ann")]
    assert known == ["c3", "c2", "open"]
    assert trading.venue.order(stays.order_id + 1) is None
    assert not trading.market("ann", "buy", "1", client_order_id="c0").repeated


def test_orders_are_listed_newest_first_by_status() -> None:
    trading = without_fees()
    trading.market("ann", "buy", "1")
    trading.limit("ann", "buy", "1", "10")
    trading.limit("ann", "buy", "1", "11")
    assert [o.price for o in trading.venue.orders("ann", Status.OPEN)] == [D(11), D(10)]
    assert [o.price for o in trading.venue.orders("ann", limit=1)] == [D(11)]
    assert trading.venue.orders("nobody") == []


def test_all_orders_of_an_account_are_cancelled_at_once() -> None:
    trading = without_fees()
    trading.limit("ann", "buy", "1", "10")
    trading.limit("ann", "buy", "0.001", "10", symbol=BTC)
    trading.limit("bob", "buy", "1", "10")
    done = trading.do(CancelOrders(account="ann", symbol=TCS))
    assert [(o.symbol, o.status) for o in done.orders] == [(TCS, Status.CANCELLED)]
    assert len(trading.do(CancelOrders(account="ann")).orders) == 1
    assert len(trading.venue.orders("bob", Status.OPEN)) == 1


# --- margin ---------------------------------------------------------------------------------------


def test_who_may_sell_short_may_do_so_up_to_its_equity() -> None:
    trading = without_fees()
    trading.do(ConfigureAccount(account="ann", short_selling=True))
    trading.limit("bob", "buy", "100", "10")
    assert refusal(trading.limit("ann", "sell", "1001", "10")) == "insufficient-funds"
    trading.limit("ann", "sell", "1000", "10")
    ann = account(trading, "ann")
    assert (ann.positions[0].quantity, ann.cash, ann.equity) == (D(-100), D(11_000), D(10_000))
    assert refusal(trading.limit("ann", "sell", "1", "10")) == "insufficient-funds"
    assert trading.limit("ann", "buy", "100", "9").refusal is None


def test_leverage_buys_more_than_the_cash() -> None:
    trading = without_fees()
    trading.do(ConfigureAccount(account="ann", leverage=D(3)))
    assert refusal(trading.limit("ann", "buy", "3001", "10")) == "insufficient-funds"
    assert refusal(trading.limit("ann", "sell", "1", "10")) == "insufficient-position"
    assert trading.limit("ann", "buy", "3000", "10").refusal is None


@pytest.mark.parametrize(
    ("side", "mild", "worse", "milder"), [("buy", "80", "140", "70"), ("sell", "120", "60", "130")]
)
def test_an_amendment_to_a_worse_price_costs_margin_as_an_order_would(
    side: str, mild: str, worse: str, milder: str
) -> None:
    trading = without_fees()
    trading.do(MoveReference(symbol=TCS, price=D(100)))
    trading.do(ConfigureAccount(account="ann", leverage=D(10), short_selling=True))
    order = trading.limit("ann", side, "1000", mild).orders[0].order_id
    before = trading.venue.state_hash()
    refused = trading.do(AmendOrder(account="ann", order_id=order, price=D(worse)))
    assert refusal(refused) == "insufficient-funds"
    assert trading.venue.state_hash() == before
    assert trading.do(AmendOrder(account="ann", order_id=order, price=D(milder))).refusal is None


def test_a_worse_price_than_the_mark_costs_margin() -> None:
    trading = without_fees()
    trading.do(MoveReference(symbol=TCS, price=D(10)))
    trading.do(ConfigureAccount(account="ann", leverage=D(2)))
    assert refusal(trading.limit("ann", "buy", "2000", "12")) == "insufficient-funds"
    assert trading.limit("ann", "buy", "1400", "12").refusal is None


def test_terms_may_change_but_not_the_cash_once_it_trades() -> None:
    trading = without_fees()
    trading.do(ConfigureAccount(account="ann", starting_cash=D(500)))
    assert account(trading, "ann").equity == D(500)
    trading.limit("ann", "buy", "1", "10")
    mode = SelfTradePrevention.DECREMENT
    trading.do(ConfigureAccount(account="ann", self_trade_prevention=mode, leverage=D(2)))
    ann = account(trading, "ann")
    assert (ann.self_trade_prevention, ann.leverage, ann.starting_cash) == (mode, D(2), D(500))


def test_an_account_s_own_prevention_applies_to_its_orders() -> None:
    trading = without_fees()
    mode = SelfTradePrevention.EXPIRE_MAKER
    trading.do(ConfigureAccount(account="ann", self_trade_prevention=mode))
    trading.give("ann", "5", "10")
    resting = trading.limit("ann", "sell", "5", "12").orders[0].order_id
    taking = trading.limit("ann", "buy", "5", "12").orders[0]
    found = trading.venue.order(resting)
    assert found
    assert (found.status, taking.status) == (Status.EXPIRED, Status.OPEN)


# --- the market -----------------------------------------------------------------------------------


def test_positions_are_marked_at_the_reference_and_else_at_the_last_trade() -> None:
    trading = Trading(a_charter(FREE, sourced=(TCS,)))
    trading.do(MoveReference(symbol=TCS, price=D(10)))
    trading.give("ann", "5", "12")
    assert account(trading, "ann").positions[0].mark == D(10)
    trading.do(MoveReference(symbol=TCS, price=D("13.5")))
    assert account(trading, "ann").unrealized_pnl == D("7.5")
    trading.limit("giver", "sell", "1", "7", symbol=BTC)
    trading.limit("ann", "buy", "1", "8", symbol=BTC)
    assert account(trading, "ann").positions[0].mark == D(7)


def test_the_house_fills_a_market_order_and_a_resting_one_that_is_reached() -> None:
    trading = Trading(a_charter(Rules(house=HOUSE), sourced=(TCS,)))
    trading.do(MoveReference(symbol=TCS, price=D(10)))
    assert trading.market("ann", "buy", "7").orders[0].average_price == D("10.012857142857")
    order = trading.limit("ann", "buy", "3", "9.5").orders[0]
    facts = trading.do(MoveReference(symbol=TCS, price=D("9.4"))).facts
    fills = [fact for fact in facts if isinstance(fact, OrderFilled) and fact.account == "ann"]
    assert [(f.order_id, f.price, f.quantity) for f in fills] == [(order.order_id, D("9.5"), D(3))]
    assert [p.quantity for p in trading.venue.accounts(own=True)[-1].positions] == [D(-10)]


def test_a_halt_refuses_orders_until_trading_resumes() -> None:
    trading = without_fees()
    trading.do(HaltTrading(symbol=TCS))
    assert trading.venue.trading_state(TCS) == "halted"
    assert refusal(trading.limit("ann", "buy", "1", "10")) == "trading-state"
    trading.do(ResumeTrading(symbol=TCS))
    assert trading.limit("ann", "buy", "1", "10").refusal is None


def test_time_alone_expires_an_order_and_unlocks_it() -> None:
    trading = without_fees()
    until = NOON + timedelta(minutes=1)
    order = trading.limit(
        "ann", "buy", "1", "10", time_in_force=TimeInForce.GTD, expire_time=until
    ).orders[0]
    trading.time = until
    outcome = trading.do(AdvanceTime())
    assert outcome.changed
    found = trading.venue.order(order.order_id)
    assert found
    assert found.status is Status.EXPIRED
    assert account(trading, "ann").locked_cash == 0
    assert not trading.do(AdvanceTime()).facts


def test_a_refused_command_still_tells_what_was_due() -> None:
    trading = without_fees()
    until = NOON + timedelta(minutes=1)
    trading.limit("ann", "buy", "1", "10", time_in_force=TimeInForce.GTD, expire_time=until)
    trading.time = until
    outcome = trading.market("bob", "sell", "1")
    assert refusal(outcome) == "insufficient-position"
    assert outcome.changed
    assert len(outcome.facts) == 1


# --- opening again --------------------------------------------------------------------------------


def test_new_rules_keep_the_orders_and_their_places() -> None:
    trading = without_fees()
    first = trading.limit("ann", "buy", "1", "10").orders[0]
    trading.limit("bob", "buy", "1", "10")
    trading.do(Open(charter=a_charter(Rules(taker_fee_bps=D(10)))))
    trading.do(ConfigureAccount(account="carl", short_selling=True))
    answer = trading.market("carl", "sell", "1").orders[0]
    assert answer.fee == D("0.01")
    found = trading.venue.order(first.order_id)
    assert found
    assert found.status is Status.FILLED


def test_a_new_grid_cancels_the_orders_that_stood_on_the_old_one() -> None:
    trading = without_fees()
    gone = trading.limit("ann", "buy", "1", "10").orders[0]
    stays = trading.limit("ann", "buy", "0.001", "10", symbol=BTC).orders[0]
    coarse = Instrument(symbol=TCS, name="T", tick_size=D(5), lot_size=D(1))
    outcome = trading.do(Open(charter=type(a_charter())(instruments=(INSTRUMENTS[0], coarse))))
    assert [order.order_id for order in outcome.orders] == [gone.order_id]
    assert [o.order_id for o in trading.venue.orders("ann", Status.OPEN)] == [stays.order_id]
    assert account(trading, "ann").locked_cash == D("0.01")
    assert trading.limit("ann", "buy", "1", "15").refusal is None


def test_a_start_hears_no_source_before_its_next_price() -> None:
    trading = Trading(a_charter(sourced=(TCS,)))
    trading.do(MoveReference(symbol=TCS, price=D(10)))
    trading.do(Open(charter=a_charter(sourced=(TCS,))))
    assert refusal(trading.limit("ann", "buy", "1", "10")) == "no-fresh-price"


# --- invariants -----------------------------------------------------------------------------------


def check_accounts(venue: Venue) -> None:
    for view in venue.accounts():
        value = sum((p.quantity * p.mark for p in view.positions), start=D(0))
        assert view.equity == view.cash + value
        assert view.equity == view.starting_cash + view.realized_pnl + view.unrealized_pnl
        assert view.cash >= 0 or view.leverage > 1 or view.short_selling
        assert all(p.quantity > 0 for p in view.positions) or view.short_selling


def check_locks(venue: Venue) -> None:
    tickets: list[Ticket] = [t for t in venue.blotter if t.working]
    for held in venue.ledger.customers():
        own = [t for t in tickets if t.order.account == held.name]
        buys = [t for t in own if t.order.side is Side.BUY]
        assert held.locked_cash == sum((t.remaining * t.lock for t in buys), start=D(0))
        for symbol, position in held.positions.items():
            of = [t for t in own if t.order.symbol == symbol]
            sells = sum((t.remaining for t in of if t.order.side is Side.SELL), start=D(0))
            assert position.selling == sells
            assert position.buying == sum((t.remaining for t in of), start=D(0)) - sells


def check_fills(venue: Venue, filled: dict[int, Decimal]) -> None:
    for ticket in venue.blotter:
        assert ticket.filled == sum((f.quantity for f in ticket.fills), start=D(0))
        assert ticket.filled == filled.get(ticket.order_id, D(0))
        assert ticket.filled <= ticket.quantity
        working = venue._engine.order(ticket.order_id)
        assert (working is not None) == ticket.working
        assert working is None or working.remaining == ticket.remaining


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_is_sent_money_quantities_and_locks_add_up(seed: int) -> None:
    venue, filled = Venue(), dict[int, Decimal]()
    for number, command in enumerate(random_commands(seed, 150)):
        before = venue.snapshot() if number % 10 == 0 else b""
        outcome = venue.handle(command, NOON + timedelta(seconds=number))
        for fact in outcome.facts:
            if isinstance(fact, OrderFilled):
                filled[fact.order_id] = filled.get(fact.order_id, D(0)) + fact.quantity
        if before and not outcome.changed:
            assert venue.snapshot() == before
        if number % 5 == 0:
            check_accounts(venue)
            check_locks(venue)
        check_fills(venue, filled) if number % 25 == 0 else None
    totals, customers = venue.totals(), venue.ledger.customers()
    assert totals.cash == sum((a.terms.starting_cash for a in customers), start=D(0))
    assert not any(totals.quantities.values())


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 99))
def test_a_restored_venue_goes_on_as_if_nothing_had_been(seed: int, cut: int) -> None:
    venue, again = Venue(), Venue()
    for number, command in enumerate(random_commands(seed, 100)):
        time = NOON + timedelta(seconds=number)
        facts = list(venue.handle(command, time).facts)
        if number >= cut:
            assert list(again.handle(command, time).facts) == facts
        elif number == cut - 1:
            again = Venue.restored(venue.snapshot())
            assert again.state_hash() == venue.state_hash()
    assert again.state_hash() == venue.state_hash()
