from decimal import Decimal

import msgspec
import pytest

from exchange.accounts import FEES, HOUSE, Account, Ledger, exposed
from exchange.statement import AccountState, AccountView, Terms
from market.orders import Liquidity, OrderFilled
from market.values import Side, Symbol
from tests.exchange.venues import BTC, NOON, TCS

D = Decimal
CASH = Terms(starting_cash=D(1000))
MARKS = {TCS: D("12.5"), BTC: D(70)}


def a_fill(
    side: str, quantity: str, price: str, *, of: str = "ann", fee: str = "0", symbol: Symbol = TCS
) -> OrderFilled:
    return OrderFilled(
        order_id=1,
        account=of,
        symbol=symbol,
        time=NOON,
        side=Side(side),
        price=D(price),
        quantity=D(quantity),
        fee=D(fee),
        liquidity=Liquidity.TAKER,
        trade_id=1,
    )


def an_account(*fills: OrderFilled, terms: Terms = CASH) -> Account:
    account = Account("ann", terms)
    for fill in fills:
        account.apply(fill)
    return account


def test_equity_is_cash_and_holdings_and_what_was_gained() -> None:
    view = an_account(
        a_fill("buy", "30", "10", fee="0.3"),
        a_fill("buy", "30", "12", fee="0.36"),
        a_fill("sell", "45", "13", fee="0.585"),
    ).view(MARKS)
    assert view.cash == D(1000) - 300 - 360 + 585 - D("1.245")
    assert view.equity == view.cash + 15 * D("12.5")
    assert view.equity == 1000 + view.realized_pnl + view.unrealized_pnl
    assert (view.realized_pnl, view.unrealized_pnl) == (D(90) - D("1.245"), D("22.5"))
    assert (view.realized_pnl_fifo, view.fees) == (D(105) - D("1.245"), D("1.245"))
    assert view.positions[0].average_price == D(11)


def test_a_view_writes_numbers_as_people_do_and_leaves_out_what_is_sold() -> None:
    view = an_account(
        a_fill("buy", "1.000", "10.00"),
        a_fill("sell", "1.000", "110.00"),
        a_fill("buy", "0.500", "100", symbol=BTC),
    ).view(MARKS)
    assert (str(view.cash), str(view.realized_pnl), str(view.equity)) == ("1050", "100", "1085")
    assert [(p.symbol, str(p.quantity), str(p.mark)) for p in view.positions] == [
        (BTC, "0.5", "70")
    ]


def test_the_members_of_a_view_are_those_of_the_contract() -> None:
    data = msgspec.json.decode(msgspec.json.encode(an_account(a_fill("buy", "1", "9")).view(MARKS)))
    assert list(data)[:7] == [
        "account",
        "cash",
        "equity",
        "realized_pnl",
        "unrealized_pnl",
        "fees",
        "positions",
    ]
    assert list(data["positions"][0])[:5] == [
        "symbol",
        "quantity",
        "average_price",
        "mark",
        "unrealized_pnl",
    ]


def test_a_holding_without_a_mark_has_no_value() -> None:
    with pytest.raises(KeyError):
        an_account(a_fill("buy", "1", "9")).view({})


def test_what_is_reserved_is_not_free() -> None:
    account = an_account(a_fill("buy", "10", "10"))
    account.reserve(TCS, Side.SELL, D(4), D(0))
    account.reserve(TCS, Side.BUY, D(2), D(18))
    assert (account.free_quantity(TCS), account.free_cash) == (D(6), D(882))
    account.reserve(TCS, Side.BUY, D(-2), D(-18))
    assert (account.free_quantity(BTC), account.free_cash) == (D(0), D(900))


def test_exposure_is_the_worst_that_open_orders_may_lead_to() -> None:
    account = an_account(a_fill("buy", "10", "10"))
    account.reserve(TCS, Side.SELL, D(25), D(0))
    account.reserve(BTC, Side.BUY, D(2), D(0))
    assert account.exposure(MARKS) == 15 * D("12.5") + 2 * 70
    assert exposed(account, TCS, Side.SELL, D(1)) == 1
    assert exposed(account, TCS, Side.BUY, D(1)) == 0
    assert exposed(account, Symbol("NEW"), Side.SELL, D(3)) == 3


def test_an_account_comes_back_from_its_state() -> None:
    account = an_account(a_fill("buy", "3", "10", fee="0.1"), a_fill("sell", "1", "11"))
    account.reserve(TCS, Side.SELL, D(1), D(0))
    account.traded = True
    data = msgspec.json.encode(account.state())
    again = Account.restored(msgspec.json.decode(data, type=AccountState))
    assert again.state() == account.state()
    assert again.view(MARKS) == account.view(MARKS)


def a_ledger() -> Ledger:
    ledger = Ledger()
    ledger.add(Account("ann", CASH))
    return ledger


def test_a_trade_moves_money_and_the_fee_goes_to_its_account() -> None:
    ledger = a_ledger()
    ledger.settle(a_fill("buy", "5", "10", fee="0.25"))
    ledger.settle(a_fill("sell", "5", "10", fee="-0.05", of=HOUSE))
    assert ledger[FEES].cash == D("0.20")
    assert ledger[HOUSE].cash == D("50.05")
    totals = ledger.totals()
    assert (totals.cash, totals.quantities[TCS]) == (D(1000), D(0))


def test_the_house_realizes_nothing_and_still_adds_up() -> None:
    ledger = a_ledger()
    for side, price in (("buy", "10"), ("sell", "11"), ("sell", "12")):
        ledger.settle(a_fill(side, "1", price, of=HOUSE, fee="0.1"))
    view: AccountView = ledger[HOUSE].view(MARKS)
    assert view.realized_pnl == D("-0.3")
    assert view.equity == view.realized_pnl + view.unrealized_pnl == D("0.2")


def test_the_exchange_s_own_accounts_are_not_customers() -> None:
    ledger = a_ledger()
    assert [account.name for account in ledger.customers()] == ["ann"]
    assert HOUSE in ledger
    assert ledger.find("bob") is None


def test_terms_change_the_cash_only_before_the_first_order() -> None:
    ledger = a_ledger()
    ledger.configure("ann", Terms(starting_cash=D(5)))
    assert ledger["ann"].cash == 5
    ledger["ann"].traded = True
    ledger.configure("ann", Terms(starting_cash=D(9), leverage=D(2)))
    assert (ledger["ann"].cash, ledger["ann"].terms.leverage) == (D(5), D(2))
    assert ledger["ann"].terms.starting_cash == 5


def test_a_ledger_comes_back_from_its_state() -> None:
    ledger = a_ledger()
    ledger.settle(a_fill("buy", "5", "10", fee="0.25"))
    assert Ledger.restored(ledger.state()).state() == ledger.state()
