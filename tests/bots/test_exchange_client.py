"""The client against an exchange that refuses, breaks off, answers late or answers twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from random import Random

import pytest

from bots.exchange_client import ExchangeClient, ExchangeRefusedError, Patience
from market.orders import PlaceOrder, Status
from market.values import Side
from tests.bots.builders import TCS, a_tick
from tests.bots.paper_exchange import PaperExchange, garbled, hang_up, refused
from tests.streams import a_client

ORDER = PlaceOrder(
    account="me", symbol=TCS, side=Side.BUY, quantity=Decimal(5), client_order_id="me-1"
)


@asynccontextmanager
async def trading(
    exchange: PaperExchange, total_s: float = 20.0
) -> AsyncIterator[tuple[ExchangeClient, list[float]]]:
    """A client of a running exchange, and the waits that it was told to make but did not."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    exchange.publish(a_tick("33.95"))
    async with exchange.served() as url, a_client() as http:
        patience = Patience(total_s=total_s, first_s=0.01)
        yield ExchangeClient(http, url, rng=Random(1), patience=patience, sleep=sleep), waits


async def test_an_order_is_answered_with_its_fills() -> None:
    async with trading(PaperExchange()) as (client, _):
        answer = await client.place(ORDER)
    assert answer.status is Status.FILLED
    assert [(each.price, each.quantity) for each in answer.fills] == [
        (Decimal("33.95"), Decimal(5))
    ]


async def test_an_order_is_sent_in_the_words_of_the_contract() -> None:
    exchange = PaperExchange()
    async with trading(exchange) as (client, _):
        await client.place(ORDER)
    assert exchange.bodies == [
        {
            "account": "me",
            "symbol": "TCS",
            "side": "buy",
            "type": "market",
            "quantity": 5,
            "client_order_id": "me-1",
        }
    ]


async def test_an_order_whose_answer_was_lost_is_sent_again_and_executed_once() -> None:
    exchange = PaperExchange()
    exchange.after.append(hang_up)
    async with trading(exchange) as (client, waits):
        answer = await client.place(ORDER)
    assert len(exchange.bodies) == 2
    assert len(waits) == 1
    assert len(exchange.orders) == 1
    assert answer.order_id == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_busy_exchange_is_asked_again(status: int) -> None:
    exchange = PaperExchange()
    exchange.before.extend([refused(status, "busy")] * 3)
    async with trading(exchange) as (client, waits):
        assert (await client.place(ORDER)).status is Status.FILLED
    assert len(waits) == 3
    assert waits == sorted(waits)


async def test_the_exchange_may_say_how_long_to_wait() -> None:
    exchange = PaperExchange()
    exchange.before.append(refused(429, "too-many-orders", retry_after="1"))
    async with trading(exchange) as (client, waits):
        await client.place(ORDER)
    assert waits == [1.0]


async def test_a_wait_beyond_ones_patience_is_not_begun() -> None:
    exchange = PaperExchange()
    exchange.before.append(refused(429, "too-many-orders", retry_after="60"))
    async with trading(exchange) as (client, waits):
        with pytest.raises(ExchangeRefusedError) as refusal:
            await client.place(ORDER)
    assert (refusal.value.code, waits) == ("too-many-orders", [])


@pytest.mark.parametrize(
    ("status", "code"), [(404, "unknown-symbol"), (409, "insufficient-funds"), (422, "bad-body")]
)
async def test_a_refusal_is_final_and_told_by_its_name(status: int, code: str) -> None:
    exchange = PaperExchange()
    exchange.before.append(refused(status, code))
    async with trading(exchange) as (client, _):
        with pytest.raises(ExchangeRefusedError) as refusal:
            await client.place(ORDER)
    assert (refusal.value.code, refusal.value.is_sure) == (code, True)
    assert len(exchange.bodies) == 1


async def test_an_answer_that_is_no_order_leaves_doubt() -> None:
    exchange = PaperExchange()
    exchange.after.append(garbled)
    async with trading(exchange) as (client, _):
        with pytest.raises(ExchangeRefusedError) as refusal:
            await client.place(ORDER)
    assert (refusal.value.code, refusal.value.is_sure) == ("garbled-answer", False)


async def test_an_exchange_that_is_not_there_is_given_up_in_time() -> None:
    async with a_client() as http, asyncio.timeout(20):
        patience = Patience(total_s=0.05, first_s=0.01)
        client = ExchangeClient(http, "http://127.0.0.1:9", rng=Random(1), patience=patience)
        with pytest.raises(ExchangeRefusedError) as refusal:
            await client.place(ORDER)
    assert (refusal.value.code, refusal.value.is_sure) == ("exchange-unreachable", False)


async def test_an_account_that_was_never_opened_is_none() -> None:
    async with trading(PaperExchange()) as (client, _):
        assert await client.account("me") is None
        await client.place(ORDER)
        account = await client.account("me")
    assert account is not None
    assert account.cash == 1_000_000 - 5 * Decimal("33.95") - Decimal("0.01")
    assert account.books()[TCS].cost == 5 * Decimal("33.95")


async def test_a_key_goes_with_every_request() -> None:
    exchange, seen = PaperExchange(), list[str]()
    exchange.before.append(lambda request: seen.append(request.headers["authorization"]))
    exchange.publish(a_tick("33.95"))
    async with exchange.served() as url, a_client() as http:
        await ExchangeClient(http, url, rng=Random(1), key="s3cret").place(ORDER)
    assert seen == ["Bearer s3cret"]
