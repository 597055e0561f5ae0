import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource, aconnect_sse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Message

from charts.board import Board
from charts.exchange_client import Archive, ExchangeClient
from charts.gallery import Gallery
from charts.live import Live, View
from market.events import State
from market.problems import ProblemError
from market.server import ServerSettings, serving
from market.streaming import StreamSettings
from tests.charts.builders import PaperMarket, a_tick, a_trade, charts_of, charts_over, down
from tests.streams import PATIENCE_S, a_client, eventually


class Page:
    """A page as the server sees it: it takes what it is sent, one connection long."""

    def __init__(self, source: EventSource) -> None:
        self._events = source.aiter_sse()
        self.kinds: list[str] = []
        self.ids: list[str] = []
        self.messages: list[dict[str, Any]] = []

    async def reads(self, messages: int) -> None:
        """Take so many more messages."""
        for _ in range(messages):
            await self._next()

    def messages_of(self, kind: str) -> dict[str, Any]:
        """Return all parts of a kind that came so far."""
        return {
            key: part for message in self.messages for key, part in message.get(kind, {}).items()
        }

    async def reads_until(self, kind: str) -> Any:
        """Return the next part of a kind."""
        while kind not in (message := await self._next()):
            pass
        return message[kind]

    async def _next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            while not (event := await anext(self._events)).data:
                pass
        self.kinds.append(event.event)
        self.ids.append(event.id)
        self.messages.append(json.loads(event.data))
        return self.messages[-1]


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with a_client(url) as client:
        yield client


async def hears(client: httpx.AsyncClient, symbol: str = "BTC") -> None:
    """Return when the charts have a price of a symbol."""
    await health(client, lambda body: symbol in body["ages"])


async def health(
    client: httpx.AsyncClient, is_so: Callable[[dict[str, Any]], bool]
) -> httpx.Response:
    """Return the first answer of /health that is so."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            answer = await client.get("/health")
            if is_so(answer.json()):
                return answer
            await asyncio.sleep(0.02)


@asynccontextmanager
async def page_of(
    client: httpx.AsyncClient, query: str = "symbol=BTC", last_id: str = ""
) -> AsyncIterator[Page]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    async with aconnect_sse(client, "GET", f"/live?{query}", headers=headers) as source:
        yield Page(source)


async def read(
    client: httpx.AsyncClient, messages: int, query: str = "symbol=BTC", last_id: str = ""
) -> Page:
    async with page_of(client, query, last_id) as page:
        await page.reads(messages)
    return page


async def test_a_page_begins_with_a_snapshot_and_goes_on_with_changes() -> None:
    paper = PaperMarket("BTC", "TCS")
    paper.tell(a_tick())
    async with charts_over(paper) as url, client_of(url) as client:
        await hears(client)
        async with page_of(client) as page:
            await page.reads_until("instrument")
            paper.tell(a_trade(trade_id=5))
            trades = await page.reads_until("trade")
    assert page.kinds[:2] == ["snapshot", "update"]
    assert page.messages[0]["tick"]["BTC"]["price"] == 100
    assert [each["trade_id"] for each in trades["entries"]] == [5]
    assert "instrument" not in page.messages[-1]


@asynccontextmanager
async def live_of(board: Board) -> AsyncIterator[tuple[Live, list[str]]]:
    """Give the stream of a board, and what the exchange, which has nothing, is asked for."""
    asked = list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(404)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as calls:
        archive = Archive(ExchangeClient(calls, "http://exchange", timeout_s=PATIENCE_S))
        gallery = Gallery(archive, stamp=board.change, kept=10, most=2)
        yield (
            Live(board, gallery, StreamSettings(), status=dict, rate=10.0, want=lambda _: None),
            asked,
        )
        gallery.drop()


async def test_a_page_that_came_before_anything_was_known_is_told_the_first_thing() -> None:
    board = Board("0000beef")
    async with AsyncExitStack() as stack:
        live, _ = await stack.enter_async_context(live_of(board))
        app = Starlette(routes=[Route("/live", live, methods=["GET"])])
        url = await stack.enter_async_context(serving(app, ServerSettings(), board.close))
        client = await stack.enter_async_context(client_of(url))
        page = await stack.enter_async_context(page_of(client, "account=me"))
        await page.reads(1)
        board.put("link", "exchange", {"state": "live"})
        await page.reads(1)
    assert page.kinds == ["snapshot", "update"]
    assert page.messages[1]["link"] == {"exchange": {"state": "live"}}


async def test_a_symbol_may_be_waited_for_until_it_is_known_which_there_are() -> None:
    board = Board("0000beef")
    board.put("tick", "BTC", {"price": 1})
    async with live_of(board) as (live, _):
        request = Request({"type": "http", "query_string": b"symbol=TCS", "headers": []})
        assert live.view(request).symbol == "TCS"
        board.put("instrument", "BTC", {"symbol": "BTC"})
        with pytest.raises(ProblemError):
            live.view(request)


async def test_candles_are_asked_for_of_what_is_listed_or_has_a_price_alone() -> None:
    board = Board("0000beef")
    async with live_of(board) as (live, asked):
        view = View("GONE", "5s", "")
        live.message(view, 0)
        board.put("instrument", "BTC", {"symbol": "BTC"})
        live.message(view, 0)
        await asyncio.sleep(0)
        assert asked == []
        board.put("tick", "GONE", {"price": 1})  # by an exchange that lists nothing
        live.message(view, 0)
        await eventually(lambda: asked != [])


async def test_a_market_that_begins_anew_before_the_first_message_makes_that_a_snapshot() -> None:
    board, sent = Board("0000beef"), asyncio.Queue[bytes]()
    for number in range(5):
        board.put("tick", "BTC", {"price": number})
    headers = [(b"last-event-id", b"0000beef-5")]

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            board.reset("0000d00d")
            board.put("tick", "TCS", {"price": 7})
        else:
            sent.put_nowait(message["body"])

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async with live_of(board) as (live, _):
        scope = {"type": "http", "method": "GET", "query_string": b"", "headers": headers}
        page = asyncio.create_task(live(scope, receive, send))
        async with asyncio.timeout(PATIENCE_S):
            first = await sent.get()
        page.cancel()
        await asyncio.wait([page])
    assert b"event: snapshot" in first
    assert b"id: 0000d00d-2" in first


async def test_a_storm_of_ticks_is_a_few_messages_a_second() -> None:
    paper = PaperMarket()
    paper.tell(a_tick())
    async with charts_over(paper, rate=10.0) as url, client_of(url) as client:
        await hears(client)
        began = monotonic()
        async with page_of(client) as page:
            reading = asyncio.create_task(page.reads(8))
            seq = 2
            while not reading.done():
                for _ in range(20):
                    paper.tell(a_tick(price=str(100 + seq % 7), seq=seq))
                    seq += 1
                await asyncio.sleep(0.01)
        took_s = monotonic() - began
    assert seq > 100
    assert took_s >= 0.65
    assert page.messages[-1]["tick"]["BTC"]["seq"] > 50


async def test_a_page_that_comes_back_gets_what_it_missed_and_nothing_else() -> None:
    paper = PaperMarket("BTC", "TCS")
    paper.tell(a_tick())
    paper.tell(a_trade(trade_id=1))
    async with charts_over(paper) as url, client_of(url) as client:
        await hears(client)
        first = await read(client, 2)
        paper.tell(a_trade(trade_id=2))
        paper.tell(a_trade(trade_id=3))
        again = await read(client, 1, last_id=first.ids[-1])
    assert again.kinds == ["update"]
    assert [each["trade_id"] for each in again.messages[0]["trade"]["entries"]] == [2, 3]
    assert "instrument" not in again.messages[0]


@pytest.mark.parametrize("last_id", ["0000aaaa-3", "nonsense", "0000beef-99999999"])
async def test_an_id_of_another_life_begins_anew(last_id: str) -> None:
    paper = PaperMarket()
    paper.tell(a_tick())
    async with charts_over(paper) as url, client_of(url) as client:
        await hears(client)
        assert (await read(client, 1, last_id=last_id)).kinds == ["snapshot"]


async def test_a_quiet_market_is_heard_of_all_the_same_and_grows_older() -> None:
    paper = PaperMarket()
    paper.tell(a_tick(age_s=30))
    async with charts_over(paper) as url, client_of(url) as client:
        await hears(client)
        page = await read(client, 3)
    ages = [message["status"]["ages"]["BTC"] for message in page.messages]
    assert ages[0] >= 30
    assert ages == sorted(ages)


async def test_a_source_that_is_lost_is_told_with_its_state() -> None:
    paper = PaperMarket()
    paper.tell(a_tick())
    async with charts_over(paper) as url, client_of(url) as client:
        await hears(client)
        paper.tell(down("BTC"))
        await health(client, lambda body: bool(body["sources"]["BTC"] == State.DOWN))
        page = await read(client, 1)
    assert page.messages[0]["source"]["BTC"]["state"] == "down"
    assert page.messages[0]["event"]["entries"][-1]["text"] == "the source is down"


async def test_prices_that_never_came_are_counted_and_the_chart_is_filled_anew() -> None:
    paper = PaperMarket()
    for seq in range(1, 30):
        paper.ticks["BTC"].append(a_tick(seq=seq, age_s=60.0 - seq))
    paper.tell(a_tick(seq=30, age_s=30))
    async with charts_over(paper) as url, client_of(url) as client:
        await hears(client)
        paper.tell(a_tick(seq=35, age_s=5))
        await health(client, lambda body: bool(body["missed"] == 4))


async def test_a_market_that_began_anew_takes_the_page_with_it(port: int) -> None:
    old, new = PaperMarket("BTC"), PaperMarket("TCS", epoch="0000d00d")
    old.tell(a_tick(seq=900))
    new.tell(a_tick("TCS", seq=1))
    async with AsyncExitStack() as first:
        exchange = await first.enter_async_context(old.served(port))
        async with charts_of(exchange) as url, client_of(url) as client, page_of(client) as page:
            await page.reads_until("tick")
            await first.aclose()
            async with new.served(port):
                while "TCS" not in page.messages[-1].get("tick", {}):
                    await page.reads(1)
                while "TCS" not in page.messages[-1].get("instrument", {}):
                    await page.reads(1)
    assert page.kinds.count("snapshot") == 2
    assert page.ids[0].split("-")[0] != page.ids[-1].split("-")[0]


async def test_a_symbol_that_the_exchange_has_no_more_goes_from_the_page(port: int) -> None:
    old, new = PaperMarket("BTC", "TCS"), PaperMarket("BTC")
    old.tell(a_tick())
    old.tell(a_tick("TCS"))
    for seq in (1, 2, 3):
        new.tell(a_tick(seq=seq))
    async with AsyncExitStack() as first:
        exchange = await first.enter_async_context(old.served(port))
        async with (
            charts_of(exchange) as url,
            client_of(url) as client,
            page_of(client, "symbol=TCS") as page,
        ):
            while "TCS" not in page.messages_of("instrument"):
                await page.reads(1)
            await first.aclose()
            async with new.served(port):
                while page.kinds.count("snapshot") < 2:
                    await page.reads(1)
                assert set(page.messages[-1]["tick"]) == {"BTC"}
                assert set(page.messages[-1]["source"]) == {"BTC"}
                await health(client, lambda body: list(body["ages"]) == ["BTC"])


async def test_the_chart_comes_with_its_history_and_moves_with_the_ticks() -> None:
    paper = PaperMarket()
    for seq in range(1, 100):
        paper.ticks["BTC"].append(a_tick(price=str(100 + seq), seq=seq, age_s=200.0 - seq))
    paper.tell(a_tick(price="200", seq=100, age_s=100))
    async with charts_over(paper) as url, client_of(url) as client:
        await hears(client)
        async with page_of(client, "symbol=BTC&interval=1s") as page:
            candles = await page.reads_until("candles")
            paper.tell(a_tick(price="300", seq=101))
            news = await page.reads_until("candles")
    assert candles["all"]
    assert len(candles["rows"]) >= 95
    closes = [row[4] for row in candles["rows"]]
    assert closes == sorted(closes)
    assert not news["all"]
    assert news["rows"][-1][4] == 300


async def test_the_candles_of_the_exchange_are_taken_where_it_keeps_them() -> None:
    paper = PaperMarket()
    paper.candles = [
        {
            "symbol": "BTC",
            "interval": "1d",
            "time": f"2026-01-0{day}T00:00:00.000000Z",
            "open": day,
            "high": day + 1,
            "low": day,
            "close": day,
            "volume": 5,
            "closed": day < 4,
        }
        for day in range(1, 5)
    ]
    paper.tell(a_tick())
    async with charts_over(paper) as url, client_of(url) as client:
        await hears(client)
        async with page_of(client, "symbol=BTC&interval=1d") as page:
            candles = await page.reads_until("candles")
    assert [row[1] for row in candles["rows"]] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("query", "status", "type"),
    [("symbol=NONE", 404, "unknown-symbol"), ("symbol=BTC&interval=7m", 422, "invalid-query")],
)
async def test_what_there_is_not_is_refused_in_words(query: str, status: int, type: str) -> None:
    paper = PaperMarket()
    paper.tell(a_tick())
    async with charts_over(paper) as url, client_of(url) as client:
        await hears(client)
        async with page_of(client) as page:
            await page.reads_until("instrument")
        answer = await client.get(f"/live?{query}")
    assert (answer.status_code, answer.json()["type"]) == (status, type)


async def test_pages_are_bounded() -> None:
    paper = PaperMarket()
    paper.tell(a_tick())
    limits = StreamSettings(max_streams=1)
    async with charts_over(paper, stream=limits) as url, client_of(url) as client:
        await hears(client)
        async with page_of(client) as page:
            await page.reads(1)
            answer = await client.get("/live")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


async def test_health_says_what_is_not_read() -> None:
    paper = PaperMarket()
    paper.tell(a_tick())
    async with charts_over(paper) as url, client_of(url) as client:
        await hears(client)
        paper.hub.close()
        answer = await health(client, lambda body: body["status"] == "down")
    assert answer.status_code == 503
    assert answer.json()["links"]["exchange"]["state"] == "lost"
