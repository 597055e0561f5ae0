"""What an account may order, by what risk says of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exchange.commands import CancelOrders, ConfigureAccount
from exchange.pre_trade import (
    LimitStanding,
    PortfolioStanding,
    PreTrade,
    PreTradeSettings,
    RiskLimitError,
    Standing,
)
from market.events import Fact
from market.hub import Hub
from market.orders import AmendOrder, CancelOrder
from market.server import ServerSettings, serving
from market.settings import environment
from market.streaming import StreamEndpoint, StreamSettings
from market.wire import encode
from tests.exchange.markets import TCS, a_market, settings
from tests.exchange.venues import Trading, an_order
from tests.streams import asked, eventually

SETTINGS = PreTradeSettings(url="http://127.0.0.1:9", silent_s=3.0)


class LimitTold(Fact, frozen=True, kw_only=True):
    kind = "limit"


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def stands(
    standing: Standing = Standing.REDUCING, bounds: dict[str, float] | None = None
) -> PortfolioStanding:
    given = (bounds or {}).items()
    limits = {name: LimitStanding(bound, 0.0, "kept") for name, bound in given}
    if standing is not Standing.ACTIVE:
        limits["max_var"] = LimitStanding(10.0, 12.5, "breached")
    return PortfolioStanding("account:ann", "ann", standing, limits)


def a_check(*told: PortfolioStanding, **changes: Any) -> tuple[PreTrade, Time]:
    time = Time()
    found = PreTrade(replace(SETTINGS, **changes), time)
    if told:
        found.learn(told)
    return found, time


def holding(quantity: int) -> Trading:
    """Return a venue where ann holds so much TCS, less than nothing if it is negative."""
    trading = Trading()
    trading.do(ConfigureAccount(account="ann", short_selling=True))
    trading.do(ConfigureAccount(account="bob", short_selling=True))
    trading.limit("bob", "sell" if quantity > 0 else "buy", str(abs(quantity)), "10")
    trading.limit("ann", "buy" if quantity > 0 else "sell", str(abs(quantity)), "10")
    return trading


@pytest.mark.parametrize("standing", [Standing.REDUCING, Standing.HALTED])
@pytest.mark.parametrize(
    ("held", "side", "quantity", "passes"),
    [
        (5, "sell", "5", True),
        (5, "sell", "6", False),
        (5, "buy", "1", False),
        (-5, "buy", "5", True),
        (-5, "buy", "6", False),
        (-5, "sell", "1", False),
    ],
)
def test_only_what_reduces_a_position_passes(
    standing: Standing, held: int, side: str, quantity: str, passes: bool
) -> None:
    check, _ = a_check(stands(standing))
    order = an_order("ann", side, quantity, "10")
    if passes:
        check.check(holding(held).venue, order)
        return
    with pytest.raises(RiskLimitError, match=r"max_var of ann is 12\.5, its bound 10") as denied:
        check.check(holding(held).venue, order)
    assert (denied.value.limit, denied.value.standing) == ("max_var", standing)
    assert check.denied == 1


def test_open_orders_count_so_that_many_small_ones_cannot_turn_a_position() -> None:
    trading = holding(5)
    check, _ = a_check(stands())
    trading.limit("ann", "sell", "3", "11")
    check.check(trading.venue, an_order("ann", "sell", "2", "11"))
    with pytest.raises(RiskLimitError):
        check.check(trading.venue, an_order("ann", "sell", "3", "11"))


def test_cancels_pass_and_so_do_orders_of_others() -> None:
    trading = holding(5)
    check, _ = a_check(stands(Standing.HALTED))
    check.check(trading.venue, CancelOrder(account="ann", order_id=1))
    check.check(trading.venue, CancelOrders(account="ann"))
    check.check(trading.venue, an_order("bob", "buy", "1", "10"))


def test_an_order_may_be_made_smaller_but_not_larger() -> None:
    trading = holding(5)
    check, _ = a_check(stands())
    opened = trading.limit("ann", "buy", "3", "9").orders[0]

    def amended(quantity: int) -> AmendOrder:
        return AmendOrder(
            account="ann", order_id=opened.order_id, quantity=opened.quantity - 3 + quantity
        )

    check.check(trading.venue, amended(2))
    with pytest.raises(RiskLimitError):
        check.check(trading.venue, amended(4))


def test_an_order_that_was_placed_before_gets_its_first_answer() -> None:
    trading = holding(5)
    check, _ = a_check(stands())
    order = an_order("ann", "buy", "1", "9", client_order_id="mine")
    trading.do(order)
    check.check(trading.venue, order)


@pytest.mark.parametrize("limit", ["max_position", "max_gross"])
def test_an_order_may_not_lead_beyond_a_limit_on_what_is_held(limit: str) -> None:
    trading = holding(5)
    check, _ = a_check(stands(Standing.ACTIVE, {limit: 60.0}))
    check.check(trading.venue, an_order("ann", "buy", "1", "10"))
    with pytest.raises(RiskLimitError) as denied:
        check.check(trading.venue, an_order("ann", "buy", "2", "10"))
    assert (denied.value.limit, denied.value.bound, denied.value.value) == (limit, 60.0, 70.0)


@pytest.mark.parametrize("quantity", ["1E+999999999", "1E+12", "0", "-5"])
def test_a_quantity_that_no_order_can_have_is_left_to_the_venue(quantity: str) -> None:
    check, _ = a_check(stands(Standing.ACTIVE, {"max_position": 1.0}))
    trading = holding(5)
    check.check(trading.venue, an_order("ann", "buy", quantity, "10"))
    order = trading.limit("ann", "sell", "1", "11").orders[0]
    changed = AmendOrder(account="ann", order_id=order.order_id, quantity=Decimal(quantity))
    check.check(trading.venue, changed)


def test_while_risk_is_silent_only_what_reduces_passes_or_everything() -> None:
    trading = holding(5)
    check, time = a_check(stands(Standing.ACTIVE))
    buy, sell = an_order("ann", "buy", "1", "10"), an_order("ann", "sell", "1", "10")
    check.check(trading.venue, buy)
    time.now += 3.0
    check.check(trading.venue, sell)
    with pytest.raises(RiskLimitError, match="risk_silence_s of ann is 3, its bound 3"):
        check.check(trading.venue, buy)
    open_check, _ = a_check(fail_open=True)
    open_check.check(trading.venue, buy)
    never_heard, _ = a_check()
    with pytest.raises(RiskLimitError):
        never_heard.check(trading.venue, buy)


def test_what_was_told_last_holds_even_while_risk_is_silent_and_orders_are_taken() -> None:
    check, time = a_check(stands(), fail_open=True)
    time.now += 60.0
    with pytest.raises(RiskLimitError, match="max_var"):
        check.check(holding(5).venue, an_order("ann", "buy", "1", "10"))


class Risk:
    """A stand-in for the risk service: where accounts stand, and that it changed."""

    def __init__(self) -> None:
        self.told: list[PortfolioStanding] = []
        self.hub = Hub(epoch="0000000c", history=10, kinds=["limit"])

    async def standings(self, _: Request) -> Response:
        return Response(encode(self.told))

    def tell(self, *told: PortfolioStanding) -> None:
        self.told = list(told)
        self.hub.publish(LimitTold())


@asynccontextmanager
async def a_risk() -> AsyncIterator[tuple[Risk, str]]:
    risk = Risk()
    stream = StreamEndpoint(risk.hub, StreamSettings())
    app = Starlette(routes=[Route("/standings", risk.standings), Route("/stream", stream)])
    async with serving(app, ServerSettings(farewell_s=0.05), risk.hub.close) as url:
        yield risk, url


async def test_a_denial_is_a_problem_with_limit_and_value(tmp_path: Path) -> None:
    async with (
        a_risk() as (risk, url),
        a_market(tmp_path, TCS, pre_trade=PreTradeSettings(url=url)) as market,
    ):
        await market.opens()
        pre_trade = market.exchange.pre_trade
        assert pre_trade is not None
        await eventually(lambda: not pre_trade.is_silent)
        assert (await market.order()).status_code == 200
        risk.tell(stands(Standing.HALTED))
        await eventually(lambda: bool(pre_trade.standings("ann")))
        head = market.exchange.orders.hub.id
        denied = await market.order()
        assert denied.status_code == 409
        async with asked(f"{market.base}/accounts/ann/stream?last_event_id={head}") as told:
            fact = (await told.until(lambda block: block.event == "order_rejected"))[-1].data
        assert (fact["code"], f"{fact['reason']}.") == ("risk-limit", denied.json()["detail"])
        assert denied.headers["content-type"] == "application/problem+json"
        assert denied.json() == {
            "type": "risk-limit",
            "title": "Risk limit",
            "status": 409,
            "detail": "max_var of ann is 12.5, its bound 10; it is halted, and only orders that"
            " reduce a position are taken.",
            "limit": "max_var",
            "bound": 10.0,
            "value": 12.5,
            "standing": "halted",
        }
        assert "sandpit_denied_orders_total 1.0" in (await market.get("/metrics")).text
        assert (await market.order(side="sell")).status_code == 200
        risk.tell()
        await eventually(lambda: not pre_trade.standings("ann"))
        assert (await market.order()).status_code == 200


@pytest.mark.parametrize(("fail_open", "status"), [(False, 409), (True, 200)])
async def test_an_exchange_that_hears_nothing_of_risk_fails_as_it_was_told(
    tmp_path: Path, fail_open: bool, status: int
) -> None:
    asked = replace(SETTINGS, fail_open=fail_open)
    async with a_market(tmp_path, TCS, pre_trade=asked) as market:
        await market.opens()
        assert (await market.order()).status_code == status


def test_risk_is_not_asked_unless_a_setting_says_so(tmp_path: Path) -> None:
    assert PreTradeSettings.from_env(environment(process={})) is None
    on = {"PRE_TRADE_RISK": "on", "PRE_TRADE_FAIL": "open", "RISK_PORT": "18084"}
    found = PreTradeSettings.from_env(environment(process=on))
    assert found == PreTradeSettings(url="http://127.0.0.1:18084", fail_open=True)
    assert settings(tmp_path, sources={}).pre_trade is None
