"""``GET /api/prices``: the stream of the exercise this market grew from, for its old clients."""

import asyncio
from collections.abc import AsyncIterator, Callable
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
        closed: tells whether the exchange is going away.
    """

    def __init__(
        self,
        current: Callable[[], dict[str, Decimal]],
        closed: Callable[[], bool],
        delay_s: float,
    ) -> None:
        self._current, self._closed, self._delay_s = current, closed, delay_s

    async def stream(self, _: Request) -> Response:
        """Answer one old client."""
        return EventSourceResponse(self._frames(), headers=HEADERS, ping=0)

    async def _frames(self) -> AsyncIterator[bytes]:
        while not self._closed():
            yield frame("price_changes", encode(self._current()))
            await asyncio.sleep(self._delay_s)
