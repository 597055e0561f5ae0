"""What the exchange's stream does not begin with, asked for until the exchange has told it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote

import msgspec
import structlog

from charts.board import WITHOUT_KEY, Board
from charts.exchange_client import Archive, ExchangeAwayError, ExchangeClient
from charts.facts import InstrumentSeen
from charts.trends import SPARK, Trends
from market.events import BookUpdate, Trade

log = structlog.get_logger("charts.catch_up")

TAPE: Final = 60
AGAIN_S: Final = 2.0
_MAY_PASS: Final = frozenset({0, 408, 425, 429})

Question = Callable[[str], Awaitable[None]]


class CatchUp:
    """Instruments, books, trades and the day so far, onto the board and beside the stream.

    What the stream tells while an answer is on its way is newer, and stays.

    Args:
        on_listed: told of all symbols that the exchange lists.
        again_s: after which what was not answered is asked for again.
    """

    def __init__(
        self,
        board: Board,
        exchange: ExchangeClient,
        archive: Archive,
        trends: Trends,
        *,
        on_listed: Callable[[set[str]], None] = lambda _: None,
        again_s: float = AGAIN_S,
    ) -> None:
        self._board, self._trends, self._again_s = board, trends, again_s
        self._on_listed = on_listed
        self._exchange, self._archive = exchange, archive
        self._tasks = asyncio.TaskGroup()
        self._task: asyncio.Task[None] | None = None
        self._questions: tuple[Question, ...] = (self._book, self._trades, self._day, self._past)
        self._troubled = ""

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Ask inside, whenever it is begun; a bug in that ends what is inside, too."""
        async with self._tasks:
            yield
            self.rest()

    def begin(self) -> None:
        """Ask for all of it."""
        self.rest()
        self._troubled = ""
        self._task = self._tasks.create_task(self._run())

    def rest(self) -> None:
        """Ask for nothing until it is begun again."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        settled: set[tuple[Question, str]] = set()
        while True:
            if await self._is_done(settled):
                return
            await asyncio.sleep(self._again_s)

    async def _is_done(self, settled: set[tuple[Question, str]]) -> bool:
        """Ask for what is not settled; tell whether no answer is left that may come later."""
        done = await self._is_settled(self._instruments, WITHOUT_KEY, settled)
        for symbol in self._board.all("instrument"):
            for question in self._questions:
                done = await self._is_settled(question, symbol, settled) and done
        return done

    async def _is_settled(
        self, question: Question, symbol: str, settled: set[tuple[Question, str]]
    ) -> bool:
        if (question, symbol) not in settled and await self._asked(question(symbol)):
            settled.add((question, symbol))
        return (question, symbol) in settled

    async def _asked(self, answer: Awaitable[None]) -> bool:
        """Return whether there was an answer, or that there will be none."""
        try:
            await answer
        except ExchangeAwayError as error:
            if error.problem != self._troubled:
                self._troubled = error.problem
                log.info("not_caught_up", problem=error.problem)
            return error.status not in _MAY_PASS and error.status < 500
        return True

    async def _instruments(self, _: str) -> None:
        before = self._board.all("trading")
        listed = await self._exchange.instruments()
        self._on_listed({each.symbol for each in listed})
        for each in listed:
            if self._board.get("trading", each.symbol) == before.get(each.symbol):
                self._board.put("trading", each.symbol, each.trading_state)
            self._board.put("instrument", each.symbol, _shown(each))

    async def _book(self, symbol: str) -> None:
        book = await self._exchange.get(f"/book/{quote(symbol, safe='')}", BookUpdate)
        known = self._board.get("book", symbol)
        if known is None or known["time"] <= book.time:
            self._board.put("book", symbol, book_shown(book))

    async def _trades(self, symbol: str) -> None:
        """Put trades that the stream did not tell of among those that it did."""
        query = {"symbol": symbol, "limit": str(TAPE)}
        trades = await self._exchange.get("/trades", list[Trade], query)
        shown = self._board.entries("trade", symbol)
        known = {entry["trade_id"] for entry in shown}
        if new := [trade_shown(trade) for trade in trades if trade.trade_id not in known]:
            both = sorted([*shown, *new], key=lambda each: int(each["trade_id"]))
            self._board.replace("trade", symbol, both[-TAPE:], TAPE)

    async def _day(self, symbol: str) -> None:
        if days := await self._archive.candles(symbol, "1d", 1):
            self._trends.count_from(symbol, days[-1])

    async def _past(self, symbol: str) -> None:
        if not self._trends.has_past(symbol):
            ticks = await self._exchange.ticks(symbol)
            self._trends.begin(symbol, [float(tick.price) for tick in ticks[-SPARK:]])


def trade_shown(trade: Trade) -> dict[str, Any]:
    """Return a trade as a page has it."""
    return {
        "price": trade.price,
        "quantity": trade.quantity,
        "side": trade.side,
        "trade_id": trade.trade_id,
        "time": trade.time,
    }


def book_shown(book: BookUpdate) -> dict[str, Any]:
    """Return a book as a page has it."""
    return {"bids": book.bids, "asks": book.asks, "time": book.time}


def _shown(instrument: InstrumentSeen) -> dict[str, Any]:
    facts = msgspec.structs.asdict(instrument)
    facts.pop("trading_state")
    return facts
