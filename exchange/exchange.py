"""The exchange as it runs: sources merged, orders matched and journaled, everyone told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from decimal import Decimal
from functools import partial
from typing import Final, TypeVar

import httpx
import structlog
from msgspec import structs

from exchange.audience import Audience, Note
from exchange.candle_stream import CandleStream
from exchange.commands import AdvanceTime, LoseReference, OpenVenue
from exchange.desk import BusyError, Desk
from exchange.history import History
from exchange.history_file import HISTORY
from exchange.journal import DiskJournal, JournalError
from exchange.leaderboard import standings
from exchange.merging import Merging
from exchange.pre_trade import PreTrade
from exchange.recent import Recent
from exchange.recovery import opened
from exchange.settings import JOURNAL, Settings
from exchange.streams import DEFAULT_KINDS, MARKET_FACTS, ORDER_FACTS, AccountSnapshot, Taped
from market.client import http_client
from market.clock import Clock
from market.events import Fact, Snapshot, State, Tick
from market.feed import Feed
from market.filter import Filter
from market.orders import Status

log = structlog.get_logger("exchange")

WATCH_S: Final = 0.25
LEADERS: Final = 10

T = TypeVar("T")


class Exchange:
    """Everything that runs in the exchange's process, and how the parts depend on each other.

    The venue decides, the journal keeps, the streams tell. After a restart the streams go on with
    their own numbers: what the journal has and they had not told yet is told first.

    Args:
        settings: what it is told from outside.
        clock: the time of everything but the ticks, which bring theirs.
        on_failure: called when it can't go on: the journal failed, the venue broke off, or a part
            of it ended.

    Raises:
        MarketError: the data folder is in use, or what is in it can't be relied on.
    """

    def __init__(
        self, settings: Settings, clock: Clock, on_failure: Callable[[], None] = lambda: None
    ) -> None:
        self.settings = settings
        self._clock, self._on_failure = clock, on_failure
        self.recent = Recent(settings.recent)
        self.market = Taped(
            settings.data / "stream",
            settings.history,
            facts=MARKET_FACTS,
            default=DEFAULT_KINDS,
            snapshot=self._snapshot,
        )
        self.orders = Taped(
            settings.data / "orders",
            settings.history,
            facts=ORDER_FACTS,
            snapshot=self._account_snapshot,
        )
        self.merging = Merging(
            settings.instruments.values(),
            hub=self.market.hub,
            clock=clock,
            stale_after_s=settings.stale_after_s,
            on_tick=self._on_tick,
        )
        self._restore_market()
        self.history = History(settings.data / HISTORY, settings.keeping, self.market)
        self.candles = CandleStream(
            settings.instruments, self.market.hub.publish, self.market.hub.is_wanted
        )
        self._audience = Audience(
            self.market, self.orders, self.recent, self.history, lambda: self.merging.read_to
        )
        self._standings: dict[str, AccountSnapshot] = {}
        self.leaving = asyncio.Event()
        self._silent = set(settings.instruments)  # an opening venue has heard of none
        self.desk = self._open_desk()
        self.desk.tell_refused = self.orders.publish
        self.pre_trade = PreTrade(settings.pre_trade) if settings.pre_trade is not None else None
        if self.pre_trade is not None:
            self.desk.check = partial(self.pre_trade.check, self.desk.venue)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run for the length of the block."""
        async with AsyncExitStack() as stack:
            stack.callback(self.market.close)
            stack.callback(self.orders.close)
            await stack.enter_async_context(self._journal)
            await stack.enter_async_context(self.history.running())
            await self.desk.execute(OpenVenue(charter=self.settings.charter))
            for candle in self.history.restore(self.candles, self.settings.instruments):
                self.market.publish(candle)
            self.merging.begin()
            client = await stack.enter_async_context(http_client())
            jobs = [self._watch(), self._report(), self._beat()]
            for symbol, url in self.settings.sources.items():
                jobs.append(self.merging.read(symbol, self._feeds(url, client)))
            if self.pre_trade is not None:
                jobs.append(self.pre_trade.run())
            tasks = [asyncio.create_task(job) for job in jobs]
            for task in tasks:
                task.add_done_callback(self._ended)
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self.desk.save()

    def leave(self) -> None:
        """Bid every reader farewell."""
        self.leaving.set()
        self.market.hub.close()
        self.orders.hub.close()

    @property
    def prices(self) -> dict[str, Decimal]:
        """The current prices under the instruments' lower-case names."""
        sources = self.merging.sources.values()
        return {
            source.instrument.name.lower(): source.tick.price
            for source in sources
            if source.tick is not None
        }

    @property
    def is_up(self) -> bool:
        """Whether every source is heard and the journal writes."""
        heard = all(state is State.UP for state in self.merging.states.values())
        return heard and self._journal.failure is None

    # -- from disk -----------------------------------------------------------------------------

    def _restore_market(self) -> None:
        """Put back what the market's tape holds."""
        found = self.market.recovered
        if found is None:
            return
        facts: list[Fact] = [kept.fact for kept in found.events]
        if isinstance(found.opening, Snapshot):
            facts = [*found.opening.ticks, *facts]
        self.merging.restore(facts, Note.of(found.footnote).sources)

    def _open_desk(self) -> Desk:
        """Recover the venue, tell what was not told yet, and open the desk over it."""
        audience, path = self._audience, self.settings.data / JOURNAL
        file, found = opened(path, synchronous=self.settings.synchronous, audience=audience)
        if found.lost is not None:
            log.warning("journal_tail_cut", lost=str(found.lost))
        log.info("recovered", commands=found.head.seq, replayed=found.replayed)
        audience.complain(found.head, found.venue)
        self._journal = DiskJournal(file, found.head, keep=self.settings.journal_keep or None)
        return Desk(
            found.venue,
            self._journal,
            clock=self._clock,
            tell=audience.tell,
            publish=self.market.publish,
            on_failure=self._on_failure,
            snapshot_every=self.settings.snapshot_every,
        )

    # -- told ----------------------------------------------------------------------------------

    def _snapshot(self, wishes: Filter, event_id: str) -> Fact:
        wanted = wishes.subjects
        return Snapshot(
            id=event_id,
            ticks=tuple(t for t in self.merging.ticks if wanted is None or t.symbol in wanted),
            sources={
                symbol: state
                for symbol, state in self.merging.states.items()
                if wanted is None or symbol in wanted
            },
        )

    async def fitting(self, wishes: Filter, act: Callable[[], T]) -> T:
        """Return what ``act`` gives, once the journal has what a snapshot of the account tells.

        The snapshot is of now. It is given out when all that led to it is told, and nothing that
        came later: so it fits between two events, whatever goes on meanwhile.

        Raises:
            JournalError: the journal failed or the venue broke off; nothing is true of it any more.
        """
        self.desk.check_whole()
        (name,) = wishes.subjects or ("",)
        standing = self._standing(name)
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def now() -> None:
            if not done.done():  # whoever asked may have gone
                self._standings[name] = standing
                done.set_result(act())
                del self._standings[name]

        self._audience.when_told(self.desk.head, now)
        return await done

    def _account_snapshot(self, wishes: Filter, event_id: str) -> Fact:
        (name,) = wishes.subjects or ("",)
        standing = self._standings.get(name) or self._standing(name)
        return structs.replace(standing, id=event_id)

    def _standing(self, name: str) -> AccountSnapshot:
        account = self.desk.venue.account(name)
        if account is None:
            raise LookupError(f"there is no account {name!r} to stream")
        working = [
            order
            for status in (Status.OPEN, Status.PARTIALLY_FILLED)
            for order in self.desk.venue.orders(name, status)
        ]
        return AccountSnapshot(id="", account=account, orders=tuple(working))

    # -- heard ---------------------------------------------------------------------------------

    def _feeds(self, url: str, client: httpx.AsyncClient) -> Callable[[str], Feed]:
        silence_s = 3 * self.settings.heartbeat_s

        def after(last_id: str) -> Feed:
            return Feed(url, client=client, last_id=last_id, silence_s=silence_s, retry_cap_s=2.0)

        return after

    def _on_tick(self, tick: Tick) -> None:
        self.recent.take(tick)
        self._silent.discard(tick.symbol)
        self.history.take(tick, self.candles.take(tick))
        self.desk.move(tick)

    async def _watch(self) -> None:
        """Notice what is due or not heard any more, and put what was told where it is kept."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(WATCH_S)
            now = loop.time()
            self.merging.watch(now)
            self._audience.commit()
            with suppress(BusyError):  # then at the next look
                if self.desk.venue.is_due(self._clock.now()):
                    await self.desk.execute(AdvanceTime())
            await self._lose_silent()

    async def _lose_silent(self) -> None:
        """Tell the venue of the sources that are not heard any more, each as it is by then."""
        now = asyncio.get_running_loop().time
        while lost := self.merging.silent(now()) - self._silent:
            symbol = min(lost)
            self._silent.add(symbol)  # first: a tick that comes meanwhile takes it back
            try:
                await self.desk.execute(LoseReference(symbol=symbol))
            except BusyError:  # then at the next look
                self._silent.discard(symbol)
                return

    async def _beat(self) -> None:
        """Let those who look at candles see how they form."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.settings.candle_interval_s)
            self.candles.beat(loop.time())

    async def _report(self) -> None:
        """Say in the log, every now and then, who is ahead."""
        while True:
            await asyncio.sleep(self.settings.status_s)
            if found := standings(self.desk.venue.accounts()):
                log.info("leaderboard", standing=", ".join(map(str, found[:LEADERS])))

    def _ended(self, task: asyncio.Task[None]) -> None:
        """End the process when a part of it has: a market that lost one must not look quiet."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        if not isinstance(error, JournalError):  # the desk has said so
            log.critical("part_failed", exc_info=error)
        self._on_failure()
