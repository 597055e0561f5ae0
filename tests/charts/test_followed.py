import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from charts.followed import Followed
from market.feed import FeedLost, FeedOpened
from market.orders import AmendRejected, OrderAccepted, OrderRejected, OrderType
from market.values import Side, Symbol

BTC = Symbol("BTC")


@pytest.fixture
async def followed() -> AsyncIterator[Followed]:
    reading = asyncio.create_task(asyncio.sleep(60))
    yield Followed(reading)
    reading.cancel()


def accepted(*, age_s: float = 0.0) -> OrderAccepted:
    return OrderAccepted(
        order_id=1,
        account="me",
        symbol=BTC,
        time=datetime.now(UTC) - timedelta(seconds=age_s),
        side=Side.BUY,
        type=OrderType.MARKET,
        quantity=Decimal(1),
    )


def rejected(reason: str = "too much") -> OrderRejected:
    now = datetime.now(UTC)
    return OrderRejected(
        order_id=0, account="me", symbol=BTC, time=now, code="insufficient-funds", reason=reason
    )


async def test_an_account_is_what_its_newest_order_was(followed: Followed) -> None:
    states = [followed.state]
    for fact in (FeedOpened(), accepted(age_s=100), accepted(), rejected(), accepted()):
        followed.note(fact)
        states.append(followed.state)
    followed.note(FeedLost(reason="gone", retry_s=1))
    states.append(followed.state)
    assert states == ["unread", "quiet", "quiet", "active", "refused", "active", "unread"]


async def test_a_fill_of_the_past_tells_that_it_acted(followed: Followed) -> None:
    followed.note(FeedOpened())
    fill = {"trade_id": 1, "order_id": 1, "time": datetime.now(UTC).timestamp()}
    followed.found([fill, fill | {"trade_id": 2, "time": None}])
    assert (followed.state, followed.fills) == ("active", 2)


async def test_refusals_are_all_counted_and_not_all_told(followed: Followed) -> None:
    texts = [followed.refusal(rejected()) for _ in range(3)]
    assert texts == ["an order in BTC was refused: too much", "", ""]
    assert followed.rejected == 3


async def test_a_refused_change_is_told_with_its_order(followed: Followed) -> None:
    now = datetime.now(UTC)
    fact = AmendRejected(
        order_id=7, account="me", symbol=BTC, time=now, code="off-grid", reason="no such price"
    )
    followed.note(fact)
    assert followed.refusal(fact) == "a change of order 7 in BTC was refused: no such price"
