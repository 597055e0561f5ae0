import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from time import monotonic

import httpx

from charts.accounts_reader import AccountsReader
from charts.board import Board
from charts.exchange_client import Archive, ExchangeClient
from charts.facts import AccountSeen, AccountSnapshot, OrderSeen
from market.wire import EventId, encode, frame
from tests.streams import eventually


class Endless(httpx.AsyncByteStream):
    """A body that begins with some bytes and never ends."""

    def __init__(self, first: bytes) -> None:
        self._first = first

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._first
        await asyncio.Event().wait()


class Exchange:
    """Accounts without a past, each with one open order; each stream begins with how it stands."""

    def __init__(self, *names: str) -> None:
        self.names, self.status = list(names), 200

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.endswith("/stream"):
            return self._stream(path.split("/")[2])
        accounts = [an_account(name) for name in self.names] if path == "/accounts" else []
        return httpx.Response(self.status, content=encode(accounts))

    def _stream(self, name: str) -> httpx.Response:
        if name not in self.names:
            return httpx.Response(404)
        snapshot = AccountSnapshot(account=an_account(name), orders=(an_order(),))
        first = frame("snapshot", encode(snapshot), id=EventId("0000cafe", 1))
        kind = {"content-type": "text/event-stream"}
        return httpx.Response(200, headers=kind, stream=Endless(first))


def an_account(name: str) -> AccountSeen:
    one = Decimal(1)
    return AccountSeen(account=name, equity=one, realized_pnl=one, unrealized_pnl=one, fees=one)


def an_order() -> OrderSeen:
    amounts = {"quantity": Decimal(2), "filled_quantity": Decimal(0), "price": Decimal(99)}
    return OrderSeen(order_id=7, symbol="BTC", side="buy", type="limit", **amounts)


@asynccontextmanager
async def reading(
    exchange: Exchange, board: Board, *, most: int = 5, now: Callable[[], float] = monotonic
) -> AsyncIterator[AccountsReader]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(exchange.answer)) as client:
        asking = ExchangeClient(client, "http://exchange", timeout_s=1.0)
        reader = AccountsReader(
            board, asking, Archive(asking), client, most=most, tell=lambda *_: None, now=now
        )
        task = asyncio.create_task(reader.run())
        yield reader
        task.cancel()
        await asyncio.wait([task])


async def test_orders_told_before_the_market_was_seen_to_be_new_are_told_again() -> None:
    exchange, board = Exchange("me"), Board("0000beef")
    async with reading(exchange, board) as reader:
        await eventually(lambda: bool(board.get("orders", "me")))
        board.reset("0000d00d", kept=("link",))
        reader.reset()
        await eventually(lambda: bool(board.get("orders", "me")))
    assert board.get("orders", "me")[0]["order_id"] == 7


async def test_accounts_of_a_market_that_is_no_more_take_no_place() -> None:
    exchange, board = Exchange("old"), Board("0000beef")
    async with reading(exchange, board, most=1) as reader:
        await eventually(lambda: reader.followed == ["old"])
        exchange.names = ["new"]
        board.reset("0000d00d", kept=("link",))
        reader.reset()
        await eventually(lambda: reader.followed == ["new"])
        await eventually(lambda: board.get("account", "new") is not None)
    assert board.get("account", "old") is None


async def test_accounts_that_are_not_answered_are_said_to_be_old() -> None:
    exchange, board = Exchange("me"), Board("0000beef")
    async with reading(exchange, board) as reader:
        await eventually(lambda: board.get("account", "me") is not None)
        assert board.get("link", "accounts")["state"] == "live"
        exchange.status = 503
        reader.hurry()
        await eventually(lambda: bool(board.get("link", "accounts")["state"] == "lost"))
        exchange.status = 200
        reader.hurry()
        await eventually(lambda: bool(board.get("link", "accounts")["state"] == "live"))


async def test_an_account_that_nobody_looked_at_gives_its_place_though_the_clock_just_began() -> (
    None
):
    exchange, board = Exchange("me", "you"), Board("0000beef")
    async with reading(exchange, board, most=1, now=lambda: 1.0) as reader:
        await eventually(lambda: reader.followed == ["me"])
        reader.want("you")
        assert reader.followed == ["you"]
        reader.want("me")
        assert reader.followed == ["you"]
