"""The fills of an account from before its stream was read."""

from collections.abc import Mapping
from contextlib import aclosing
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from charts.exchange_client import ExchangeClient
from market.events import Trade

MOST_TRADES: Final = 10_000
MOST_ORDERS: Final = 10_000


class FillSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One fill of an order, as the exchange lists it."""

    trade_id: int
    price: Decimal
    quantity: Decimal
    fee: Decimal = Decimal(0)


class OrderPast(msgspec.Struct, frozen=True, kw_only=True):
    """An order and what was filled of it."""

    order_id: int
    symbol: str
    side: str
    time: datetime
    fills: tuple[FillSeen, ...] = ()


class PastFills(NamedTuple):
    """Fills by symbol, the oldest first, and since when none of them is missing."""

    by_symbol: dict[str, list[dict[str, Any]]]
    since: float

    @property
    def all(self) -> list[dict[str, Any]]:
        """All of them, those whose time is known and the others."""
        return [fill for fills in self.by_symbol.values() for fill in fills]


async def past_fills(
    exchange: ExchangeClient, account: str, headers: Mapping[str, str]
) -> PastFills:
    """Return the fills of the account's newest orders.

    ``time`` is that of the trade, None where the exchange no longer tells it. Raise
    ExchangeAwayError when it does not answer.
    """
    orders = await _orders(exchange, account, headers)
    found: dict[str, list[dict[str, Any]]] = {}
    since = [orders[-1].time.timestamp()] if len(orders) >= MOST_ORDERS else []
    for symbol in sorted({order.symbol for order in orders if order.fills}):
        filled = [(each, fill) for each in orders if each.symbol == symbol for fill in each.fills]
        times = await _times(exchange, symbol, min(fill.trade_id for _, fill in filled))
        fills = [_shown(account, order, fill, times) for order, fill in filled]
        found[symbol] = sorted(fills, key=lambda fill: (fill["trade_id"], fill["order_id"]))
        if any(fill["time"] is None for fill in fills):
            since.append(min(times.values()).timestamp() if times else float("inf"))
    known = [fill["time"] for fills in found.values() for fill in fills if fill["time"]]
    return PastFills(found, max(since, default=min(known, default=float("inf"))))


async def _orders(
    exchange: ExchangeClient, account: str, headers: Mapping[str, str]
) -> list[OrderPast]:
    """Return the account's orders, the newest first."""
    found: list[OrderPast] = []
    path = f"/orders?{urlencode({'account': account})}"
    async with aclosing(exchange.pages(path, list[OrderPast], headers)) as pages:
        async for page in pages:
            found += page
            if len(found) >= MOST_ORDERS:
                break
    return found


async def _times(exchange: ExchangeClient, symbol: str, oldest: int) -> dict[int, datetime]:
    """Return when the trades of a symbol were, back to number ``oldest``."""
    found: dict[int, datetime] = {}
    path = f"/trades?{urlencode({'symbol': symbol, 'limit': 1000})}"
    async with aclosing(exchange.pages(path, list[Trade])) as pages:
        async for page in pages:
            found |= {each.trade_id: each.time for each in page}
            if oldest in found or len(found) >= MOST_TRADES:
                break
    return found


def _shown(
    account: str, order: OrderPast, fill: FillSeen, times: Mapping[int, datetime]
) -> dict[str, Any]:
    time = times.get(fill.trade_id)
    return {
        "account": account,
        "side": order.side,
        "price": fill.price,
        "quantity": fill.quantity,
        "fee": fill.fee,
        "symbol": order.symbol,
        "trade_id": fill.trade_id,
        "order_id": order.order_id,
        "time": None if time is None else time.timestamp(),
    }
