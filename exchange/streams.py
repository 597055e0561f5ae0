"""What the exchange tells: the stream of the market, and each account's own; both outlive it."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import ClassVar, Final, Protocol, TypeVar

from starlette.requests import Request

from exchange.accounts import UNLIMITED
from exchange.api.keys import Keys
from exchange.statement import AccountView
from exchange.ticket import OrderView
from market.events import BookUpdate, Candle, Fact, Snapshot, SourceState, Tick, Trade
from market.filter import Filter
from market.hub import Hub
from market.orders import (
    AmendRejected,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderDecremented,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderTriggered,
    TradingStateChanged,
)
from market.problems import ProblemError
from market.reader import Reader
from market.segment import Kept
from market.streaming import StreamEndpoint
from market.tape import Recovered, Tape
from market.wire import Decoder

MARKET_FACTS: Final = (Tick, Trade, BookUpdate, Candle, SourceState, TradingStateChanged)
DEFAULT_KINDS: Final = (Tick.kind, SourceState.kind)
ORDER_FACTS: Final = (
    OrderAccepted,
    OrderTriggered,
    OrderAmended,
    OrderFilled,
    OrderCancelled,
    OrderExpired,
    OrderDecremented,
    OrderRejected,
    AmendRejected,
)
MOST_UNCOMMITTED: Final = 1000


class AccountSnapshot(Fact, frozen=True, kw_only=True):
    """How an account and its open orders stand at the event ``id``."""

    kind: ClassVar[str] = "snapshot"

    id: str
    account: AccountView
    orders: tuple[OrderView, ...]


class Taped:
    """A hub whose history is on tape.

    Args:
        folder: of the tape.
        facts: the kinds that the stream has; a reader gets ``default`` of them unless it asks.
        snapshot: see Hub.
    """

    def __init__(
        self,
        folder: Path,
        history: int,
        *,
        facts: tuple[type[Fact], ...],
        default: tuple[str, ...] | None = None,
        snapshot: Callable[[Filter, str], Fact] | None,
    ) -> None:
        self._tape = Tape(folder, history)
        self.hub = Hub(
            epoch=self._tape.epoch,
            history=history,
            kinds=[fact.kind for fact in facts],
            default_kinds=default,
            snapshot=snapshot,
            log=self._tape,
        )
        self._committed = 0
        self._facts: tuple[type[Fact], ...] = (*facts, Snapshot)
        self.recovered: Recovered | None = self._tape.restore(self.hub, Decoder(self._facts))

    @property
    def footnote(self) -> str:
        """What an earlier process noted beside its last frames, "" when it noted nothing."""
        return self.recovered.footnote if self.recovered is not None else ""

    def renew(self) -> None:
        """Give up what the tape held, for it did not happen: a new epoch begins with `begin`."""
        self._tape.renew()
        self.hub.begin(0)
        self.hub.epoch = self._tape.epoch

    def begin(self, footnote: Callable[[], str], opening: Callable[[], bytes] = bytes) -> None:
        """Make ready to publish; see Tape."""
        self._committed = self.hub.head
        self._tape.begin(self.hub.head, opening, footnote)

    def publish(self, *facts: Fact) -> None:
        """Publish facts, and keep what was published when it is much; never only half of them."""
        for fact in facts:
            self.hub.publish(fact)
        self.ease()

    def ease(self) -> None:
        """Keep what was published when it is much."""
        if self.hub.head - self._committed >= MOST_UNCOMMITTED:
            self.commit()

    def commit(self) -> None:
        """Keep what was published so far; readers do so too, before they read."""
        self._committed = self.hub.head
        self.hub.commit()

    def notes(self) -> list[str]:
        """Return the footnotes on the tape, the oldest first."""
        return list(self._tape.notes())

    def following(self, after: int) -> Iterator[Kept]:
        """Yield the kept events after number ``after``; in any thread."""
        return self._tape.following(after, Decoder(self._facts))

    def close(self) -> None:
        """Keep what was published last, and let the tape go."""
        self.hub.commit()
        self._tape.close()


T = TypeVar("T")


class Fitting(Protocol):
    """Does something for a reader of an account at a moment that a snapshot of it is true of."""

    def __call__(self, wishes: Filter, act: Callable[[], T]) -> Awaitable[T]:
        """Return what ``act`` gives."""
        ...


class AccountStream(StreamEndpoint):
    """``GET /accounts/{account}/stream``: what happens to one account's orders, for its owner."""

    def __init__(
        self,
        *args: object,
        keys: Keys,
        exists: Callable[[str], bool],
        fitting: Fitting,
        **kwargs: object,
    ) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._keys, self._exists, self._fitting = keys, exists, fitting

    async def reader(self, wishes: Filter, last_id: str | None) -> Reader:
        """Return a reader whose snapshot, if it gets one, is of what is told and kept."""
        return await self._fitting(wishes, lambda: self.hub.reader(wishes, last_id))

    async def told_of_gap(self, reader: Reader) -> bytes:
        """Return the gap of a reader that was too slow, and a snapshot of what is told and kept."""
        return await self._fitting(reader.wishes, reader.take)

    def asked(self, request: Request) -> tuple[Filter, str | None]:
        """Return the filter of the account in the path, and the last id asked for."""
        account = str(request.path_params["account"])
        self._keys.admit(request, account)
        if account in UNLIMITED:
            detail = f"{account} is the exchange's own account, and tells nobody of its orders."
            raise ProblemError(422, "reserved-account", detail)
        if not self._exists(account):
            raise ProblemError(404, "unknown-account", f"There is no account {account[:64]!r}.")
        wishes, last_id = super().asked(request)
        return self.hub.filter(kinds=wishes.kinds, subjects=[account]), last_id
