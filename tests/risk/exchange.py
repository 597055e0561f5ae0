"""A stand-in for the exchange: the parts of its contract that risk reads, over a real server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from market.events import Snapshot, SourceState, Tick
from market.hub import Filter, Hub
from market.problems import HANDLERS, ProblemError
from market.server import ServerSettings, serving
from market.streaming import StreamEndpoint, StreamSettings
from market.wire import encode
from tests.risk.builders import walks


@dataclass
class Exchange:
    hub: Hub
    ticks: list[Tick] = field(default_factory=list)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

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
        if name not in self.accounts:
            raise ProblemError(404, "unknown-account", "none")
        return Response(encode({"account": name, **self.accounts[name]}))

    async def history(self, request: Request) -> Response:
        symbol = request.query_params["symbol"]
        return Response(encode([tick for tick in self.ticks if tick.symbol == symbol][::-1]))


@asynccontextmanager
async def an_exchange(port: int = 0) -> AsyncIterator[tuple[Exchange, str]]:
    """Serve an exchange that remembers 50 ticks of each symbol."""

    def snapshot(_: Filter, id: str) -> Snapshot:
        return Snapshot(id=id, ticks=tuple(exchange.latest().values()), sources={})

    hub = Hub(
        epoch="0000000a", history=10_000, kinds=[Tick.kind, SourceState.kind], snapshot=snapshot
    )
    exchange = Exchange(hub)
    exchange.tick(*walks(1, 50))
    app = Starlette(
        routes=[
            Route("/stream", StreamEndpoint(hub, StreamSettings())),
            Route("/market-data/{symbol}", exchange.market_data),
            Route("/accounts/{account}", exchange.account),
            Route("/ticks", exchange.history),
        ],
        exception_handlers=HANDLERS,
    )
    async with serving(app, ServerSettings(port=port, farewell_s=0.1), hub.close) as url:
        yield exchange, url
