"""Many clients at once, over HTTP: money and quantities only ever change hands."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from structlog.testing import capture_logs

from exchange.rules import Rules
from tests.exchange.markets import BTC, HOUSE, META, PRICES, TCS, Market, a_market
from tests.exchange.test_app import check_identity, exact

CLIENTS, COMMANDS = 20, 20
KNOWN = {200, 404, 409, 422}
FEES = Rules(
    house=HOUSE,
    max_open_orders=200,
    maker_fee_bps=Decimal("-0.3"),
    taker_fee_bps=Decimal("7.7"),
)


async def client(market: Market, number: int) -> set[int]:
    """Send random commands, good and bad ones; return the statuses of the answers."""
    random, name = Random(number), f"client{number}"
    statuses: set[int] = set()
    if number % 4 == 0:
        await market.client.put(f"/accounts/{name}", json={"short_selling": True, "leverage": 3})
    for _ in range(COMMANDS):
        kind = random.random()
        if kind < 0.6:
            got = await market.client.post("/orders", content=an_order(random, name))
        elif kind < 0.7:
            got = await market.client.delete(f"/orders/{random.randint(1, 400)}")
        elif kind < 0.75:
            got = await market.client.delete(f"/orders?account={name}")
        elif kind < 0.9:
            body = {"quantity": random.randint(1, 5)}
            got = await market.client.patch(f"/orders/{random.randint(1, 400)}", json=body)
        else:
            symbol = random.choice([BTC, TCS, META])
            market.sources[symbol].tick(PRICES[symbol] + random.randint(-3, 3))
            got = await market.get(f"/accounts/{name}")
        statuses.add(got.status_code)
    return statuses


def an_order(random: Random, account: str) -> str:
    symbol = random.choice([BTC, TCS, META])
    body: dict[str, Any] = {
        "account": account,
        "symbol": symbol,
        "side": random.choice(["buy", "sell"]),
        "quantity": 0.00017 * random.randint(1, 9) if symbol == BTC else random.randint(1, 9),
        "type": random.choice(["market", "limit", "limit", "stop", "stop_limit"]),
    }
    near = float(PRICES[symbol]) + random.randint(-3, 3)
    if symbol == BTC:
        body["quantity"] = round(body["quantity"], 5)
    if "limit" in body["type"]:
        body["price"] = near
        body["time_in_force"] = random.choice(["GTC", "GTC", "IOC", "FOK"])
    if "stop" in body["type"]:
        body["stop_price"] = near
        body["time_in_force"] = "GTC"
    return json.dumps(body)


async def test_money_and_quantities_are_conserved_to_the_digit(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with a_market(tmp_path, rules=FEES) as market:
            told = await asyncio.gather(*(client(market, n) for n in range(CLIENTS)))
            await asyncio.gather(
                *(market.client.delete(f"/orders?account=client{n}") for n in range(CLIENTS))
            )
            names = [one["account"] for one in (await market.get("/accounts")).json()]
            answers = [await market.get(f"/accounts/{name}") for name in (*names, "house", "fees")]
    accounts = [exact(answer.text) for answer in answers]
    assert set().union(*told) <= KNOWN
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
