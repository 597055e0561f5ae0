"""Candles, ticks and a paper market: what the charts read, without the processes behind it."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import sin
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from charts.app import create_app
from charts.board import Board
from charts.candles import Candle
from charts.settings import Settings
from market.events import BookUpdate, Fact, Snapshot, SourceState, State, Tick, Trade
from market.filter import Filter
from market.hub import Hub
from market.orders import TradingState, TradingStateChanged
from market.server import ServerSettings, serving
from market.streaming import StreamEndpoint, StreamSettings
from market.values import Side, Symbol
from market.wire import encode

START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
KINDS = ("tick", "trade", "book", "source", "trading_state")


def waves(count: int, *, step_s: int = 60, volume: float = 10.0) -> list[Candle]:
    """Candles around a rising sine, the reference series of the indicators."""
    found: list[Candle] = []
    last = 100.0
    for x in range(count):
        close = round(100 + 5 * sin(x / 3) + 0.25 * x, 2)
        high, low = max(last, close) + 0.5, min(last, close) - 0.4
        found.append(Candle(x * step_s, last, high, low, close, volume))
        last = close
    return found


def a_tick(symbol: str = "BTC", price: str = "100", *, seq: int = 1, age_s: float = 0.0) -> Tick:
    return Tick(
        symbol=Symbol(symbol),
        price=Decimal(price),
        volume=Decimal(1),
        time=datetime.now(UTC) - timedelta(seconds=age_s),
        seq=seq,
    )


def a_trade(symbol: str = "BTC", *, trade_id: int = 1) -> Trade:
    return Trade(
        symbol=Symbol(symbol),
        price=Decimal(100),
        quantity=Decimal(2),
        side=Side.BUY,
        trade_id=trade_id,
        time=datetime.now(UTC),
    )


def a_halt(symbol: str, state: TradingState) -> TradingStateChanged:
    now = datetime.now(UTC)
    return TradingStateChanged(symbol=Symbol(symbol), state=state, reason="by hand", time=now)


class PaperMarket:
    """An exchange that says what it is told to, over HTTP and its stream."""

    def __init__(self, *symbols: str, epoch: str = "0000cafe") -> None:
        self.symbols = symbols or ("BTC",)
        self.hub = Hub(epoch=epoch, history=1000, kinds=KINDS, snapshot=self._snapshot)
        self.ticks: dict[str, list[Tick]] = {symbol: [] for symbol in self.symbols}
        self.accounts: list[dict[str, Any]] = []
        self.candles: list[dict[str, Any]] | None = None
        self.trading_state = "trading"
        self.bodies: list[bytes] = []
        self.answer: tuple[int, dict[str, Any]] = (200, {"order_id": 1})

    def tell(self, fact: Fact) -> None:
        if isinstance(fact, Tick):
            self.ticks[fact.symbol].append(fact)
        self.hub.publish(fact)

    def account(self, name: str, equity: float = 1000.0) -> None:
        money = ("cash", "realized_pnl", "unrealized_pnl", "fees")
        self.accounts.append({"account": name, "equity": equity, **dict.fromkeys(money, 0)})

    def served(self, port: int = 0) -> AbstractAsyncContextManager[str]:
        return serving(self.app(), ServerSettings(port=port), self.hub.close)

    def app(self) -> Starlette:
        stream = StreamEndpoint(self.hub, StreamSettings())
        return Starlette(
            routes=[
                Route("/stream", stream, methods=["GET"]),
                Route("/instruments", self._instruments),
                Route("/ticks", self._ticks),
                Route("/candles", self._candles),
                Route("/trades", self._empty),
                Route("/book/{symbol}", self._book),
                Route("/accounts", self._accounts),
                Route("/orders", self._orders, methods=["POST"]),
                Route("/orders/{id}", self._orders, methods=["DELETE"]),
            ]
        )

    def _snapshot(self, _: Filter, id: str) -> Snapshot:
        newest = tuple(ticks[-1] for ticks in self.ticks.values() if ticks)
        sources = {Symbol(symbol): State.UP for symbol in self.symbols}
        return Snapshot(id=id, ticks=newest, sources=sources)

    async def _instruments(self, _: Request) -> Response:
        shared = {"trading_state": self.trading_state}
        return _json([{"symbol": each, "name": each, **shared} for each in self.symbols])

    async def _ticks(self, request: Request) -> Response:
        ticks = self.ticks.get(request.query_params["symbol"])
        return Response(status_code=404) if ticks is None else _json(ticks[::-1])

    async def _candles(self, _: Request) -> Response:
        return Response(status_code=404) if self.candles is None else _json(self.candles)

    async def _empty(self, _: Request) -> Response:
        return _json([])

    async def _book(self, request: Request) -> Response:
        symbol = Symbol(request.path_params["symbol"])
        return _json(BookUpdate(symbol=symbol, bids=(), asks=(), time=START))

    async def _accounts(self, _: Request) -> Response:
        return _json(self.accounts)

    async def _orders(self, request: Request) -> Response:
        self.bodies.append(await request.body())
        status, body = self.answer
        kind = "application/json" if status == 200 else "application/problem+json"
        return Response(encode(body), status_code=status, media_type=kind)


def _json(value: object) -> Response:
    return Response(encode(value), media_type="application/json")


def down(symbol: str) -> SourceState:
    return SourceState(symbol=Symbol(symbol), state=State.DOWN, since=START)


@asynccontextmanager
async def charts_of(exchange: str, **changes: Any) -> AsyncIterator[str]:
    """Serve the charts over an exchange; give their address."""
    settings = Settings(exchange_url=exchange, risk_url="http://127.0.0.1:9", **changes)
    board = Board("0000beef")
    app = create_app(settings, board=board)
    async with serving(app, ServerSettings(), board.close) as url:
        yield url


@asynccontextmanager
async def charts_over(paper: PaperMarket, **changes: Any) -> AsyncIterator[str]:
    """Serve the charts over a paper market; give their address."""
    async with paper.served() as exchange, charts_of(exchange, **changes) as url:
        yield url
