"""The charts over HTTP: readers, board and routes, wired; nothing runs before the lifespan."""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from charts.accounts_reader import AccountsReader
from charts.assets import Pages
from charts.board import Board
from charts.exchange_client import Archive, ExchangeClient
from charts.forwarding import Forwarding
from charts.gallery import Gallery
from charts.live import Live
from charts.market_reader import MarketReader
from charts.picture import Painter
from charts.risk_reader import RiskReader
from charts.settings import Settings
from charts.study import Study
from charts.terminal import Top
from market.client import http_client
from market.problems import HANDLERS
from market.wire import encode

log = structlog.get_logger("charts")

RATE_WINDOW_S = 5


class Charts:
    """The readers around one board."""

    def __init__(self, settings: Settings, board: Board, client: httpx.AsyncClient) -> None:
        self.settings, self.board = settings, board
        self.exchange = ExchangeClient(
            client, settings.exchange_url, timeout_s=settings.request_timeout_s
        )
        self.archive = Archive(self.exchange)
        self.gallery = Gallery(
            self.archive, stamp=board.change, kept=settings.candles, most=settings.max_series
        )
        silence_s = 3 * settings.stream.heartbeat_s
        self.market = MarketReader(
            board,
            self.gallery,
            self.exchange,
            self.archive,
            client,
            silence_s=silence_s,
            on_reset=self._reset,
        )
        self.accounts = AccountsReader(
            board,
            self.exchange,
            self.archive,
            client,
            most=settings.max_accounts,
            keys=settings.keys,
            tell=self.market.tell,
            silence_s=silence_s,
        )
        self.risk = RiskReader(
            board,
            settings.risk_url,
            client,
            accounts=lambda: self.accounts.followed,
            tell=self.market.tell,
            silence_s=silence_s,
        )
        self._counts: deque[int] = deque([0], maxlen=RATE_WINDOW_S + 1)
        self.failure = ""

    async def run(self) -> None:
        """Read everything until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for reader in (self.market.run, self.accounts.run, self.risk.run, self._beat):
                tasks.create_task(reader())

    def status(self) -> dict[str, Any]:
        """Return what goes with every message: how old and how complete the data is."""
        counts = self._counts
        return {
            "ages": self.market.ages(),
            "stale_after_s": self.settings.stale_after_s,
            "rate": round((counts[-1] - counts[0]) / max(1, len(counts) - 1), 1),
            "lag_ms": self.market.lag_ms(),
            "missed": self.market.missed,
            "var_limit_pct": self.settings.var_limit_pct,
            "drawdown_limit_pct": self.settings.drawdown_limit_pct,
        }

    async def _beat(self) -> None:
        while True:
            self.market.beat()
            self._counts.append(self.market.events)
            await asyncio.sleep(1)

    def _reset(self) -> None:
        self.accounts.reset()
        self.risk.forget()
        self.board.reset(secrets.token_hex(4), kept=("link",))


def create_app(
    settings: Settings,
    *,
    board: Board | None = None,
    client: httpx.AsyncClient | None = None,
    on_failure: Callable[[], None] = lambda: None,
) -> Starlette:
    """Wire the charts.

    Args:
        board: for whoever has to close it, so that pages hear a farewell.
        client: for the exchange and risk; it is closed with the application when it was made here.
        on_failure: called when the readers end by themselves, which is a bug.
    """
    shown = board or Board(secrets.token_hex(4))
    calls = client or http_client(limits=httpx.Limits(max_connections=200))
    charts, painter = Charts(settings, shown, calls), Painter()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        reading = asyncio.create_task(_watched(charts, on_failure))
        yield
        shown.close()
        reading.cancel()
        await asyncio.wait([reading])
        charts.gallery.drop()
        painter.close()
        if client is None:
            await calls.aclose()

    return Starlette(
        routes=_routes(charts, painter), exception_handlers=HANDLERS, lifespan=lifespan
    )


def _routes(charts: Charts, painter: Painter) -> list[Route]:
    settings = charts.settings
    live = Live(
        charts.board,
        charts.gallery,
        settings.stream,
        status=charts.status,
        rate=settings.rate,
        want=charts.accounts.want,
    )
    orders, study = (
        Forwarding(charts.exchange, charts.accounts.hurry),
        Study(charts.archive, painter),
    )
    top = Top(charts.board, live.admission, charts.status)

    async def health(_: Request) -> Response:
        return _health(charts, live)

    return [
        *Pages().routes(),
        Route("/live", live, methods=["GET"]),
        Route("/orders", orders.place, methods=["POST"]),
        Route("/orders/{order_id}", orders.cancel, methods=["DELETE"]),
        Route("/study/data", study.data),
        Route("/chart.png", study.picture),
        Route("/top", top.top),
        Route("/health", health),
    ]


def _health(charts: Charts, live: Live) -> Response:
    """Answer 200 while the exchange is read, else 503; without risk the page shows less."""
    links = charts.board.all("link")
    lives = charts.failure == "" and links.get("exchange", {}).get("state") == "live"
    body = {
        "status": "up" if lives else "down",
        "problem": charts.failure,
        "links": links,
        "sources": {name: each["state"] for name, each in charts.board.all("source").items()},
        "pages": live.admission.open,
        **charts.status(),
    }
    return Response(
        encode(body),
        status_code=200 if lives else 503,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


async def _watched(charts: Charts, on_failure: Callable[[], None]) -> None:
    try:
        await charts.run()
    except Exception as error:
        charts.failure = f"the readers failed: {type(error).__name__}"
        log.exception("readers_failed")
        on_failure()
