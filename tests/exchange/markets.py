"""A whole exchange on a real server, fed by sources that do what a test tells them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import httpx
from starlette.applications import Starlette
from starlette.routing import Route

from exchange.app import create_app
from exchange.commands import Charter
from exchange.exchange import Exchange
from exchange.rules import House, Rules
from exchange.settings import Settings
from market.clock import Clock, SystemClock
from market.events import Tick
from market.hub import Hub
from market.problems import HANDLERS
from market.server import ServerSettings, serving
from market.streaming import StreamEndpoint, StreamSettings
from market.values import Instrument, Symbol
from tests.ports import held_port
from tests.streams import a_client, eventually

BTC, TCS, META = Symbol("BTC"), Symbol("TCS"), Symbol("META")
INSTRUMENTS = {
    BTC: Instrument(symbol=BTC, name="Bitcoin", tick_size=Decimal(1), lot_size=Decimal("0.00001")),
    TCS: Instrument(symbol=TCS, name="Tinkoff", tick_size=Decimal("0.01"), lot_size=Decimal(1)),
    META: Instrument(symbol=META, name="Meta", tick_size=Decimal("0.01"), lot_size=Decimal(1)),
}
PRICES = {BTC: Decimal(70400), TCS: Decimal("33.95"), META: Decimal("505.47")}
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
HOUSE = House(levels=5, spread_ticks=2, quantity=Decimal(1000))


class Source:
    """A source whose ticks a test sends; ``async with`` puts it on the air, at a port of its own.

    It can be taken off the air and put on again there.
    """

    def __init__(self, symbol: Symbol, history: int = 200_000) -> None:
        self.symbol, self.history = symbol, history
        self.hub = self._hub("0000000a")
        self.url, self.seq, self.port = "", 0, 0
        self._held, self._stack = ExitStack(), AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.port = self._held.enter_context(held_port())
        self.url = f"http://127.0.0.1:{self.port}/stream"
        await self.go_on_air()
        return self

    async def __aexit__(self, *_: object) -> None:
        with self._held:
            await self.go_off_air()

    def _hub(self, epoch: str) -> Hub:
        return Hub(epoch=epoch, history=self.history, kinds=["tick"])

    async def go_on_air(self, *, epoch: str | None = None) -> None:
        """Serve; a new ``epoch`` is a new process."""
        if epoch is not None:
            self.hub, self.seq = self._hub(epoch), 0
        endpoint = StreamEndpoint(self.hub, StreamSettings())
        app = Starlette(routes=[Route("/stream", endpoint)], exception_handlers=HANDLERS)
        settings = ServerSettings(port=self.port, farewell_s=0.05)
        await self._stack.enter_async_context(serving(app, settings))

    async def go_off_air(self) -> None:
        """Go away without a word, as a process that is killed does."""
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()

    def tick(self, price: str | Decimal | None = None, **wrong: Any) -> Tick:
        """Send the next tick; ``wrong`` fields are as given."""
        self.seq += 1
        made: dict[str, Any] = {
            "symbol": self.symbol,
            "price": PRICES[self.symbol] if price is None else Decimal(price),
            "volume": Decimal(1),
            "time": NOON + timedelta(milliseconds=self.seq),
            "seq": self.seq,
        }
        tick = Tick(**made | wrong)
        self.hub.publish(tick)
        return tick


def settings(data: Path, **others: Any) -> Settings:
    """Return settings for a test: small, quick, with a house that quotes."""
    rules: Rules = others.pop("rules", Rules(house=HOUSE, max_open_orders=200))
    sources: dict[Symbol, str] = others.pop("sources")
    instruments = {symbol: INSTRUMENTS[symbol] for symbol in sources}
    charter = Charter(
        instruments=tuple(instruments.values()), rules=rules, sourced=tuple(instruments)
    )
    given: dict[str, Any] = {
        "instruments": instruments,
        "sources": sources,
        "charter": charter,
        "server": ServerSettings(farewell_s=0.2),
        "stream": StreamSettings(heartbeat_s=0.5),
        "data": data,
        "history": 10_000,
        "stale_after_s": 30.0,
        "delay_s": 0.02,
    }
    return Settings(**given | others)


@dataclass
class Market:
    """The exchange, its sources, its address, and a client for it."""

    exchange: Exchange
    sources: dict[Symbol, Source]
    base: str
    client: httpx.AsyncClient
    failures: list[str] = field(default_factory=list)

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.client.get(path, **more)

    async def post(self, path: str, body: object, **more: Any) -> httpx.Response:
        return await self.client.post(path, json=body, **more)

    async def order(self, **body: object) -> httpx.Response:
        """Place an order of ann's, by default one share of TCS bought at the market."""
        usual = {"account": "ann", "symbol": "TCS", "side": "buy", "quantity": 1}
        return await self.client.post("/orders", json=usual | body)

    async def connected(self) -> None:
        """Wait until every source that is on the air is read."""
        read = self.exchange.merging.sources
        await eventually(lambda: all(read[s].connected_at is not None for s in self.sources))

    async def opens(self) -> None:
        """Send a price of each symbol and wait until all are heard and quoted."""
        await self.connected()
        for source in self.sources.values():
            source.tick()
        venue = self.exchange.desk.venue
        await eventually(lambda: all(venue.is_fresh(symbol) for symbol in self.sources))


@asynccontextmanager
async def a_market(
    data: Path,
    *symbols: Symbol,
    sources: dict[Symbol, Source] | None = None,
    clock: Clock | None = None,
    opened: bool = True,
    **others: Any,
) -> AsyncIterator[Market]:
    """Run an exchange; ``sources`` that a test made itself stay on the air after it."""
    own = {symbol: Source(symbol) for symbol in symbols or (BTC, TCS, META)}
    air = own if sources is None else sources
    async with AsyncExitStack() as stack:
        for source in own.values() if sources is None else ():
            await stack.enter_async_context(source)
        urls = {symbol: source.url for symbol, source in air.items()}
        asked = settings(data, **{"sources": urls} | others)
        failures: list[str] = []
        made = Exchange(asked, clock or SystemClock(), lambda: failures.append("failed"))
        app = create_app(made)
        base = await stack.enter_async_context(serving(app, asked.server, made.leave))
        client = a_client(base)
        await stack.enter_async_context(client)
        market = Market(made, air, base, client, failures)
        if opened and air:
            await market.opens()
        yield market


async def turns(count: int = 3) -> None:
    """Let the event loop go around."""
    for _ in range(count):
        await asyncio.sleep(0)


def with_rules(**rules: Any) -> Rules:
    """Return the rules of a test with others in them."""
    return replace(Rules(house=HOUSE), **rules)
