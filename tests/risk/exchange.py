"""A stand-in for the exchange: the parts of its contract that risk reads, over a real server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from market.events import Fact, Snapshot, SourceState, Tick
from market.filter import Filter
from market.hub import Hub
from market.orders import Liquidity, OrderFilled
from market.problems import HANDLERS, ProblemError
from market.server import ServerSettings, serving
from market.streaming import StreamEndpoint, StreamSettings
from market.values import Side, Symbol
from market.wire import encode
from tests.risk.builders import START, walks


@dataclass
class Exchange:
    hub: Hub
    ticks: list[Tick] = field(default_factory=list)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    joined: list[str] = field(default_factory=list)
    fills: Hub = field(default_factory=lambda: Hub(epoch="0000000b", history=1, kinds=[]))

    def tick(self, *ticks: Tick) -> None:
        for tick in ticks:
            self.ticks.append(tick)
            self.hub.publish(tick)

    def latest(self) -> dict[str, Tick]:
        return {tick.symbol: tick for tick in self.ticks}

    async def market_data(self, request: Request) -> Response:
        found = self.latest().get(request.path_params["symbol"])
        if found is None:
            raise ProblemError(404, "unknown-symbol", "none")
        return Response(encode(found), media_type="application/json")

    async def account(self, request: Request) -> Response:
        name = request.path_params["account"]
        self.asked.append(name)
        return Response(encode(self.view(request, name)))

    def view(self, request: Request, name: str) -> dict[str, Any]:
        given = request.headers.get("authorization")
        if given != (f"Bearer {self.keys[name]}" if name in self.keys else None):
            raise ProblemError(401 if given is None else 403, "key", "none")
        if name not in self.accounts:
            raise ProblemError(404, "unknown-account", "none")
        return {"account": name, **self.accounts[name]}

    def fill(self, account: str, side: Side, quantity: str, price: str, fee: str = "0") -> None:
        fact = OrderFilled(
            order_id=1,
            account=account,
            symbol=Symbol("BTC"),
            time=START,
            side=side,
            price=Decimal(price),
            quantity=Decimal(quantity),
            fee=Decimal(fee),
            liquidity=Liquidity.TAKER,
            trade_id=1,
        )
        self.fills.publish(fact)

    async def history(self, request: Request) -> Response:
        symbol = request.query_params["symbol"]
        return Response(encode([tick for tick in self.ticks if tick.symbol == symbol][::-1]))


class AccountSnapshot(Fact, frozen=True, kw_only=True):
    kind: ClassVar[str] = "snapshot"

    id: str
    account: dict[str, Any]
    orders: tuple[str, ...] = ()


class AccountStream(StreamEndpoint):
    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange.fills, StreamSettings())
        self._exchange = exchange

    def asked(self, request: Request) -> tuple[Filter, str | None]:
        account = request.path_params["account"]
        self._exchange.view(request, account)
        wishes, last_id = super().asked(request)
        return self.hub.filter(kinds=wishes.kinds, subjects=[account]), last_id


@asynccontextmanager
async def an_exchange(
    port: int = 0, *, account_streams: bool = False
) -> AsyncIterator[tuple[Exchange, str]]:
    """Serve an exchange that remembers 50 ticks of each symbol."""

    def account_snapshot(asked: Filter, id: str) -> Fact:
        name = next(iter(asked.subjects or ()))
        exchange.joined.append(name)
        return AccountSnapshot(id=id, account={"account": name, **exchange.accounts[name]})

    def snapshot(_: Filter, id: str) -> Snapshot:
        return Snapshot(id=id, ticks=tuple(exchange.latest().values()), sources={})

    hub = Hub(
        epoch="0000000a", history=10_000, kinds=[Tick.kind, SourceState.kind], snapshot=snapshot
    )
    fills = Hub(epoch="0000000b", history=100, kinds=[OrderFilled.kind], snapshot=account_snapshot)
    exchange = Exchange(hub, fills=fills)
    streams = [Route("/accounts/{account}/stream", AccountStream(exchange))]
    exchange.tick(*walks(1, 50))
    app = Starlette(
        routes=[
            Route("/stream", StreamEndpoint(hub, StreamSettings())),
            Route("/market-data/{symbol}", exchange.market_data),
            Route("/accounts/{account}", exchange.account),
            Route("/ticks", exchange.history),
            *(streams if account_streams else []),
        ],
        exception_handlers=HANDLERS,
    )

    def close() -> None:
        hub.close()
        fills.close()

    async with serving(app, ServerSettings(port=port, farewell_s=0.1), close) as url:
        yield exchange, url
