"""The exchange over HTTP: the routes, wired; nothing runs before the lifespan does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from time import monotonic

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from exchange.api.accounts import AccountsApi
from exchange.api.answers import json
from exchange.api.keys import Keys
from exchange.api.market_data import MarketData
from exchange.api.operations import OPERATIONS
from exchange.api.orders import OrdersApi
from exchange.api.requests import Symbols
from exchange.exchange import Exchange
from exchange.prices import Prices
from exchange.streams import AccountStream
from market.broadcast import Broadcast
from market.openapi import document
from market.problems import HANDLERS

ABOUT = "A live market on one machine: prices, orders and accounts. Decimals are exact numbers."


def create_app(exchange: Exchange) -> Starlette:
    """Return the application that serves ``exchange`` for the length of its lifespan."""
    settings = exchange.settings
    keys = Keys(settings.keys, settings.orders_per_s, monotonic)
    symbols = Symbols(settings.instruments)
    stream = Broadcast(
        exchange.market.hub, settings.stream, subjects=lambda: settings.instruments.keys()
    )
    account_stream = AccountStream(
        exchange.orders.hub,
        settings.stream,
        keys=keys,
        exists=lambda name: exchange.desk.venue.account(name) is not None,
    )
    old = Prices(lambda: exchange.prices, exchange.leaving, settings.delay_s)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with exchange.running():
            yield

    return Starlette(
        routes=[
            Route("/stream", stream, methods=["GET"]),
            Route("/accounts/{account}/stream", account_stream, methods=["GET"]),
            Route("/api/prices", old.stream),
            *_public(exchange, stream, symbols),
            *_private(exchange, symbols, keys),
        ],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
                allow_headers=["*"],
            )
        ],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )


def _public(exchange: Exchange, stream: Broadcast, symbols: Symbols) -> list[Route]:
    data = MarketData(
        exchange.desk, exchange.merging, exchange.recent, exchange.settings.instruments, symbols
    )
    described = json(document("Sandpit exchange", _version(), ABOUT, OPERATIONS))

    async def openapi(_: Request) -> Response:
        return described

    async def home(_: Request) -> Response:
        return RedirectResponse("/openapi.json")

    async def health(_: Request) -> Response:
        answer = json(
            {
                "status": "up" if exchange.is_up else "down",
                "sources": exchange.merging.states,
                "streams": stream.admission.open,
                "head": exchange.market.hub.id,
            }
        )
        answer.status_code = 200 if exchange.is_up else 503
        return answer

    return [
        Route("/", home),
        Route("/health", health),
        Route("/openapi.json", openapi),
        Route("/instruments", data.instruments),
        Route("/market-data/{symbol}", data.market_data),
        Route("/book/{symbol}", data.book),
        Route("/ticks", data.ticks),
        Route("/trades", data.trades),
        Route("/leaderboard", data.leaderboard),
    ]


def _private(exchange: Exchange, symbols: Symbols, keys: Keys) -> list[Route]:
    orders, accounts = OrdersApi(exchange.desk, symbols, keys), AccountsApi(exchange.desk, keys)
    return [
        Route("/buy", orders.buy, methods=["POST"]),
        Route("/sell", orders.sell, methods=["POST"]),
        Route("/orders", orders.place, methods=["POST"]),
        Route("/orders", orders.list, methods=["GET"]),
        Route("/orders", orders.cancel_all, methods=["DELETE"]),
        Route("/orders/{order_id}", orders.find, methods=["GET"]),
        Route("/orders/{order_id}", orders.amend, methods=["PATCH"]),
        Route("/orders/{order_id}", orders.cancel, methods=["DELETE"]),
        Route("/accounts", accounts.list),
        Route("/accounts/{account}", accounts.find, methods=["GET"]),
        Route("/accounts/{account}", accounts.configure, methods=["PUT"]),
    ]


def _version() -> str:
    try:
        return version("sandpit")
    except PackageNotFoundError:  # run from a checkout
        return "0"
