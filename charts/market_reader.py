"""The exchange's stream onto the board: prices, books, trades, sources, and their faults."""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

import httpx
import structlog

from charts.board import WITHOUT_KEY, Board
from charts.catch_up import TAPE, CatchUp, book_shown, trade_shown
from charts.exchange_client import Archive, ExchangeClient
from charts.facts import MARKET_FACTS
from charts.gallery import Gallery
from charts.trends import Trends
from market.errors import StreamError
from market.events import BookUpdate, Fact, Gap, Snapshot, SourceState, State, Tick, Trade
from market.feed import Feed, FeedGarbled, FeedLost, FeedOpened
from market.orders import TradingState, TradingStateChanged
from market.wire import Decoder

log = structlog.get_logger("charts.market")

EVENTS: Final = 200
AGAIN_S: Final = 2.0
LAGS: Final = 500
_WORDS: Final = {
    TradingState.TRADING: "trading goes on",
    TradingState.HALTED: "trading is halted",
    TradingState.CANCEL_ONLY: "orders can only be cancelled",
    TradingState.AUCTION: "orders are collected for an auction",
}
_OF_SYMBOL: Final = ("instrument", "tick", "spark", "source", "trading", "book", "trade", "fill")
_LEVELS: Final = {State.UP: "info", State.STALE: "warn", State.DOWN: "error"}


class MarketReader:
    """Reads the exchange's stream for ever.

    Args:
        board: where everything goes.
        gallery: the series that are kept up to date.
        exchange, archive: asked for what the stream does not begin with.
        silence_s: without a byte for this long the stream is dead.
        on_reset: called when the market has begun anew.
    """

    def __init__(
        self,
        board: Board,
        gallery: Gallery,
        exchange: ExchangeClient,
        archive: Archive,
        client: httpx.AsyncClient,
        *,
        silence_s: float = 45.0,
        on_reset: Callable[[], None] = lambda: None,
    ) -> None:
        self._board, self._gallery = board, gallery
        self._archive, self._on_reset = archive, on_reset
        self.feed = Feed(
            f"{exchange.url}/stream?events=tick,trade,book,source,trading_state",
            client=client,
            decoder=Decoder(MARKET_FACTS),
            silence_s=silence_s,
        )
        self.heard: dict[str, float] = {}
        self.events, self.missed = 0, 0
        self._lags: deque[float] = deque(maxlen=LAGS)
        self._seq: dict[str, int] = {}
        self._trends = Trends(board)
        self._catch_up = CatchUp(board, exchange, archive, self._trends, on_listed=self._keep_only)
        self._take: dict[type[Fact], Callable[[Any], None]] = {
            Tick: self._take_tick,
            Trade: self._take_trade,
            BookUpdate: self._take_book,
            SourceState: self._take_source,
            Snapshot: self._take_snapshot,
            Gap: self._take_gap,
            TradingStateChanged: self._take_trading_state,
            FeedOpened: self._take_opened,
            FeedLost: self._take_lost,
            FeedGarbled: self._take_garbled,
        }

    async def run(self) -> None:
        """Read until cancelled."""
        async with self._catch_up.asking():
            await self._read()

    def take(self, fact: Fact) -> None:
        """Put one fact on the board."""
        self.events += 1
        taker = self._take.get(type(fact))
        if taker is not None:
            taker(fact)

    def ages(self) -> dict[str, float]:
        """Return how long ago each symbol's last price came, in seconds."""
        now = monotonic()
        return {symbol: round(now - heard, 3) for symbol, heard in self.heard.items()}

    def lag_ms(self) -> float | None:
        """Return the 95th percentile of the ticks' way from their source to here."""
        if not self._lags:
            return None
        ordered = sorted(self._lags)
        return round(1000 * ordered[int(0.95 * (len(ordered) - 1))], 1)

    def beat(self) -> None:
        """Move the sparklines on; call it once a second."""
        self._trends.beat()

    def tell(self, level: str, what: str, text: str) -> None:
        """Add a line to the events and faults."""
        entry = {"time": datetime.now(UTC), "level": level, "what": what, "text": text}
        self._board.append("event", WITHOUT_KEY, entry, EVENTS)

    async def _read(self) -> None:
        while True:
            try:
                async for fact in self.feed:
                    self.take(fact)
            except StreamError as error:
                self._link("lost", error.problem)
            await asyncio.sleep(AGAIN_S)

    # -- facts -----------------------------------------------------------------------------------

    def _take_tick(self, tick: Tick) -> None:
        last = self._seq.get(tick.symbol)
        if last is not None and tick.seq > last + 1:
            self._missed(tick.symbol, tick.seq - last - 1)
        self._lags.append((datetime.now(UTC) - tick.time).total_seconds())
        self._show(tick)
        self._gallery.take(tick)

    def _show(self, tick: Tick) -> None:
        self._seq[tick.symbol] = tick.seq
        self.heard[tick.symbol] = monotonic()
        self._trends.show(tick)

    def _missed(self, symbol: str, count: int) -> None:
        self.missed += count
        self.tell("warn", symbol, f"{count} prices never came; the charts are filled anew")
        self._gallery.drop(symbol)

    def _take_trade(self, trade: Trade) -> None:
        self._board.append("trade", trade.symbol, trade_shown(trade), TAPE)

    def _take_book(self, book: BookUpdate) -> None:
        self._board.put("book", book.symbol, book_shown(book))

    def _take_source(self, source: SourceState) -> None:
        known = self._board.get("source", source.symbol)
        state = {"state": source.state, "since": source.since}
        self._board.put("source", source.symbol, state)
        if known is not None and known["state"] != source.state:
            self.tell(_LEVELS[source.state], source.symbol, f"the source is {source.state}")

    def _take_snapshot(self, snapshot: Snapshot) -> None:
        for tick in snapshot.ticks:
            last = self._seq.get(tick.symbol)
            if last is not None and tick.seq > last:
                self._gallery.drop(tick.symbol)
            if last is None or tick.seq > last:
                self._show(tick)
                self.heard[tick.symbol] -= max(0.0, (datetime.now(UTC) - tick.time).total_seconds())
        for symbol, state in snapshot.sources.items():
            self._take_source(SourceState(symbol=symbol, state=state, since=datetime.now(UTC)))

    def _take_gap(self, gap: Gap) -> None:
        self.missed += gap.missed
        if gap.reason == "epoch":
            self._begin_anew()
        self._catch_up.begin()
        self.tell("warn", "exchange", f"{gap.missed} events were missed: {gap.reason}")

    def _take_trading_state(self, change: TradingStateChanged) -> None:
        self._board.put("trading", change.symbol, change.state)
        level = "info" if change.state == "trading" else "warn"
        self.tell(level, change.symbol, f"{_WORDS[change.state]}: {change.reason}")

    def _take_opened(self, _: FeedOpened) -> None:
        known = self._board.get("link", "exchange")
        if known is not None and known["state"] == "lost":
            self.tell("info", "exchange", "the stream is back")
        self._link("live", "")
        self._archive.forget()
        self._catch_up.begin()

    def _take_lost(self, lost: FeedLost) -> None:
        known = self._board.get("link", "exchange")
        if known is None or known["state"] != "lost":
            self.tell("error", "exchange", f"the stream was lost: {lost.reason}")
        self._link("lost", lost.reason)
        self._catch_up.rest()

    def _take_garbled(self, garbled: FeedGarbled) -> None:
        self.tell("warn", "exchange", f"an event made no sense: {garbled.problem[:200]}")

    def _link(self, state: str, reason: str) -> None:
        if state == "lost":
            log.warning("exchange_lost", reason=reason)
        self._board.put("link", "exchange", {"state": state, "reason": reason})

    def _begin_anew(self) -> None:
        self._gallery.drop()
        self._forget(self._symbols())
        self._on_reset()

    def _keep_only(self, listed: set[str]) -> None:
        """Let the symbols go that the exchange, started anew, has no more."""
        gone = self._symbols() - listed
        if gone:
            for symbol in gone:
                self._gallery.drop(symbol)
            self._forget(gone)
            self._board.drop(gone, _OF_SYMBOL, secrets.token_hex(4))
            self.tell("info", "exchange", f"it has no {', '.join(sorted(gone))} any more")

    def _symbols(self) -> set[str]:
        return {*self._board.all("instrument"), *self._seq}

    def _forget(self, symbols: set[str]) -> None:
        for symbol in symbols:
            self._seq.pop(symbol, None)
            self.heard.pop(symbol, None)
        self._trends.forget(symbols)
