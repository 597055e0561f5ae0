"""A small exchange over real HTTP that fills at the last tick, and misbehaves when told to."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bots import Blotter
from market.connection import OUTLET
from market.events import Fact, Snapshot, Tick
from market.orders import Liquidity, OrderFact, OrderFilled
from market.problems import HANDLERS, ProblemError
from market.server import ServerSettings, serving
from market.values import Side, Symbol
from market.wire import EventId, encode, frame

Fault = Callable[[Request], Response | None]
CASH = Decimal(1_000_000)


class PaperExchange:
    """Contract shapes over a dictionary; a ``fault`` before or after an order is used up by it."""

    def __init__(self) -> None:
        self.before: deque[Fault] = deque()
        self.after: deque[Fault] = deque()
        self.orders: dict[int, dict[str, Any]] = {}
        self.accounts: dict[str, Blotter] = {}
        self.prices: dict[Symbol, Decimal] = {}
        self.bodies: list[dict[str, Any]] = []
        self._frames: list[bytes] = []
        self._own: dict[str, list[bytes]] = {}
        self.own_streams = 0
        self.looked_up = 0
        self._news = asyncio.Event()
        self._trades = 0
        self.open = True
        self.hidden: ProblemError | None = None  # why no account is shown
        self.asked = 0
        self.on_list: deque[Callable[[], None]] = deque()  # what happens before orders are listed

    def publish(self, fact: Fact) -> None:
        if isinstance(fact, Tick):
            self.prices[fact.symbol] = fact.price
            for blotter in self.accounts.values():
                blotter.mark(fact.symbol, fact.price)
        place = EventId("00000001", len(self._frames) + 1)
        self._frames.append(frame(fact.kind, encode(fact), id=place))
        self._wake()

    @asynccontextmanager
    async def served(self, port: int = 0) -> AsyncIterator[str]:
        routes = [
            Route("/stream", self._stream),
            Route("/orders", self._place, methods=["POST"]),
            Route("/orders", self._list),
            Route("/orders/{number:int}", self._show),
            Route("/orders/{number:int}", self._cancel, methods=["DELETE"]),
            Route("/orders/{number:int}", self._amend, methods=["PATCH"]),
            Route("/accounts/{name}", self._account),
            Route("/accounts/{name}/stream", self._own_stream),
        ]
        app = Starlette(routes=routes, exception_handlers=HANDLERS)
        self.open = True
        async with serving(app, ServerSettings(port=port, farewell_s=0.05), self.close) as url:
            yield url

    def trade(self, account: str, body: dict[str, Any]) -> dict[str, Any]:
        """Fill a market order at the last tick; let a limit order rest."""
        number = len(self.orders) + 1
        order = {
            "order_id": number,
            "client_order_id": body.get("client_order_id"),
            "account": account,
            "symbol": body["symbol"],
            "side": body["side"],
            "type": body["type"],
            "time_in_force": "GTC",
            "status": "open",
            "quantity": Decimal(str(body["quantity"])),
            "filled_quantity": Decimal(0),
            "average_price": None,
            "fee": Decimal(0),
            "fills": [],
            "time": datetime.now(UTC),
        }
        self.orders[number] = order
        if body["type"] == "market":
            self.fill(number, self.prices[body["symbol"]])
        return order

    def fill(self, number: int, price: Decimal) -> None:
        order = self.orders[number]
        self._trades += 1
        fill = OrderFilled(
            order_id=number,
            account=order["account"],
            symbol=order["symbol"],
            time=order["time"],
            side=Side(order["side"]),
            price=price,
            quantity=order["quantity"],
            fee=Decimal("0.01"),
            liquidity=Liquidity.TAKER,
            trade_id=self._trades,
        )
        self.accounts.setdefault(order["account"], Blotter(CASH)).apply(fill)
        told = {name: getattr(fill, name) for name in ("trade_id", "price", "quantity", "fee")}
        order["fills"].append({**told, "liquidity": "taker"})
        order |= {"status": "filled", "filled_quantity": order["quantity"]}
        self._tell(fill)

    def _tell(self, fact: OrderFact) -> None:
        """Put a fact on the stream of its account."""
        told = self._own.setdefault(fact.account, [])
        place = EventId("00000002", len(told) + 1)
        told.append(frame(fact.kind, encode(fact), id=place))
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def close(self) -> None:
        self.open = False
        self._wake()

    async def _stream(self, request: Request) -> Response:
        resumed = EventId.parse(request.headers.get("last-event-id", ""))
        events = self._events(resumed, self._frames, "00000001")
        return StreamingResponse(events, media_type="text/event-stream")

    async def _own_stream(self, request: Request) -> Response:
        self.own_streams += 1
        resumed = EventId.parse(request.headers.get("last-event-id", ""))
        told = self._own.setdefault(request.path_params["name"], [])
        return StreamingResponse(
            self._events(resumed, told, "00000002"), media_type="text/event-stream"
        )

    async def _events(
        self, resumed: EventId | None, frames: list[bytes], epoch: str
    ) -> AsyncIterator[bytes]:
        sent = resumed.n if resumed else len(frames)
        if resumed is None:
            here = EventId(epoch, sent)
            yield frame("snapshot", encode(Snapshot(id=str(here), ticks=())), id=here, retry_ms=10)
        while self.open:
            news = self._news
            for each in frames[sent:]:
                yield each
            sent = len(frames)
            await news.wait()

    async def _place(self, request: Request) -> Response:
        body = msgspec.json.decode(await request.body())
        self.bodies.append(body)
        if self.before and (answer := self.before.popleft()(request)):
            return answer
        known = [
            order
            for order in self.orders.values()
            if order["client_order_id"] == body.get("client_order_id")
        ]
        order = known[0] if known else self.trade(body["account"], body)
        if self.after and (answer := self.after.popleft()(request)):
            return answer
        return Response(encode(order))

    async def _list(self, request: Request) -> Response:
        account = request.query_params["account"]
        if self.on_list:
            self.on_list.popleft()()
        asked = request.query_params
        since, before = int(asked.get("since", 0)), int(asked.get("before", 10**9))
        found = [
            order
            for number, order in reversed(self.orders.items())
            if order["account"] == account
            and since < number < before
            and asked.get("status", order["status"]) == order["status"]
        ]
        return Response(encode(found[: int(asked.get("limit", 1000))]))

    async def _show(self, request: Request) -> Response:
        self.looked_up += 1
        return Response(encode(self._found(request)))

    async def _cancel(self, request: Request) -> Response:
        order = self._found(request)
        if order["status"] != "open":
            raise ProblemError(409, "not-cancellable", "It is done.")
        order["status"] = "cancelled"
        return Response(encode(order))

    async def _amend(self, request: Request) -> Response:
        order, body = self._found(request), msgspec.json.decode(await request.body())
        if order["status"] != "open":
            raise ProblemError(409, "not-amendable", "It is done.")
        order["quantity"] = Decimal(str(body["quantity"]))
        return Response(encode(order))

    def _found(self, request: Request) -> dict[str, Any]:
        order = self.orders.get(request.path_params["number"])
        if order is None:
            raise ProblemError(404, "unknown-order", "There is no such order.")
        return order

    async def _account(self, request: Request) -> Response:
        name = request.path_params["name"]
        self.asked += 1
        if self.hidden is not None:
            raise self.hidden
        blotter = self.accounts.get(name)
        if blotter is None:
            raise ProblemError(404, "unknown-account", "There is no such account.")
        positions = [
            {
                "symbol": of,
                "quantity": position.quantity,
                "average_price": position.average_price.quantize(Decimal("1e-12")),
                "mark": self.prices[of],
                "unrealized_pnl": position.unrealized_pnl(self.prices[of]),
            }
            for of, position in blotter.positions.items()
        ]
        members = ("cash", "equity", "realized_pnl", "unrealized_pnl", "fees")
        figures = {member: getattr(blotter, member) for member in members}
        return Response(encode({"account": name, **figures, "positions": positions}))


def hang_up(request: Request) -> None:
    """Break the connection, so that the client never hears an answer."""
    request.scope["extensions"][OUTLET].transport.abort()


def refused(status: int, code: str, **headers: str) -> Fault:
    """Return the fault that refuses with a problem document."""

    def fault(_: Request) -> Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        raise ProblemError(status, code, "The test wants it so.", headers=named)

    return fault


def garbled(_: Request) -> Response:
    """Answer what is no order."""
    return Response(b'{"order_id":')
