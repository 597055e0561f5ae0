"""``GET /api/prices``: the stream of the exercise this market grew from, for its old clients."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from decimal import Decimal

from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response

from market.streaming import HEADERS
from market.wire import encode, frame


class Prices:
    """All current prices under the instruments' lower-case names, every ``delay_s``.

    Args:
        current: gives the prices by name.
        leaving: set when the exchange is going away.
    """

    def __init__(
        self,
        current: Callable[[], dict[str, Decimal]],
        leaving: asyncio.Event,
        delay_s: float,
    ) -> None:
        self._current, self._leaving, self._delay_s = current, leaving, delay_s

    async def stream(self, _: Request) -> Response:
        """Answer one old client."""
        return EventSourceResponse(self._frames(), headers=HEADERS, ping=0)

    async def _frames(self) -> AsyncIterator[bytes]:
        while not self._leaving.is_set():
            yield frame("price_changes", encode(self._current()))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), self._delay_s)
