"""The face of risk over HTTP: reports, portfolios, a stream, health and metrics."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route

from market.client import http_client
from market.hub import Hub
from market.problems import HANDLERS
from market.streaming import StreamEndpoint
from risk.api import RiskApi
from risk.repositories import PortfolioRepository, SqlitePortfolioRepository
from risk.service import KINDS, RiskService
from risk.settings import Settings
from risk.standings import GuardRepository, SqliteGuardRepository

log = structlog.get_logger("risk")


def create_hub(settings: Settings) -> Hub:
    """Return an empty hub for reports; its epoch is new each time."""
    return Hub(
        epoch=secrets.token_hex(4),
        history=settings.history,
        kinds=KINDS,
        conflated_kind="risk",
    )


def create_app(
    settings: Settings,
    *,
    hub: Hub | None = None,
    repository: PortfolioRepository | None = None,
    guards: GuardRepository | None = None,
    client: httpx.AsyncClient | None = None,
    on_failure: Callable[[], None] = lambda: None,
) -> Starlette:
    """Wire the service; nothing runs before its lifespan does.

    Args:
        settings: of the service.
        hub: where reports go, for whoever has to close it.
        repository: of portfolios; a SQLite file in the data folder without it.
        guards: what survives of limits; the same file without it.
        client: for the exchange; it is closed with the application when it was made here.
        on_failure: called when the service ends by itself, which is a bug.
    """
    calls = client or http_client()
    told = hub or create_hub(settings)
    kept = repository or SqlitePortfolioRepository(settings.database)
    kept_guards = guards or SqliteGuardRepository(settings.database)
    service = RiskService(settings, told, kept, calls, guards=kept_guards)
    api = RiskApi(service)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        service.open()
        working = asyncio.create_task(_watched(service, on_failure))
        yield
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        if client is None:
            await calls.aclose()

    stream = StreamEndpoint(
        told, settings.stream, subjects=service.monitor.contexts.keys, subject_name="portfolios"
    )
    service.streams = lambda: stream.admission.open
    return Starlette(
        routes=[Route("/stream", stream, methods=["GET"]), *api.routes()],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["GET", "PUT", "POST", "DELETE"],
                allow_headers=["*"],
            )
        ],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )


async def _watched(service: RiskService, on_failure: Callable[[], None]) -> None:
    try:
        await service.run()
    except Exception as error:
        service.failure = f"the service failed: {type(error).__name__}"
        log.exception("service_failed")
        on_failure()
