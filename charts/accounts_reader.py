"""The accounts onto the board: their money by asking, their orders and fills by their streams."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec
import structlog

from charts.board import Board
from charts.equity import POINTS, EquityCurve
from charts.exchange_client import ExchangeAwayError, ExchangeClient
from charts.facts import ACCOUNT_FACTS, AccountSeen, AccountSnapshot
from charts.orders import OpenOrders
from charts.past_fills import past_fills
from market.errors import StreamError
from market.events import Fact
from market.feed import Feed
from market.orders import OrderFilled, OrderRejected
from market.wire import Decoder

log = structlog.get_logger("charts.accounts")

EVERY_S: Final = 1.0
AGAIN_S: Final = 1.0
LONGEST_S: Final = 60.0
WANTED_S: Final = 300.0
FILLS: Final = 300
SHOWN: Final = 50
REFUSALS_TOLD_S: Final = 5.0


@dataclass(slots=True)
class Followed:
    """What is known of an account whose stream is read."""

    reading: asyncio.Task[None]
    orders: OpenOrders = field(default_factory=OpenOrders)
    fills: int = 0
    filled: set[tuple[int, int]] = field(default_factory=set)
    looking_back: asyncio.Task[None] | None = None
    rejected: int = 0
    untold: int = 0
    told: float = float("-inf")
    last: float | None = None
    wanted: float = 0.0

    def cancel(self) -> None:
        """Read no more of it."""
        self.reading.cancel()
        if self.looking_back is not None:
            self.looking_back.cancel()

    def counts(self, fact: OrderFilled) -> bool:
        """Take in a fill; tell whether it was not known from looking back."""
        key = fact.trade_id, fact.order_id
        if key in self.filled:
            return False
        if self.looking_back is not None:  # what is looked for may have it, too
            self.filled.add(key)
        self.fills += 1
        self.last = fact.time.timestamp()
        return True


class AccountsReader:
    """Asks for the accounts once a second, and follows the streams of some.

    Args:
        most: accounts that are followed at once; those a page asks for go first.
        keys: of the accounts, where the exchange asks for them.
        tell: told of what goes wrong, as level, what and text.
    """

    def __init__(
        self,
        board: Board,
        exchange: ExchangeClient,
        client: httpx.AsyncClient,
        *,
        most: int,
        tell: Callable[[str, str, str], None],
        keys: Mapping[str, str] | None = None,
        silence_s: float = 45.0,
    ) -> None:
        self._board, self._exchange, self._client = board, exchange, client
        self._most, self._tell, self._silence_s = most, tell, silence_s
        self._keys = keys or {}
        self._followed: dict[str, Followed] = {}
        self._curves: dict[str, EquityCurve] = {}
        self._known: set[str] = set()
        self._troubled, self._hurry = "", asyncio.Event()

    @property
    def followed(self) -> list[str]:
        """The accounts whose streams are read."""
        return list(self._followed)

    async def run(self) -> None:
        """Ask until cancelled; an exchange that answers slowly is asked less often."""
        try:
            while True:
                asked = monotonic()
                await self._ask()
                self._hurry.clear()
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
            followed.wanted = monotonic()
        elif account in self._known:
            self._follow(account, monotonic())

    def hurry(self) -> None:
        """Ask at once: something has changed."""
        self._hurry.set()

    def reset(self) -> None:
        """Forget the accounts of a market that is no more."""
        self._curves.clear()
        self._known.clear()
        for each in self._followed.values():
            each.fills = each.rejected = 0
            each.filled.clear()

    async def _ask(self) -> None:
        try:
            accounts = await self._accounts()
        except ExchangeAwayError as error:
            self._trouble(error.problem)
            return
        self._trouble("")
        self._known = {each.account for each in accounts}
        for each in self._chosen(accounts):
            self._show(each)

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

    def _chosen(self, accounts: list[AccountSeen]) -> list[AccountSeen]:
        """Return the accounts to show: those that are followed, then those that moved most."""
        for each in accounts:
            if len(self._followed) < self._most and each.account not in self._followed:
                self._follow(each.account, 0.0)
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
            facts |= {
                "open_orders": len(followed.orders.shown()),
                "fills": followed.fills,
                "rejected": followed.rejected,
                "last": followed.last,
            }
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

    # -- streams ---------------------------------------------------------------------------------

    def _follow(self, account: str, wanted: float) -> None:
        if len(self._followed) >= self._most:
            least = min(self._followed, key=lambda name: self._followed[name].wanted)
            if monotonic() - self._followed[least].wanted < WANTED_S:
                return
            self._followed.pop(least).cancel()
        reading = asyncio.create_task(self._read(account))
        self._followed[account] = Followed(reading, wanted=wanted)

    async def _read(self, account: str) -> None:
        url = f"{self._exchange.url}/accounts/{quote(account, safe='')}/stream"
        feed = Feed(
            url,
            client=self._client,
            decoder=Decoder(ACCOUNT_FACTS),
            silence_s=self._silence_s,
            headers=self._headers(account),
        )
        wait_s = AGAIN_S
        while True:
            try:
                async for fact in feed:
                    self._take(account, fact)
            except StreamError as error:
                log.info("account_not_followed", account=account, problem=error.problem)
                wait_s = min(2 * wait_s, LONGEST_S)
            await asyncio.sleep(wait_s)

    def _take(self, account: str, fact: Fact) -> None:
        followed = self._followed.get(account)
        if followed is None:
            return
        if followed.orders.take(fact):
            self._board.put("orders", account, followed.orders.shown())
        self._note(account, followed, fact)

    def _note(self, account: str, followed: Followed, fact: Fact) -> None:
        if isinstance(fact, OrderFilled):
            if followed.counts(fact):
                self._board.append("fill", fact.symbol, _fill(fact), FILLS)
        elif isinstance(fact, AccountSnapshot):  # the stream tells nothing of what was before it
            if followed.looking_back is not None:
                followed.looking_back.cancel()
            followed.looking_back = asyncio.create_task(self._look_back(account, followed))
        elif isinstance(fact, OrderRejected):
            followed.rejected += 1
            self._tell_refused(followed, fact)

    async def _look_back(self, account: str, followed: Followed) -> None:
        try:
            found = await past_fills(self._exchange, account, self._headers(account))
        except ExchangeAwayError as error:
            log.info("fills_not_looked_up", account=account, problem=error.problem)
            found = {}
        for symbol, fills in found.items():
            self._add_fills(symbol, [fill for fill in fills if fill["time"] is not None])
        keys = {_key(fill) for fills in found.values() for fill in fills}
        followed.fills = max(followed.fills, len(followed.filled | keys))
        followed.filled, followed.looking_back = keys, None

    def _add_fills(self, symbol: str, fills: list[dict[str, Any]]) -> None:
        """Put fills of the past among those that are shown."""
        shown = self._board.entries("fill", symbol)
        known = {_key(fill) for fill in shown}
        if new := [fill for fill in fills if _key(fill) not in known]:
            both = sorted([*shown, *new], key=lambda fill: float(fill["time"]))
            self._board.replace("fill", symbol, both[-FILLS:], FILLS)

    def _tell_refused(self, followed: Followed, fact: OrderRejected) -> None:
        """Tell of a refusal, but not of each: a bot that insists must not hide what else is."""
        now = monotonic()
        if now - followed.told < REFUSALS_TOLD_S:
            followed.untold += 1
            return
        more = f"; {followed.untold} before it, too" if followed.untold else ""
        followed.told, followed.untold = now, 0
        text = f"an order in {fact.symbol} was refused: {fact.reason}{more}"
        self._tell("warn", fact.account, text)


def _key(fill: Mapping[str, Any]) -> tuple[int, int]:
    return fill["trade_id"], fill["order_id"]


def _fill(fact: OrderFilled) -> dict[str, Any]:
    return {
        "account": fact.account,
        "side": fact.side,
        "price": fact.price,
        "quantity": fact.quantity,
        "trade_id": fact.trade_id,
        "order_id": fact.order_id,
        "time": fact.time.timestamp(),
    }
