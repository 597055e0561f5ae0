"""The exchange over HTTP: the routes, wired; nothing runs before the lifespan does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from time import monotonic

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from exchange.api.accounts import AccountsApi
from exchange.api.answers import json
from exchange.api.docs import PAGE_HEADERS, page
from exchange.api.health import Health
from exchange.api.history import HistoryApi
from exchange.api.keys import Keys
from exchange.api.market_data import MarketData
from exchange.api.operations import OPERATIONS
from exchange.api.orders import OrdersApi
from exchange.api.requests import Symbols
from exchange.api.resources import resource
from exchange.api.trading import TradingApi
from exchange.candle_stream import VARIANTS
from exchange.desk import BusyError
from exchange.exchange import Exchange
from exchange.journal import JournalError
from exchange.metrics import ExchangeCollector, exposition
from exchange.pre_trade import RiskLimitError
from exchange.prices import Prices
from exchange.streams import AccountStream
from market.broadcast import Broadcast
from market.events import State
from market.openapi import document
from market.problems import HANDLERS, ProblemError, problem
from market.streaming import StreamEndpoint

ABOUT = "A live market on one machine: prices, orders and accounts. Decimals are exact numbers."


def create_app(exchange: Exchange) -> Starlette:
    """Return the application that serves ``exchange`` for the length of its lifespan."""
    settings = exchange.settings
    keys = Keys(settings.keys, settings.orders_per_s, monotonic, operators=settings.operators)
    symbols = Symbols(settings.instruments)
    stream = Broadcast(
        exchange.market.hub,
        settings.stream,
        subjects=settings.instruments.keys,
        variants=VARIANTS,
    )
    account_stream = AccountStream(
        exchange.orders.hub,
        settings.stream,
        keys=keys,
        exists=lambda name: exchange.desk.venue.account(name) is not None,
        fitting=exchange.fitting,
        admission=stream.admission,
    )
    old = Prices(
        lambda: exchange.prices,
        exchange.leaving,
        settings.delay_s,
        stream.admission,
        settings.stream.send_timeout_s,
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with exchange.running():
            yield

    return Starlette(
        routes=[
            *_private(exchange, symbols, keys),  # first: routes are looked through in order
            Route("/stream", stream, methods=["GET"]),
            Route("/accounts/{account}/stream", account_stream, methods=["GET"]),
            Route("/api/prices", old, methods=["GET"]),
            *_public(exchange, symbols),
            *_about(exchange, stream, account_stream),
        ],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
                allow_headers=["*"],
                expose_headers=["Retry-After", "Link"],
            )
        ],
        exception_handlers={
            **HANDLERS,
            BusyError: _on_busy,
            JournalError: _on_journal_error,
            RiskLimitError: _on_risk_limit,
        },
        lifespan=lifespan,
    )


def _about(exchange: Exchange, *streams: StreamEndpoint) -> list[Route]:
    keys = bool(exchange.settings.keys)
    described = document("Sandpit exchange", _version(), ABOUT, OPERATIONS, keys=keys)
    answers = {
        "/openapi.json": json(described),
        "/docs": HTMLResponse(page(described), headers=PAGE_HEADERS),
    }
    collector = ExchangeCollector(
        streams, exchange.merging, exchange.desk, exchange.history, exchange.pre_trade
    )

    async def kept(request: Request) -> Response:
        return answers[request.scope["path"]]

    async def home(request: Request) -> Response:
        port = exchange.settings.charts_port
        if port is None:
            return RedirectResponse("/docs")
        return RedirectResponse(request.url.replace(port=port, path="/", query=""))

    async def health(_: Request) -> Response:
        found = Health(
            status=State.UP if exchange.is_up else State.DOWN,
            sources=exchange.merging.states,
            streams=streams[0].admission.open,
            head=exchange.market.hub.id,
        )
        return json(found, 200 if exchange.is_up else 503)

    async def metrics(_: Request) -> Response:
        return Response(exposition(collector), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [
        *(resource(path, GET=kept) for path in answers),
        resource("/", GET=home),
        resource("/health", GET=health),
        resource("/metrics", GET=metrics),
    ]


def _public(exchange: Exchange, symbols: Symbols) -> list[Route]:
    data = MarketData(exchange.desk, exchange.merging, exchange.settings.instruments, symbols)
    history = HistoryApi(exchange.history, exchange.recent, symbols)
    return [
        resource("/instruments", GET=data.instruments),
        resource("/market-data/{symbol}", GET=data.market_data),
        resource("/book/{symbol}", GET=data.book),
        resource("/candles", GET=history.candles),
        resource("/ticks", GET=history.ticks),
        resource("/trades", GET=history.trades),
        resource("/leaderboard", GET=data.leaderboard),
    ]


def _private(exchange: Exchange, symbols: Symbols, keys: Keys) -> list[Route]:
    orders, accounts = OrdersApi(exchange.desk, symbols, keys), AccountsApi(exchange.desk, keys)
    trading = TradingApi(exchange.desk, symbols, keys)
    return [
        resource("/buy", POST=orders.buy),
        resource("/sell", POST=orders.sell),
        resource("/orders", GET=orders.list, POST=orders.place, DELETE=orders.cancel_all),
        resource("/orders/{order_id}", GET=orders.find, PATCH=orders.amend, DELETE=orders.cancel),
        resource("/accounts", GET=accounts.list),
        resource("/accounts/{account}", GET=accounts.find, PUT=accounts.configure),
        resource("/instruments/{symbol}/state", PUT=trading.change),
    ]


async def _on_busy(_: Request, error: Exception) -> Response:
    return problem(ProblemError(503, "busy", f"{error}.", headers={"Retry-After": "1"}))


async def _on_journal_error(_: Request, __: Exception) -> Response:
    return problem(ProblemError(503, "journal-failed", "What was asked for may not be kept."))


async def _on_risk_limit(_: Request, error: Exception) -> Response:
    assert isinstance(error, RiskLimitError)
    denied = ProblemError(
        409,
        "risk-limit",
        f"{error}.",
        limit=error.limit,
        bound=error.bound,
        value=error.value,
        standing=error.standing,
    )
    return problem(denied)


def _version() -> str:
    try:
        return version("sandpit")
    except PackageNotFoundError:  # run from a checkout
        return "0"
