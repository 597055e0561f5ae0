"""The fills of an account from before its stream was read."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from charts.exchange_client import ExchangeClient
from market.events import Trade

MOST_TRADES: Final = 1000


class FillSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One fill of an order, as the exchange lists it."""

    trade_id: int
    price: Decimal
    quantity: Decimal


class OrderPast(msgspec.Struct, frozen=True, kw_only=True):
    """An order and what was filled of it."""

    order_id: int
    symbol: str
    side: str
    fills: tuple[FillSeen, ...] = ()


async def past_fills(
    exchange: ExchangeClient, account: str, headers: Mapping[str, str]
) -> dict[str, list[dict[str, Any]]]:
    """Return the fills of the account's newest orders by symbol, the oldest first.

    ``time`` is that of the trade, None where the exchange no longer tells it. Raise
    ExchangeAwayError when it does not answer.
    """
    orders = await exchange.get("/orders", list[OrderPast], {"account": account}, headers)
    found: dict[str, list[dict[str, Any]]] = {}
    for symbol in sorted({order.symbol for order in orders if order.fills}):
        times = await _times(exchange, symbol)
        fills = [
            _shown(account, order, fill, times)
            for order in orders
            if order.symbol == symbol
            for fill in order.fills
        ]
        found[symbol] = sorted(fills, key=lambda fill: (fill["trade_id"], fill["order_id"]))
    return found


async def _times(exchange: ExchangeClient, symbol: str) -> dict[int, datetime]:
    query = {"symbol": symbol, "limit": str(MOST_TRADES)}
    return {each.trade_id: each.time for each in await exchange.get("/trades", list[Trade], query)}


def _shown(
    account: str, order: OrderPast, fill: FillSeen, times: Mapping[int, datetime]
) -> dict[str, Any]:
    time = times.get(fill.trade_id)
    return {
        "account": account,
        "side": order.side,
        "price": fill.price,
        "quantity": fill.quantity,
        "trade_id": fill.trade_id,
        "order_id": order.order_id,
        "time": None if time is None else time.timestamp(),
    }
