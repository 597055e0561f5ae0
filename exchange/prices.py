"""``GET /api/prices``: the stream of the exercise this market grew from, for its old clients."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from decimal import Decimal

import structlog
from sse_starlette import EventSourceResponse
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from market.streaming import HEADERS, Admission, cut_off
from market.wire import encode, frame

log = structlog.get_logger("exchange.prices")


class Prices:
    """All current prices under the instruments' lower-case names, every ``delay_s``.

    Args:
        current: gives the prices by name.
        leaving: set when the exchange is going away.
        admission: counts the streams of the server; one too many is the 503 problem.
        send_timeout_s: how long a client may take nothing before it is cut off.
    """

    def __init__(
        self,
        current: Callable[[], dict[str, Decimal]],
        leaving: asyncio.Event,
        delay_s: float,
        admission: Admission,
        send_timeout_s: float,
    ) -> None:
        self._current, self._leaving, self._delay_s = current, leaving, delay_s
        self._admission, self._send_timeout_s = admission, send_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one old client."""
        response = EventSourceResponse(
            self._frames(), headers=HEADERS, sep="\n", ping=0, send_timeout=self._send_timeout_s
        )
        address = scope["client"][0] if scope.get("client") else "?"
        self._admission.enter(address)
        try:
            await response(scope, receive, send)
        except SendTimeoutError:  # to say goodbye would wait for ever
            log.info("old_client_evicted")
            self._admission.evicted += 1
            await cut_off(scope, receive)
        finally:
            self._admission.leave(address)

    async def _frames(self) -> AsyncIterator[bytes]:
        while not self._leaving.is_set():
            yield frame("price_changes", encode(self._current()))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), self._delay_s)
