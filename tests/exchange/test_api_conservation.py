"""Many clients at once, over HTTP: money and quantities only ever change hands."""

import asyncio
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from structlog.testing import capture_logs

from exchange.rules import Rules
from tests.exchange.markets import BTC, HOUSE, META, PRICES, TCS, Market, a_market
from tests.exchange.plain_client import Answer, PlainClient
from tests.exchange.test_app import check_identity, exact

CLIENTS, COMMANDS = 20, 150
KNOWN = {200, 404, 409, 413, 422}
FEES = Rules(
    house=HOUSE,
    max_open_orders=200,
    maker_fee_bps=Decimal("-0.3"),
    taker_fee_bps=Decimal("7.7"),
)
BAD = (
    b"",
    b"[" * 5000,
    b"\xff\xfe",
    b" " * 70_000,
    b'{"account":"client1","symbol":"TCS","side":"buy","quantity":NaN}',
    b'{"account":"client1","symbol":"TCS","side":"buy","quantity":1e999}',
    b'{"account":"client1","symbol":"TCS","side":"buy","quantity":-1}',
    b'{"account":"house","symbol":"TCS","side":"buy","quantity":1}',
)
MODES = ("none", "expire_taker", "expire_maker", "expire_both", "decrement")


class Trader:
    """Sends random commands, good and bad ones, and counts the statuses of the answers."""

    def __init__(self, market: Market, number: int) -> None:
        self.random, self.name = Random(number), f"client{number}"
        self.market, self.client = market, PlainClient(market.base)
        self.statuses = Counter[int]()
        self._mine = [1]
        self._named: list[tuple[dict[str, Any], Answer]] = []
        self._ways = {
            self._place: 60,
            self._cancel: 10,
            self._cancel_all: 3,
            self._amend: 12,
            self._repeat: 6,
            self._bad: 3,
            self._tick: 3,
            self._look: 3,
        }

    async def trade(self) -> None:
        """Send everything; the connection ends with it."""
        number = int(self.name.removeprefix("client"))
        if number % 2:
            terms = {"short_selling": True, "leverage": 1 + number % 3}
            await self.client.ask("PUT", f"/accounts/{self.name}", terms)
        ways, weights = list(self._ways), list(self._ways.values())
        for turn in range(COMMANDS):
            (way,) = self.random.choices(ways, weights)
            self.statuses[(await way(turn)).status] += 1
        await self.client.ask("DELETE", f"/orders?account={self.name}")
        await self.client.close()

    async def _place(self, turn: int) -> Answer:
        body = an_order(self.random, self.name)
        if self.random.random() < 0.5:
            body["client_order_id"] = str(turn)
        got = await self.client.ask("POST", "/orders", body)
        if got.status == 200:
            self._mine.append(json.loads(got.body)["order_id"])
            if "client_order_id" in body:
                self._named.append((body, got))
        return got

    async def _cancel(self, _: int) -> Answer:
        return await self.client.ask("DELETE", f"/orders/{self._one()}")

    async def _cancel_all(self, _: int) -> Answer:
        only = self.random.choice(["", "&symbol=TCS"])
        return await self.client.ask("DELETE", f"/orders?account={self.name}{only}")

    async def _amend(self, _: int) -> Answer:
        body: dict[str, Any] = {"quantity": self.random.randint(1, 9)}
        if self.random.random() < 0.5:
            body["price"] = 33.95 + self.random.randint(-3, 3)
        return await self.client.ask("PATCH", f"/orders/{self._one()}", body)

    async def _repeat(self, turn: int) -> Answer:
        if not self._named:
            return await self._place(turn)
        body, first = self.random.choice(self._named)
        again = await self.client.ask("POST", "/orders", body)
        assert again == first
        return again

    async def _bad(self, _: int) -> Answer:
        path = self.random.choice(["/orders", "/buy", "/sell"])
        return await self.client.ask("POST", path, self.random.choice(BAD))

    async def _tick(self, turn: int) -> Answer:
        symbol = self.random.choice([BTC, TCS, META])
        self.market.sources[symbol].tick(PRICES[symbol] + self.random.randint(-3, 3))
        return await self._look(turn)

    async def _look(self, _: int) -> Answer:
        return await self.client.ask("GET", f"/accounts/{self.name}")

    def _one(self) -> int:
        return self.random.choice(self._mine[-20:])


def an_order(random: Random, account: str) -> dict[str, Any]:
    symbol = random.choice([BTC, TCS, META])
    body: dict[str, Any] = {
        "account": account,
        "symbol": symbol,
        "side": random.choice(["buy", "sell"]),
        "quantity": random.randint(1, 9),
        "type": random.choice(["market", "limit", "limit", "stop", "stop_limit"]),
        "self_trade_prevention": random.choice(MODES),
    }
    near = float(PRICES[symbol]) + random.randint(-3, 3)
    if symbol == BTC:
        body["quantity"] = round(0.00017 * body["quantity"], 5)
    if "stop" in body["type"]:
        body["stop_price"] = near
    if "limit" in body["type"]:
        body["price"] = near
    if body["type"] == "limit":
        body |= random.choice(
            [
                {"time_in_force": "IOC"},
                {"time_in_force": "FOK"},
                {"time_in_force": "GTD", "expire_time": "2999-01-01T00:00:00Z"},
                {"post_only": True},
                {"display_quantity": 0.00017 if symbol == BTC else 1},
            ]
        )
    return body


@pytest.mark.no_cover
async def test_money_and_quantities_are_conserved_to_the_digit(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with a_market(tmp_path, rules=FEES) as market:
            traders = [Trader(market, number) for number in range(CLIENTS)]
            await asyncio.gather(*(trader.trade() for trader in traders))
            names = [one["account"] for one in (await market.get("/accounts")).json()]
            answers = [await market.get(f"/accounts/{name}") for name in (*names, "house", "fees")]
    accounts = [exact(answer.text) for answer in answers]
    statuses = sum((trader.statuses for trader in traders), Counter[int]())
    assert statuses.total() == CLIENTS * COMMANDS
    assert statuses.keys() <= KNOWN
    assert statuses[200] > CLIENTS * COMMANDS / 2
    assert sum(one["cash"] - one["starting_cash"] for one in accounts) == 0
    for symbol in (BTC, TCS, META):
        held = [
            p["quantity"] for one in accounts for p in one["positions"] if p["symbol"] == symbol
        ]
        assert sum(held) == 0
        assert any(held)
    for account in accounts:
        check_identity(account)
        assert account["locked_cash"] == 0
    assert not [log for log in logs if log["log_level"] in ("error", "critical")]
