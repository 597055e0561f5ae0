"""The accounts that are followed: each by its own stream, and asked for now and then.

A stream joins with a snapshot and then tells each fill, so that positions are current within one
message. It is never resumed: what a reconnection missed is in its own snapshot, and no fill can be
counted twice. Where there is no stream the account is asked for once an interval; where there is
one it is asked for as a check, and a difference that stays makes the stream begin anew.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isclose
from typing import ClassVar, Final
from urllib.parse import quote

import httpx
import structlog

from market.errors import InvalidValueError, MarketError, StreamError
from market.events import Fact, Gap
from market.feed import Feed, FeedEnded, FeedLost
from market.orders import OrderFilled
from market.values import Side
from market.wire import Decoder
from risk.errors import UnknownAccountError
from risk.limits import Standing
from risk.monitor import Monitor
from risk.portfolio import Basis, Portfolio, account_name
from risk.repositories import Account, AccountRepository
from risk.settings import Settings

AT_ONCE: Final = 8
_AGAIN_S: Final = 5.0

log = structlog.get_logger("risk.accounts")


class AccountSnapshot(Fact, frozen=True, kw_only=True):
    """How an account stands when its stream begins; its open orders are passed over."""

    kind: ClassVar[str] = "snapshot"

    account: Account


@dataclass(slots=True)
class _Followed:
    """An account, its positions as last heard, and how they are heard of."""

    account: str
    positions: Portfolio | None = None
    task: "asyncio.Task[None] | None" = None
    is_live: bool = False
    heard: int = 0  # messages of its stream
    asked_at: float | None = None
    differs: bool = False
    trouble: str = ""


class Accounts:
    """Keeps every portfolio that is an account at that account's positions.

    Args:
        settings: of the service.
        monitor: has the portfolios.
        repository: asks the exchange for an account.
        client: for the streams; it stays open.
        now: a clock that never goes back, in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        monitor: Monitor,
        repository: AccountRepository,
        client: httpx.AsyncClient,
        now: Callable[[], float],
    ) -> None:
        self._settings, self._monitor, self._repository = settings, monitor, repository
        self._client, self._now = client, now
        self._followed: dict[str, _Followed] = {}
        self._asked: dict[str, float] = {}

    async def run(self) -> None:
        """Follow until cancelled."""
        try:
            while True:
                await self._refresh_all()
                await asyncio.sleep(self._settings.interval_s)
        finally:
            await self._end(list(self._followed))

    async def follow(self, account: str) -> str:
        """Follow an account for a while; return the name of its portfolio.

        Raises:
            UnknownAccountError: the exchange has no such account.
            KeyRefusedError: the exchange guards it, and our key is wrong or missing.
            ExchangeAwayError: the exchange does not answer.
        """
        name = account_name(account)
        if name is None:  # such a name would ask the exchange something else
            raise UnknownAccountError(account)
        known = self._followed.get(account)
        if known is None or not known.is_live or name not in self._monitor.contexts:
            await self._ask_if_due(known or _Followed(account), name)
        self._asked[name] = self._now()
        return name

    async def _ask_if_due(self, one: _Followed, name: str) -> None:
        if name in self._monitor.contexts and not self._is_due(one, self._settings.interval_s):
            return
        positions = await self._repository.get(one.account)
        one.asked_at = self._now()
        self._followed.setdefault(one.account, one)
        if name not in self._asked and len(self._asked) >= self._settings.max_portfolios:
            self._make_room()
        self._asked[name] = self._now()
        if name not in self._monitor.contexts:
            self._monitor.put(replace(positions, limits=self._settings.account_limits))
        self._take(one, positions)

    # -- what is followed ------------------------------------------------------------------------

    async def _refresh_all(self) -> None:
        for name, asked in list(self._asked.items()):
            if self._now() - asked > self._settings.account_s and self._is_free(name):
                self._release(name)
        wanted = {portfolio.account for portfolio in self._portfolios()}
        await self._end([account for account in self._followed if account not in wanted])
        for account in wanted:
            one = self._followed.setdefault(account, _Followed(account))
            if one.task is None:
                one.task = asyncio.create_task(self._listen(one))
            elif one.task.done():
                one.task.result()  # it ended for good, or it failed, which is a bug
        room = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(self._refresh(one, room) for one in list(self._followed.values())))

    def _portfolios(self) -> list[Portfolio]:
        found = (each.portfolio_context.portfolio for each in self._monitor.contexts.values())
        return [portfolio for portfolio in found if portfolio.basis is Basis.ACCOUNT]

    def _is_due(self, one: _Followed, every_s: float) -> bool:
        return one.asked_at is None or self._now() - one.asked_at >= every_s

    async def _refresh(self, one: _Followed, room: asyncio.Semaphore) -> None:
        """Ask for an account where it is time to: in place of its stream, or to check it."""
        settings = self._settings
        every_s = settings.reconcile_s if one.is_live else settings.interval_s
        if not self._is_due(one, every_s):
            return
        async with room:
            heard, one.asked_at = one.heard, self._now()
            try:
                found = await self._repository.get(one.account)
            except UnknownAccountError as error:
                self._note(one, str(error))
                if (name := f"account:{one.account}") in self._asked:
                    self._release(name)
            except MarketError as error:
                self._note(one, str(error))
            else:
                self._note(one, "")
                await self._compare(one, found, heard)

    async def _compare(self, one: _Followed, found: Portfolio, heard: int) -> None:
        if not one.is_live:
            self._take(one, found)
            return
        if one.heard != heard:  # a message came meanwhile: nobody knows which is newer
            one.differs = False
            return
        differs = one.positions is None or not _same(one.positions, found)
        if differs and one.differs:
            log.warning("account_differs", account=one.account, then="its stream begins anew")
            await self._stop(one)
            one.task = asyncio.create_task(self._listen(one))
        one.differs = differs

    # -- streams ---------------------------------------------------------------------------------

    async def _listen(self, one: _Followed) -> None:
        while True:
            feed = self._feed(one.account)
            try:
                async for fact in feed:
                    self._hear(one, fact, feed)
                return  # the exchange says that there is nothing more, ever
            except StreamError as error:
                one.is_live = False
                log.debug("account_has_no_stream", account=one.account, problem=error.problem)
            await asyncio.sleep(_AGAIN_S)

    def _feed(self, account: str) -> Feed:
        base = self._settings.exchange_url.rstrip("/")
        return Feed(
            f"{base}/accounts/{quote(account, safe='')}/stream",
            client=self._client,
            decoder=Decoder((AccountSnapshot, OrderFilled, Gap)),
            headers=self._repository.headers(account),
            silence_s=3 * self._settings.stream.heartbeat_s,
            retry_cap_s=2.0,
        )

    def _hear(self, one: _Followed, fact: Fact, feed: Feed) -> None:
        one.heard += 1
        match fact:
            case AccountSnapshot():
                one.is_live, one.differs = True, False
                self._take(one, fact.account.portfolio(f"account:{one.account}"))
            case OrderFilled() if one.positions is not None and one.is_live:
                self._fill(one, fact)
            case Gap():
                one.is_live = False  # its snapshot comes next
            case FeedLost() | FeedEnded():
                one.is_live, feed.last_id = False, ""  # to be joined by a snapshot, not by a replay

    def _fill(self, one: _Followed, fill: OrderFilled) -> None:
        assert one.positions is not None
        sign = 1 if fill.side is Side.BUY else -1
        money = float(sign * fill.quantity * fill.price + fill.fee)
        self._take(one, one.positions.after(fill.symbol, float(sign * fill.quantity), -money))

    def _take(self, one: _Followed, positions: Portfolio) -> None:
        """Give every portfolio of this account its positions; each keeps its name and limits."""
        one.positions = positions
        for held in self._portfolios():
            if held.account == one.account:
                try:
                    self._monitor.put(replace(positions, name=held.name, limits=held.limits))
                except InvalidValueError as error:
                    self._note(one, str(error))

    # -- endings ---------------------------------------------------------------------------------

    def _note(self, one: _Followed, trouble: str) -> None:
        if trouble != one.trouble:
            one.trouble = trouble
            log.info("account", account=one.account, trouble=trouble or "none")

    def _make_room(self) -> None:
        """Release the account that was asked for longest ago, unless all of them are bound."""
        free = [name for name in self._asked if self._is_free(name)]
        if free:
            self._release(min(free, key=self._asked.__getitem__))

    def _is_free(self, name: str) -> bool:
        """Tell whether a portfolio may be forgotten: what is not active must stay so."""
        context = self._monitor.contexts.get(name)
        return context is None or context.standing is Standing.ACTIVE

    def _release(self, name: str) -> None:
        self._asked.pop(name, None)
        self._monitor.drop(name)

    async def _end(self, accounts: list[str]) -> None:
        for account in accounts:
            await self._stop(self._followed.pop(account))

    async def _stop(self, one: _Followed) -> None:
        one.is_live, task, one.task = False, one.task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _same(a: Portfolio, b: Portfolio) -> bool:
    held, other = ({each.symbol: each.weight.value for each in p.assets} for p in (a, b))
    return (
        held.keys() == other.keys()
        and all(isclose(held[name], other[name], rel_tol=1e-9) for name in held)
        and isclose(a.cash, b.cash, rel_tol=1e-9, abs_tol=1e-6)
    )
