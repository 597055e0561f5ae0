from datetime import UTC, timedelta
from typing import Any

import httpx
import pytest

from charts import past_fills as module
from charts.exchange_client import ExchangeClient
from charts.past_fills import past_fills
from market.wire import encode
from tests.charts.builders import START


def an_order(number: int) -> dict[str, Any]:
    """An order, filled whole by the trade that has its number."""
    fill = {"trade_id": number, "price": 100, "quantity": 1}
    placed = {"symbol": "BTC", "side": "buy", "time": START + timedelta(seconds=number)}
    return {"order_id": number, "fills": [fill], **placed}


def a_trade(number: int) -> dict[str, Any]:
    shared = {"symbol": "BTC", "price": 100, "quantity": 1, "side": "buy"}
    return shared | {"trade_id": number, "time": START + timedelta(seconds=number + 0.5)}


class Listing:
    """An exchange that lists orders and trades by the hundred, the newest first."""

    def __init__(self, newest: int, oldest_trade: int = 1) -> None:
        self.asked: list[str] = []
        self._lists = {
            "/orders": [an_order(number) for number in range(newest, 0, -1)],
            "/trades": [a_trade(number) for number in range(newest, oldest_trade - 1, -1)],
        }

    def answer(self, request: httpx.Request) -> httpx.Response:
        path, begin = request.url.path, int(request.url.params.get("begin", 0))
        self.asked.append(path)
        whole, end = self._lists[path], begin + 100
        headers = {"Link": f'<{path}?begin={end}>; rel="next"'} if end < len(whole) else {}
        return httpx.Response(200, content=encode(whole[begin:end]), headers=headers)

    @property
    def client(self) -> ExchangeClient:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))
        return ExchangeClient(client, "http://exchange", timeout_s=1.0)


async def test_fills_are_looked_up_over_as_many_pages_as_there_are() -> None:
    listing = Listing(350)
    found = await past_fills(listing.client, "me", {})
    fills = found.by_symbol["BTC"]
    assert [fill["trade_id"] for fill in fills] == list(range(1, 351))
    assert fills[0]["time"] == (START + timedelta(seconds=1.5)).timestamp()
    assert found.since == fills[0]["time"]
    assert listing.asked == ["/orders"] * 4 + ["/trades"] * 4


async def test_where_trades_are_no_longer_listed_the_past_begins_with_the_oldest_that_is() -> None:
    found = await past_fills(Listing(350, oldest_trade=201).client, "me", {})
    times = [fill["time"] for fill in found.by_symbol["BTC"]]
    assert times[:200] == [None] * 200
    assert found.since == times[200] == START.timestamp() + 201.5


async def test_what_is_asked_for_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ORDERS", 200)
    listing = Listing(1000)
    found = await past_fills(listing.client, "me", {})
    assert listing.asked == ["/orders"] * 2 + ["/trades"] * 2
    assert found.since == START.astimezone(UTC).timestamp() + 801
