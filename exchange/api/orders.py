"""Orders over HTTP: place, amend, cancel, look up."""

from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from exchange.api.answers import ILL_MADE, answered, ill_made, json, refused
from exchange.api.keys import Keys
from exchange.api.requests import (
    OLD_NAMES,
    Amendment,
    NewOrder,
    QuickOrder,
    Symbols,
    count,
    order_id,
)
from exchange.commands import AnyCommand, CancelOrders
from exchange.desk import Desk
from exchange.rules import misfits
from exchange.ticket import OrderView
from market.bodies import read_body
from market.orders import AmendOrder, CancelOrder, PlaceOrder, Status
from market.problems import ProblemError
from market.values import Side

MOST: Final = 1000
"""Orders in one page."""


class OrdersApi:
    """The handlers of everything under ``/orders``, and of ``/buy`` and ``/sell``."""

    def __init__(self, desk: Desk, symbols: Symbols, keys: Keys) -> None:
        self._desk, self._symbols, self._keys = desk, symbols, keys

    async def buy(self, request: Request) -> Response:
        """Buy at the market, or at a limit."""
        return await self._quick(request, Side.BUY)

    async def sell(self, request: Request) -> Response:
        """Sell at the market, or at a limit."""
        return await self._quick(request, Side.SELL)

    async def place(self, request: Request) -> Response:
        """Place an order of any type."""
        self._keys.check(request)
        asked = await read_body(request, NewOrder, OLD_NAMES)
        self._keys.admit(request, asked.account)
        return await self._place(asked.order(self._symbols.find(asked.symbol)))

    async def find(self, request: Request) -> Response:
        """Return one order."""
        order = self._order(request)
        await self._desk.settled()
        return json(order)

    async def list(self, request: Request) -> Response:
        """Return a page of the orders of an account, the newest first."""
        self._keys.check(request)
        account = _account(request)
        self._keys.admit(request, account)
        if self._desk.venue.account(account) is None:
            raise ProblemError(404, "unknown-account", f"There is no account {account[:64]!r}.")
        limit = count(request, "limit", MOST, MOST)
        found = self._desk.venue.orders(
            account,
            _status(request),
            limit,
            since=_number(request, "since") or 0,
            before=_number(request, "before"),
        )
        await self._desk.settled()
        return _page(request, found, limit)

    async def amend(self, request: Request) -> Response:
        """Change the quantity or the price of an open order."""
        order = self._order(request)
        asked = await read_body(request, Amendment)
        self._keys.pace(order.account)
        command = AmendOrder(
            account=order.account,
            order_id=order.order_id,
            quantity=asked.quantity,
            price=asked.price,
        )
        return await self._one(self._symbols.written(command, order.symbol))

    async def cancel(self, request: Request) -> Response:
        """Cancel one order."""
        order = self._order(request)
        return await self._one(CancelOrder(account=order.account, order_id=order.order_id))

    async def cancel_all(self, request: Request) -> Response:
        """Cancel the open orders of an account, or those in one symbol."""
        self._keys.check(request)
        account = _account(request)
        self._keys.admit(request, account)
        command = CancelOrders(account=account, symbol=self._symbols.asked(request))
        answer = await self._desk.execute(command)
        if answer.refusal is not None:
            raise refused(answer.refusal)
        return json(list(answer.orders))

    async def _quick(self, request: Request, side: Side) -> Response:
        self._keys.check(request)
        asked = await read_body(request, QuickOrder, OLD_NAMES)
        self._keys.admit(request, asked.account)
        return await self._place(asked.order(self._symbols.find(asked.symbol), side))

    async def _place(self, order: PlaceOrder) -> Response:
        self._keys.pace(order.account)
        order = self._symbols.written(order, order.symbol)
        answer = await self._desk.execute(order)
        refusal = answer.refusal
        if refusal is not None and refusal.code in ILL_MADE:
            raise ill_made(refusal, self._symbols.off_grid(order), misfits(order))
        return answered(answer)

    async def _one(self, command: AnyCommand) -> Response:
        return answered(await self._desk.execute(command))

    def _order(self, request: Request) -> OrderView:
        self._keys.check(request)
        wanted = order_id(request)
        order = self._desk.venue.order(wanted)
        if order is None:
            raise ProblemError(404, "unknown-order", f"There is no order {wanted}.")
        self._keys.admit(request, order.account)
        return order


def _account(request: Request) -> str:
    account = request.query_params.get("account")
    if not account:
        raise ProblemError(422, "invalid-query", "account: is missing.", field="account")
    return account


def _number(request: Request, name: str) -> int | None:
    """Return the number of an order in a query, None when it has none; raise the 422 problem."""
    text = request.query_params.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ProblemError(422, "invalid-query", f"{name}: the number of an order.", field=name)
    return int(text)


def _page(request: Request, found: list[OrderView], limit: int) -> Response:
    """Return a page; where there may be more, its ``Link`` header leads to the next one."""
    answer = json(found)
    if len(found) == limit:
        asked = [(name, text) for name, text in request.query_params.items() if name != "before"]
        asked.append(("before", str(found[-1].order_id)))
        answer.headers["Link"] = f'<{request.url.path}?{urlencode(asked)}>; rel="next"'
    return answer


def _status(request: Request) -> Status | None:
    text = request.query_params.get("status")
    if not text:
        return None
    try:
        return Status(text)
    except ValueError as error:
        known = ", ".join(Status)
        raise ProblemError(
            422, "invalid-query", f"status: one of {known}.", field="status"
        ) from error
