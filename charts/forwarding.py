"""The order ticket's way to the exchange: its answer comes back as it is, problems included."""

from collections.abc import Callable
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from charts.exchange_client import ExchangeAwayError, ExchangeClient
from market.problems import ProblemError

MOST_BYTES: Final = 64 * 1024
_PASSED_ON: Final = ("authorization", "x-api-key")
_PASSED_BACK: Final = ("content-type", "retry-after", "www-authenticate")


class Forwarding:
    """Handlers that pass orders on, for pages of this origin alone.

    Args:
        on_order: called when the exchange has answered: accounts may have changed.
    """

    def __init__(self, exchange: ExchangeClient, on_order: Callable[[], None]) -> None:
        self._exchange, self._on_order = exchange, on_order

    async def place(self, request: Request) -> Response:
        """Place an order."""
        _check_origin(request)
        if not request.headers.get("content-type", "").startswith("application/json"):
            raise ProblemError(415, "unsupported-media-type", "The body must be application/json.")
        return await self._pass("POST", "/orders", request, await _body(request))

    async def cancel(self, request: Request) -> Response:
        """Cancel an order."""
        _check_origin(request)
        wanted = quote(str(request.path_params["order_id"]), safe="")
        return await self._pass("DELETE", f"/orders/{wanted}", request, b"")

    async def _pass(self, method: str, path: str, request: Request, body: bytes) -> Response:
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        if body:
            headers["content-type"] = "application/json"
        try:
            answer = await self._exchange.forward(method, path, body, headers)
        except ExchangeAwayError as error:
            raise ProblemError(
                502, "exchange-away", f"The exchange does not answer: {error.problem}."
            ) from error
        self._on_order()
        passed = {name: answer.headers[name] for name in _PASSED_BACK if name in answer.headers}
        return Response(
            answer.content,
            status_code=answer.status_code,
            headers=passed | {"Cache-Control": "no-store"},
        )


def _check_origin(request: Request) -> None:
    """Raise the 403 problem when a page of somebody else's sent the request."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise ProblemError(403, "foreign-origin", "Orders are taken from our own page alone.")


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                raise ProblemError(413, "content-too-large", f"Over {MOST_BYTES} bytes.")
    except ClientDisconnect as error:
        raise ProblemError(400, "client-disconnected", "The body broke off.") from error
    return bytes(body)
