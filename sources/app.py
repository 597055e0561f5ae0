"""The application of a source, and how a source is made from its settings."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import repeat

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route

from market.clock import Clock, SystemClock
from market.events import Tick
from market.hub import Hub
from market.problems import HANDLERS
from market.streaming import StreamSettings
from sources.binance import BinanceFeed, BinanceSettings
from sources.processes import generator
from sources.quoting import Volumes
from sources.settings import BINANCE, Settings, SourceSettings
from sources.source import Source, SourceStream
from sources.ticker import Ticker, bursts, regular

log = structlog.get_logger("sources.app")


def create_app(
    source: Source, settings: StreamSettings, *, cors_origins: Sequence[str] = ()
) -> Starlette:
    """Return the application of a source; its ticks begin with the lifespan."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        ticking = asyncio.create_task(source.run())
        yield
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking

    return Starlette(
        routes=[
            Route("/stream", SourceStream(source, settings), methods=["GET"]),
            Route("/health", source.health, methods=["GET"]),
        ],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=cors_origins,
                allow_methods=["GET"],
                allow_headers=["*"],
                expose_headers=["Retry-After"],
            )
        ],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )


def create_hub(history: int) -> Hub:
    """Return an empty hub for ticks; its epoch is new each time, whatever the seed."""
    return Hub(epoch=secrets.token_hex(4), history=history, kinds=[Tick.kind])


def live(
    settings: Settings,
    clock: Clock | None = None,
    on_failure: Callable[[], None] = lambda: None,
) -> Source:
    """Return the source that a process makes; without a seed it draws one, and logs it."""
    seed = secrets.randbits(32) if settings.seed is None else settings.seed
    of = settings.source.instrument
    log.info("market_drawn", symbol=of.symbol, process=settings.process_name, seed=seed)
    return Source(
        of.symbol,
        settings.process_name,
        create_hub(settings.source.history),
        zip(dues(settings, seed), repeat(ticker(settings, seed, clock or SystemClock()).tick)),
        on_failure=on_failure,
    )


def real(settings: BinanceSettings, on_failure: Callable[[], None] = lambda: None) -> Source:
    """Return the source that a real market makes."""
    return RealSource(settings, on_failure)


class RealSource(Source):
    """The ticks of a real market, as they come; health is 503 while they do not."""

    def __init__(self, settings: BinanceSettings, on_failure: Callable[[], None]) -> None:
        symbol, hub = settings.source.instrument.symbol, create_hub(settings.source.history)
        super().__init__(symbol, BINANCE, hub, iter(()), on_failure=on_failure)
        self.feed = BinanceFeed(settings)

    async def emit(self) -> None:
        """Publish every tick as it comes, for ever."""
        await self.feed.run(self.hub.publish)

    @property
    def status(self) -> str:
        """How the source is, in a word."""
        return super().status if self.feed.is_live else "down"

    def figures(self) -> dict[str, int]:
        """Return what the source counts, for its health."""
        feed, quotes = self.feed, self.feed.quotes
        return {
            **super().figures(),
            "connections": feed.connections,
            "stalls": feed.stalls,
            "garbled": feed.garbled,
            "missed_trades": quotes.missed,
            "repeated_trades": quotes.repeated,
        }


def recorded(
    settings: SourceSettings,
    plan: Iterator[tuple[float, Tick]],
    *,
    waits: bool = True,
    on_failure: Callable[[], None] = lambda: None,
) -> Source:
    """Return the source that a recording makes."""
    makers = ((due, lambda tick=tick: tick) for due, tick in plan)
    hub = create_hub(settings.history)
    symbol = settings.instrument.symbol
    return Source(symbol, "replay", hub, makers, waits=waits, on_failure=on_failure)


def ticker(settings: Settings, seed: int, clock: Clock) -> Ticker:
    """Return the ticker of a symbol; its generators follow from the seed and the symbol."""
    of = settings.source.instrument
    volumes = Volumes(of, settings.start, generator(seed, of.symbol, "volumes"), settings.profile)
    return Ticker(of, process_prices(settings, seed), volumes, clock)


def process_prices(settings: Settings, seed: int) -> Iterator[float]:
    """Return the prices of a symbol, before they are put on its grid."""
    purpose = ("market",) if settings.correlated else (settings.source.instrument.symbol, "prices")
    return settings.process.prices(float(settings.start), generator(seed, *purpose))


def dues(settings: Settings, seed: int) -> Iterator[float]:
    """Yield when each tick of a symbol is due, in seconds from the start."""
    if settings.arrivals is None:
        return regular(settings.interval_s)
    rng = generator(seed, settings.source.instrument.symbol, "arrivals")
    return bursts(settings.arrivals, settings.interval_s, rng)
