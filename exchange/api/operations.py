"""Every route of the exchange, described: what the OpenAPI document is made from."""

from typing import Final

from exchange.api.health import Health
from exchange.api.market_data import InstrumentView
from exchange.api.requests import NAME, Amendment, Configuration, NewOrder, QuickOrder
from exchange.api.trading import TradingWish
from exchange.candles import INTERVALS
from exchange.leaderboard import Standing
from exchange.statement import AccountView
from exchange.ticket import OrderView
from market.events import BookUpdate, Candle, Tick, Trade
from market.openapi import Operation, Parameter
from market.orders import Status

STREAM: Final = "text/event-stream"
JSON: Final = "application/json"
HTML: Final = "text/html"
REFUSED_ORDER: Final = (400, 401, 403, 404, 408, 409, 413, 422, 429, 503)

_SYMBOL: Final = {"type": "string", "examples": ["BTC"]}
_SYMBOL_PATH = Parameter(name="symbol", about="A symbol.", schema=_SYMBOL, where="path")
_SYMBOL_QUERY = Parameter(name="symbol", about="A symbol.", schema=_SYMBOL, required=True)
_SYMBOL_WISH = Parameter(name="symbol", about="Only in this symbol.", schema=_SYMBOL)
_ACCOUNT_PATH = Parameter(
    name="account",
    about="An account.",
    schema={"type": "string", "pattern": NAME, "maxLength": 64},
    where="path",
)
_ACCOUNT_QUERY = Parameter(
    name="account", about="An account.", schema={"type": "string", "minLength": 1}, required=True
)
_ORDER_PATH = Parameter(
    name="order_id", about="An order.", schema={"type": "integer", "minimum": 1}, where="path"
)
_ORDER_NUMBER: Final = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_LIMIT = Parameter(
    name="limit",
    about="At most so many.",
    schema={"type": "integer", "minimum": 1, "maximum": 1000},
)
_SPAN = (
    _LIMIT,
    Parameter(
        name="from",
        about="The first time; with it pages go forward, without it back.",
        schema={"type": "string", "format": "date-time"},
    ),
    Parameter(
        name="to",
        about="The time before which the last one is.",
        schema={"type": "string", "format": "date-time"},
    ),
    Parameter(
        name="cursor",
        about='Where to go on, as the Link header of a page with rel="next" has it.',
        schema={"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
    ),
)
_LAST_ID = Parameter(
    name="last_event_id",
    about="Resume strictly after this event; the Last-Event-ID header goes before it.",
    schema={"type": "string"},
)
_STREAM_QUERY = (
    Parameter(name="symbols", about="Comma-separated; all by default.", schema={"type": "string"}),
    Parameter(
        name="events",
        about="Comma-separated: tick, trade, book, candle, source, trading_state;"
        " tick,source by default.",
        schema={"type": "string"},
    ),
    Parameter(
        name="interval",
        about="Of the candles; comma-separated, 1m by default.",
        schema={"type": "string", "examples": ["1m", "1s,5m"]},
    ),
    Parameter(
        name="conflate",
        about="Milliseconds: at most one tick a symbol in each such window.",
        schema={"type": "integer", "minimum": 10, "maximum": 60_000},
    ),
    _LAST_ID,
)

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/stream",
        about="The market as server-sent events",
        answer=STREAM,
        parameters=_STREAM_QUERY,
        problems=(404, 422, 503),
    ),
    Operation(
        method="GET",
        path="/api/prices",
        about="All prices, again and again, for old clients",
        answer=STREAM,
        problems=(503,),
    ),
    Operation(
        method="GET",
        path="/health",
        about="Whether every source is heard, and the journal writes",
        answer=Health,
        statuses={503: "A source is not heard, or the journal does not write."},
        tag="process",
    ),
    Operation(
        method="GET",
        path="/metrics",
        about="What the exchange counts, in the format of Prometheus",
        answer="text/plain",
        tag="process",
    ),
    Operation(
        method="GET", path="/openapi.json", about="This document", answer=JSON, tag="process"
    ),
    Operation(
        method="GET", path="/docs", about="This document, to read", answer=HTML, tag="process"
    ),
    Operation(
        method="GET",
        path="/",
        about="Leads to the live page of the charts",
        answer="",
        status=307,
        tag="process",
    ),
    Operation(
        method="GET",
        path="/instruments",
        about="What is traded, and on which grids",
        answer=list[InstrumentView],
        problems=(503,),
    ),
    Operation(
        method="PUT",
        path="/instruments/{symbol}/state",
        about="Stop the trading of an instrument, or open it again; for an operator",
        answer=InstrumentView,
        body=TradingWish,
        parameters=(_SYMBOL_PATH,),
        problems=(400, 401, 403, 404, 408, 413, 422, 503),
    ),
    Operation(
        method="GET",
        path="/market-data/{symbol}",
        about="The latest price of a symbol",
        answer=Tick,
        parameters=(_SYMBOL_PATH,),
        problems=(404,),
    ),
    Operation(
        method="GET",
        path="/candles",
        about="What a price did, the oldest first; the last one may still form",
        answer=list[Candle],
        parameters=(
            _SYMBOL_QUERY,
            Parameter(
                name="interval",
                about="The length of a candle; each begins on a multiple of it since 1970, UTC.",
                schema={"type": "string", "enum": list(INTERVALS)},
                required=True,
            ),
            *_SPAN,
        ),
        problems=(404, 422, 503),
    ),
    Operation(
        method="GET",
        path="/ticks",
        about="Ticks: the newest first, or those of a span",
        answer=list[Tick],
        parameters=(_SYMBOL_QUERY, *_SPAN),
        problems=(404, 422, 503),
    ),
    Operation(
        method="GET",
        path="/trades",
        about="Trades: the newest first, or those of a span",
        answer=list[Trade],
        parameters=(_SYMBOL_QUERY, *_SPAN),
        problems=(404, 422, 503),
    ),
    Operation(
        method="GET",
        path="/book/{symbol}",
        about="The best levels of a book",
        answer=BookUpdate,
        parameters=(
            _SYMBOL_PATH,
            Parameter(
                name="depth",
                about="Levels a side.",
                schema={"type": "integer", "minimum": 1, "maximum": 1000},
            ),
        ),
        problems=(404, 422, 503),
    ),
    Operation(
        method="GET",
        path="/leaderboard",
        about="Who has won the most",
        answer=list[Standing],
        problems=(503,),
    ),
    Operation(
        method="POST",
        path="/buy",
        about="Buy at the market, or at a limit",
        answer=OrderView,
        body=QuickOrder,
        problems=REFUSED_ORDER,
        tag="orders",
    ),
    Operation(
        method="POST",
        path="/sell",
        about="Sell at the market, or at a limit",
        answer=OrderView,
        body=QuickOrder,
        problems=REFUSED_ORDER,
        tag="orders",
    ),
    Operation(
        method="POST",
        path="/orders",
        about="Place an order of any type",
        answer=OrderView,
        body=NewOrder,
        problems=REFUSED_ORDER,
        tag="orders",
    ),
    Operation(
        method="GET",
        path="/orders",
        about="The orders of an account, the newest first",
        answer=list[OrderView],
        parameters=(
            _ACCOUNT_QUERY,
            Parameter(
                name="status",
                about="Only these; all without it.",
                schema={"type": "string", "enum": [*Status, ""]},
            ),
            _LIMIT,
            Parameter(name="since", about="Only those after this one.", schema=_ORDER_NUMBER),
            Parameter(
                name="before",
                about='Only those before this one; the Link header with rel="next" has it.',
                schema=_ORDER_NUMBER,
            ),
        ),
        problems=(401, 403, 404, 422, 503),
        tag="orders",
    ),
    Operation(
        method="DELETE",
        path="/orders",
        about="Cancel the open orders of an account, or those in one symbol",
        answer=list[OrderView],
        parameters=(_ACCOUNT_QUERY, _SYMBOL_WISH),
        problems=(401, 403, 404, 409, 422, 503),
        tag="orders",
    ),
    Operation(
        method="GET",
        path="/orders/{order_id}",
        about="One order",
        answer=OrderView,
        parameters=(_ORDER_PATH,),
        problems=(401, 403, 404, 503),
        tag="orders",
    ),
    Operation(
        method="PATCH",
        path="/orders/{order_id}",
        about="Amend an open order; it counts as one in ORDERS_PER_S, which a cancel never does",
        answer=OrderView,
        body=Amendment,
        parameters=(_ORDER_PATH,),
        problems=REFUSED_ORDER,
        tag="orders",
    ),
    Operation(
        method="DELETE",
        path="/orders/{order_id}",
        about="Cancel an order",
        answer=OrderView,
        parameters=(_ORDER_PATH,),
        problems=(401, 403, 404, 409, 503),
        tag="orders",
    ),
    Operation(
        method="GET",
        path="/accounts",
        about="Every account",
        answer=list[AccountView],
        problems=(401, 403, 503),
        tag="accounts",
    ),
    Operation(
        method="GET",
        path="/accounts/{account}",
        about="One account",
        answer=AccountView,
        parameters=(_ACCOUNT_PATH,),
        problems=(401, 403, 404, 503),
        tag="accounts",
    ),
    Operation(
        method="PUT",
        path="/accounts/{account}",
        about="Open or configure an account",
        answer=AccountView,
        body=Configuration,
        parameters=(_ACCOUNT_PATH,),
        problems=(400, 401, 403, 408, 409, 413, 422, 503),
        tag="accounts",
    ),
    Operation(
        method="GET",
        path="/accounts/{account}/stream",
        about="What happens to an account's orders, as server-sent events: order_rejected and"
        " amend_rejected too; a cancel that is refused is only answered",
        answer=STREAM,
        parameters=(_ACCOUNT_PATH, _LAST_ID),
        problems=(401, 403, 404, 422, 503),
        tag="accounts",
    ),
)
