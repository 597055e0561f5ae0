"""Risk's stream onto the board: the reports of each portfolio, and what risk noticed."""

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic, time
from typing import Final

import httpx
import msgspec
import structlog

from charts.board import Board
from charts.facts import RISK_FACTS, BacktestSeen, PriceGapSeen, RiskSeen
from market.errors import StreamError
from market.events import Fact
from market.feed import Feed, FeedLost, FeedOpened
from market.wire import Decoder

log = structlog.get_logger("charts.risk")

AGAIN_S: Final = 2.0
ASK_S: Final = 120.0
LOOK_S: Final = 5.0
ACCOUNTS: Final = 6
"""Accounts whose risk is asked for, so that risk follows them."""


class RiskReader:
    """Reads risk's stream for ever, and has risk follow some accounts.

    Args:
        accounts: gives the accounts that the page shows.
        tell: told of what risk noticed, as level, what and text.
        look_s: how often it is seen to that risk follows them.
    """

    def __init__(
        self,
        board: Board,
        url: str,
        client: httpx.AsyncClient,
        *,
        accounts: Callable[[], Sequence[str]],
        tell: Callable[[str, str, str], None],
        silence_s: float = 45.0,
        look_s: float = LOOK_S,
    ) -> None:
        self._board, self._url, self._client = board, url.rstrip("/"), client
        self._accounts, self._tell, self._look_s = accounts, tell, look_s
        self._asked: dict[str, float] = {}
        self._troubled = ""
        self.feed = Feed(
            f"{self._url}/stream",
            client=client,
            decoder=Decoder(RISK_FACTS),
            silence_s=silence_s,
        )

    async def run(self) -> None:
        """Read until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read())
            tasks.create_task(self.ask())

    def forget(self) -> None:
        """Have risk follow the accounts anew."""
        self._asked = {}  # an answer that is on its way counts for what was before

    def take(self, fact: Fact) -> None:
        """Put one fact on the board."""
        match fact:
            case RiskSeen(portfolio=portfolio):
                report = msgspec.structs.asdict(fact) | {"heard": round(time(), 3)}
                self._board.put("risk", portfolio, report)
            case BacktestSeen(portfolio=portfolio):
                text = f"the {fact.forecast} forecast went from {fact.was} to {fact.zone}"
                self._tell("warn", f"risk {portfolio}", text)
            case PriceGapSeen(symbol=symbol):
                text = f"moved {fact.z_score:+.1f} sigma over {fact.seconds:.1f} s of silence"
                self._tell("warn", symbol, text)
            case FeedOpened():
                self.forget()  # one that was started anew follows none of them
                self._link("live", "")
            case FeedLost(reason=reason):
                self._link("lost", reason)

    def _link(self, state: str, reason: str) -> None:
        known = self._board.get("link", "risk")
        if known is not None and known["state"] != state:
            level, text = ("error", "was lost") if state == "lost" else ("info", "is back")
            self._tell(level, "risk", f"its stream {text}")
        self._board.put("link", "risk", {"state": state, "reason": reason})

    async def _read(self) -> None:
        while True:
            try:
                async for fact in self.feed:
                    self.take(fact)
            except StreamError as error:
                self._link("lost", error.problem)
            await asyncio.sleep(AGAIN_S)

    async def ask(self) -> None:
        """Have risk follow the accounts, again and again until cancelled."""
        while True:
            now = monotonic()
            for account in self._accounts()[:ACCOUNTS]:
                if now - self._asked.get(account, -ASK_S) >= ASK_S:
                    await self._ask_for(account, now)
            await asyncio.sleep(self._look_s)

    async def _ask_for(self, account: str, now: float) -> None:
        asked = self._asked
        try:
            answer = await self._client.get(
                f"{self._url}/risk", params={"account": account}, timeout=5.0
            )
            answer.raise_for_status()
        except httpx.HTTPError as error:
            self._trouble(type(error).__name__)
        else:
            self._trouble("")
            if len(asked) > 1000:
                asked.clear()
            asked[account] = now

    def _trouble(self, problem: str) -> None:
        if problem != self._troubled:
            self._troubled = problem
            log.info("risk_asked", problem=problem or "none")
