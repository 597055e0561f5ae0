"""The exchange over HTTP: each request is repeated until it is answered, or given up in time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from time import monotonic
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import httpx
import msgspec

from bots.answers import AccountAnswer, OrderAnswer
from market.errors import MarketError
from market.orders import AmendOrder, PlaceOrder
from market.wire import encode

TIMEOUT: Final = httpx.Timeout(5.0, connect=2.0)
AGAIN: Final = frozenset({429, 500, 502, 503, 504})

T = TypeVar("T")


class ExchangeRefusedError(MarketError):
    """The exchange said no, or nothing that could be understood; ``code`` names the problem."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.status, self.code, self.detail = status, code, detail

    @property
    def is_final(self) -> bool:
        """Whether asking again will not help."""
        return self.is_sure and self.status not in AGAIN

    @property
    def is_sure(self) -> bool:
        """Whether nothing was changed; after a silence or a failure nobody knows."""
        return 400 <= self.status < 500


@dataclass(frozen=True, slots=True)
class Patience:
    """For how long a request is repeated, and how long the waits between are, in seconds."""

    total_s: float = 10.0
    first_s: float = 0.05
    longest_s: float = 1.0


class ExchangeClient:
    """Places orders and asks about them.

    Every method raises ExchangeRefusedError on a refusal, and when the exchange could not be
    reached or was busy (429, 500, 502, 503, 504) for as long as the patience lasts. A placed
    order that is repeated is executed once: the exchange knows its ``client_order_id``. ``key`` is
    the account's, where the exchange asks for keys.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        *,
        rng: Random,
        patience: Patience | None = None,
        key: str | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        time: Callable[[], float] = monotonic,
    ) -> None:
        self._http, self._url, self._rng = http, url.rstrip("/"), rng
        self._patience = patience or Patience()
        self._sleep, self._time = sleep, time
        self._headers = {"Content-Type": "application/json"}
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"

    async def place(self, order: PlaceOrder) -> OrderAnswer:
        """Send an order, which has a ``client_order_id``, and return how it stands."""
        body = msgspec.to_builtins(order, builtin_types=(Decimal,))  # what is default is left out
        del body["command"]
        body["type"] = order.type
        return await self._ask("POST", "/orders", OrderAnswer, body)

    async def cancel(self, order_id: int) -> OrderAnswer:
        """Take an order back and return how it stands."""
        return await self._ask("DELETE", f"/orders/{order_id}", OrderAnswer)

    async def amend(self, command: AmendOrder) -> OrderAnswer:
        """Change an order and return how it stands."""
        changes = {"quantity": command.quantity, "price": command.price}
        kept = {name: value for name, value in changes.items() if value is not None}
        return await self._ask("PATCH", f"/orders/{command.order_id}", OrderAnswer, kept)

    async def order(self, order_id: int) -> OrderAnswer:
        """Return how an order stands."""
        return await self._ask("GET", f"/orders/{order_id}", OrderAnswer)

    async def orders(
        self,
        account: str,
        *,
        status: str | None = None,
        limit: int | None = None,
        since: int | None = None,
        before: int | None = None,
    ) -> list[OrderAnswer]:
        """Return a page of the orders of an account, newest first; by status and by number."""
        wishes = {"status": status, "limit": limit, "since": since, "before": before}
        asked = {name: wish for name, wish in wishes.items() if wish is not None}
        path = f"/orders?{urlencode({'account': account, **asked})}"
        return await self._ask("GET", path, list[OrderAnswer])

    async def account(self, name: str) -> AccountAnswer | None:
        """Return an account, or None when it was never opened."""
        try:
            return await self._ask("GET", f"/accounts/{quote(name, safe='')}", AccountAnswer)
        except ExchangeRefusedError as refusal:
            if refusal.status == httpx.codes.NOT_FOUND:
                return None
            raise

    async def _ask(self, method: str, path: str, kind: type[T], body: Any = None) -> T:
        """Repeat the request until there is an answer that is worth having."""
        start, wait_s = self._time(), self._patience.first_s
        while True:
            refusal, at_least_s = await self._once(method, path, body)
            if isinstance(refusal, bytes):
                return _decoded(refusal, kind)
            pause_s = max(at_least_s, wait_s * self._rng.uniform(0.5, 1.0))
            late = self._time() - start + pause_s > self._patience.total_s
            if late or (refusal.status and refusal.status not in AGAIN):
                raise refusal
            await self._sleep(pause_s)
            wait_s = min(2 * wait_s, self._patience.longest_s)

    async def _once(
        self, method: str, path: str, body: Any
    ) -> tuple[bytes | ExchangeRefusedError, float]:
        """Return the answer, or why there is none and how long the exchange asks to wait."""
        content = None if body is None else encode(body)
        try:
            answer = await self._http.request(
                method, self._url + path, content=content, headers=self._headers, timeout=TIMEOUT
            )
        except httpx.RequestError as error:
            why = f"{type(error).__name__} {error}".strip()
            return ExchangeRefusedError(0, "exchange-unreachable", why), 0.0
        if answer.is_success:
            return answer.content, 0.0
        return _refusal(answer), _retry_after_s(answer)


class _Problem(msgspec.Struct):
    """The two members of a problem document that tell the most."""

    type: str = ""
    detail: str = ""


def _refusal(answer: httpx.Response) -> ExchangeRefusedError:
    """The problem document of the answer, or its status when it has none."""
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
    except (msgspec.DecodeError, UnicodeError):
        problem = _Problem()
    code = problem.type or f"http-{answer.status_code}"
    return ExchangeRefusedError(answer.status_code, code, problem.detail or answer.reason_phrase)


def _retry_after_s(answer: httpx.Response) -> float:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _decoded(content: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ExchangeRefusedError(0, "garbled-answer", str(error)) from error
