"""Which of its orders an account's own stream has told of, so that they are looked up at once."""

import asyncio
from collections.abc import AsyncIterable, Callable
from typing import Any, Final
from urllib.parse import quote

import httpx

from market.errors import StreamError
from market.events import Fact, Gap
from market.feed import Feed, FeedEnded, FeedLost
from market.orders import OrderCancelled, OrderDecremented, OrderExpired, OrderFact, OrderFilled
from market.wire import Decoder

FACTS: Final = (OrderFilled, OrderCancelled, OrderExpired, OrderDecremented, Gap)
"""What changes an order that rests, and what says that such a fact may be missing."""

AGAIN_S: Final = 1.0


def account_feed(
    url: str, account: str, *, client: httpx.AsyncClient, key: str | None, silence_s: float
) -> Feed:
    """Return the feed of an account's own stream; ``key`` is the account's, if one is needed."""
    return Feed(
        f"{url}/accounts/{quote(account, safe='')}/stream",
        client=client,
        decoder=Decoder(FACTS),
        headers={} if key is None else {"Authorization": f"Bearer {key}"},
        silence_s=silence_s,
    )


class OwnOrders:
    """Reads an account's stream from its first resting order on; before, there may be no account.

    The stream says which orders to look up, no more: what became of them is in the answers alone,
    so a fact that comes late, or twice, or never, costs a question or a wait, and no fill.

    Args:
        feed: begins to read the stream.
        again_s: seconds until a stream that was refused, or that ended, is asked for again.
    """

    def __init__(
        self, feed: Callable[[], AsyncIterable[Fact]], *, log: Any, again_s: float = AGAIN_S
    ) -> None:
        self._feed, self._log, self._again_s = feed, log, again_s
        self._wanted, self._told = asyncio.Event(), asyncio.Event()
        self._ids: set[int] | None = set()
        self._is_refused = False

    def follow(self) -> None:
        """Begin to read: the account has an order that rests."""
        self._wanted.set()

    async def read(self) -> None:
        """Read the stream until cancelled."""
        await self._wanted.wait()
        while True:
            try:
                async for fact in self._feed():
                    self._hear(fact)
            except StreamError as error:
                if not self._is_refused:
                    self._log.warning("own_stream_refused", problem=error.problem)
                self._is_refused = True
            await asyncio.sleep(self._again_s)

    async def changed(self) -> set[int] | None:
        """Return, as soon as there are any, the orders that were told of; None is any of them."""
        await self._told.wait()
        self._told.clear()
        ids, self._ids = self._ids, set()
        return ids

    def doubt(self) -> None:
        """Count every order as told of: something may have been missed."""
        self._ids = None
        self._told.set()

    def _hear(self, fact: Fact) -> None:
        if isinstance(fact, FeedLost | FeedEnded):
            return
        self._is_refused = False
        if not isinstance(fact, OrderFact):
            self.doubt()
        elif self._ids is not None:
            self._ids.add(fact.order_id)
            self._told.set()
