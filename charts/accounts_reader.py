"""The accounts onto the board: their money by asking, their orders and fills by their streams."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from time import monotonic, time
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec
import structlog

from charts.board import Board
from charts.equity import POINTS, EquityCurve
from charts.exchange_client import Archive, ExchangeAwayError, ExchangeClient
from charts.facts import ACCOUNT_FACTS, AccountSeen, AccountSnapshot
from charts.followed import Followed, key_of
from charts.past_equity import past_equity
from charts.past_fills import PastFills, past_fills
from market.errors import StreamError
from market.events import Fact
from market.feed import Feed
from market.orders import AmendRejected, OrderFilled, OrderRejected
from market.wire import Decoder, EventId

log = structlog.get_logger("charts.accounts")

EVERY_S: Final = 1.0
AGAIN_S: Final = 1.0
LONGEST_S: Final = 60.0
WANTED_S: Final = 300.0
FILLS: Final = 300
SHOWN: Final = 50
LEAST_PAST_S: Final = 2.0


class AccountsReader:
    """Asks for the accounts once a second, and follows the streams of some.

    Args:
        most: accounts that are followed at once; those a page asks for go first.
        keys: of the accounts, where the exchange asks for them.
        tell: told of what goes wrong, as level, what and text.
        now: the seconds by which accounts are wanted; they may begin anywhere.
    """

    def __init__(
        self,
        board: Board,
        exchange: ExchangeClient,
        archive: Archive,
        client: httpx.AsyncClient,
        *,
        most: int,
        tell: Callable[[str, str, str], None],
        keys: Mapping[str, str] | None = None,
        silence_s: float = 45.0,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._board, self._client, self._now = board, client, now
        self._exchange, self._archive = exchange, archive
        self._most, self._tell, self._silence_s = most, tell, silence_s
        self._keys = keys or {}
        self._followed: dict[str, Followed] = {}
        self._curves: dict[str, EquityCurve] = {}
        self._known: set[str] | None = None
        self._newest: EventId | None = None
        self._place: EventId | None = None
        self._life, self._troubled, self._hurry = 0, "", asyncio.Event()

    @property
    def followed(self) -> list[str]:
        """The accounts whose streams are read."""
        return list(self._followed)

    async def run(self) -> None:
        """Ask until cancelled; an exchange that answers slowly is asked less often."""
        try:
            while True:
                asked = monotonic()
                self._hurry.clear()
                await self._ask()
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(EVERY_S, 10 * (monotonic() - asked))):
                        await self._hurry.wait()
        finally:
            for each in self._followed.values():
                each.cancel()

    def want(self, account: str) -> None:
        """Follow an account that a page looks at, as soon as it is open."""
        followed = self._followed.get(account)
        if followed is not None:
            followed.wanted = self._now()
        elif self._known is not None and account in self._known:
            self._follow(account, self._now())

    def hurry(self) -> None:
        """Ask at once: something has changed."""
        self._hurry.set()

    def reset(self) -> None:
        """Forget the accounts of a market that is no more; those that are there are read anew.

        What their streams have told since they came back went with the board.
        """
        self._curves.clear()
        self._known = None
        self._newest = self._place = None
        for each in self._followed.values():
            each.cancel()
        self._followed.clear()
        self._life += 1
        self.hurry()

    async def _ask(self) -> None:
        before, life = self._newest, self._life
        try:
            accounts = await self._accounts()
        except ExchangeAwayError as error:
            self._trouble(error.problem)
            return
        self._trouble("")
        if life != self._life:  # the answer is of a market that is no more
            return
        names = {each.account for each in accounts}
        opened = names - self._known if self._known is not None else set()
        self._known = names
        for each in self._chosen(accounts, opened):
            self._show(each)
        self._place = before  # what opens from now on is told of after it

    async def _accounts(self) -> list[AccountSeen]:
        """Return the accounts; where that needs a key, what everyone may know of them."""
        try:
            return await self._exchange.accounts()
        except ExchangeAwayError as error:
            if error.status not in {401, 403}:
                raise
        standings = await self._exchange.get("/leaderboard", list[AccountSeen])
        return [await self._with_positions(each) for each in standings]

    async def _with_positions(self, account: AccountSeen) -> AccountSeen:
        """Return an account as its owner sees it, where we have the key of one that we follow."""
        if account.account not in self._keys or account.account not in self._followed:
            return account
        path = f"/accounts/{quote(account.account, safe='')}"
        headers = self._headers(account.account)
        return await self._exchange.get(path, AccountSeen, headers=headers)

    def _headers(self, account: str) -> dict[str, str]:
        secret = self._keys.get(account)
        return {"X-API-Key": secret} if secret else {}

    def _chosen(self, accounts: list[AccountSeen], opened: set[str]) -> list[AccountSeen]:
        """Return the accounts to show: those that are followed, then those that moved most."""
        for each in accounts:
            if len(self._followed) < self._most and each.account not in self._followed:
                self._follow(each.account, float("-inf"), is_new=each.account in opened)
        accounts.sort(
            key=lambda each: (
                each.account not in self._followed,
                -abs(each.realized_pnl + each.unrealized_pnl),
            )
        )
        return sorted(accounts[:SHOWN], key=lambda each: each.account)

    def _show(self, account: AccountSeen) -> None:
        name = account.account
        curve = self._curves.setdefault(name, EquityCurve())
        self._draw(name, curve, float(account.equity))
        followed = self._followed.get(name)
        facts = msgspec.structs.asdict(account)
        facts["positions"] = [msgspec.structs.asdict(each) for each in account.positions]
        facts["drawdown"] = round(curve.drawdown, 9)
        facts["max_drawdown"] = round(curve.max_drawdown, 9)
        if followed is not None:
            facts |= followed.shown()
        self._board.put("account", name, facts)

    def _draw(self, name: str, curve: EquityCurve, equity: float) -> None:
        added = curve.add(time(), equity)
        if added is None:
            self._board.replace("equity", name, curve.points, POINTS + 1)
        elif added:
            self._board.append("equity", name, curve.points[-1], POINTS + 1)

    def _trouble(self, problem: str) -> None:
        if problem != self._troubled:
            self._troubled = problem
            log.info("accounts", problem=problem or "none")
        state = "lost" if problem else "live"
        self._board.put("link", "accounts", {"state": state, "reason": problem})

    # -- streams ---------------------------------------------------------------------------------

    def _follow(self, account: str, wanted: float, *, is_new: bool = False) -> None:
        if len(self._followed) >= self._most:
            least = min(self._followed, key=lambda name: self._followed[name].wanted)
            if self._now() - self._followed[least].wanted < WANTED_S:
                return
            self._followed.pop(least).cancel()
        reading = asyncio.create_task(self._read(account, is_new=is_new, place=self._place))
        self._followed[account] = Followed(reading, wanted=wanted)

    async def _read(self, account: str, *, is_new: bool, place: EventId | None) -> None:
        """Read an account's stream; that of one which is new from before it was opened."""
        wait_s, feed = AGAIN_S, self._feed(account, "")
        while True:
            try:
                if is_new:
                    feed.last_id = str(place or await self._beginning(account))
                    is_new = False
                async for fact in feed:
                    self._take(account, fact)
                    self._keep_place(feed.last_id)
            except StreamError as error:
                log.info("account_not_followed", account=account, problem=error.problem)
                wait_s = min(2 * wait_s, LONGEST_S)
            await asyncio.sleep(wait_s)

    async def _beginning(self, account: str) -> EventId | str:
        """Return the place before the first event of all accounts, "" when nobody tells it."""
        feed = self._feed(account, "")
        async with aclosing(feed.batches()) as batches:
            async for _ in batches:
                if (known := EventId.parse(feed.last_id)) is not None:
                    return EventId(known.epoch, 0)
        return ""

    def _feed(self, account: str, last_id: str) -> Feed:
        return Feed(
            f"{self._exchange.url}/accounts/{quote(account, safe='')}/stream",
            client=self._client,
            decoder=Decoder(ACCOUNT_FACTS),
            last_id=last_id,
            silence_s=self._silence_s,
            headers=self._headers(account),
        )

    def _keep_place(self, last_id: str) -> None:
        """Note the newest event of all accounts' streams, which are one history."""
        known, newest = EventId.parse(last_id), self._newest
        if known is not None and (
            newest is None or newest.epoch != known.epoch or newest.n < known.n
        ):
            self._newest = known

    def _take(self, account: str, fact: Fact) -> None:
        followed = self._followed.get(account)
        if followed is not None:
            followed.note(fact)
            self._show_orders(account, followed, fact)

    def _show_orders(self, account: str, followed: Followed, fact: Fact) -> None:
        if followed.orders.take(fact):
            self._board.put("orders", account, followed.orders.shown())
        if isinstance(fact, OrderFilled):
            if followed.counts(fact):
                self._board.append("fill", fact.symbol, _fill(fact), FILLS)
        elif isinstance(fact, AccountSnapshot):  # the stream tells nothing of what was before it
            self._begin_to_look_back(fact.account, followed)
        elif isinstance(fact, OrderRejected | AmendRejected) and (text := followed.refusal(fact)):
            self._tell("warn", fact.account, text)

    def _begin_to_look_back(self, account: AccountSeen, followed: Followed) -> None:
        if followed.looking_back is not None:
            followed.looking_back.cancel()
        followed.looking_back = asyncio.create_task(self._look_back(account, followed, time()))

    async def _look_back(self, account: AccountSeen, followed: Followed, now: float) -> None:
        name = account.account
        try:
            found = await past_fills(self._exchange, name, self._headers(name))
        except ExchangeAwayError as error:
            log.info("fills_not_looked_up", account=name, problem=error.problem)
            found = PastFills({}, float("inf"))
        for symbol, fills in found.by_symbol.items():
            self._add_fills(symbol, [fill for fill in fills if fill["time"] is not None])
        followed.found(found.all)
        await self._draw_past(account, found, now)

    async def _draw_past(self, account: AccountSeen, fills: PastFills, now: float) -> None:
        """Let the account's curve begin when its fills do, once."""
        name = account.account
        curve = self._curves.setdefault(name, EquityCurve())
        if curve.has_past or now - fills.since < LEAST_PAST_S:
            return
        whole = [fill for fill in fills.all if fill["time"] and fills.since <= fill["time"] <= now]
        try:
            past = await past_equity(self._archive, account, whole, fills.since, now)
        except ExchangeAwayError as error:
            log.info("equity_not_looked_up", account=name, problem=error.problem)
            return
        curve.begin_with(past)
        self._board.replace("equity", name, curve.points, POINTS + 1)

    def _add_fills(self, symbol: str, fills: list[dict[str, Any]]) -> None:
        """Put fills of the past among those that are shown."""
        shown = self._board.entries("fill", symbol)
        known = {key_of(fill) for fill in shown}
        if new := [fill for fill in fills if key_of(fill) not in known]:
            both = sorted([*shown, *new], key=lambda fill: float(fill["time"]))
            self._board.replace("fill", symbol, both[-FILLS:], FILLS)


def _fill(fact: OrderFilled) -> dict[str, Any]:
    return {
        "account": fact.account,
        "side": fact.side,
        "price": fact.price,
        "quantity": fact.quantity,
        "fee": fact.fee,
        "trade_id": fact.trade_id,
        "order_id": fact.order_id,
        "time": fact.time.timestamp(),
    }
