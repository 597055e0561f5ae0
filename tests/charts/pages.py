"""Pages of the charts in a browser, and what a test asks of them and of the processes behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from playwright.async_api import Browser, Page, expect

from tests.e2e.processes import Market, until_healthy
from tests.streams import a_client

DESK, PHONE = (1440, 900), (390, 844)
PATIENCE_MS = 30_000
NOTHING = "\N{EN DASH}"


class Watched:
    """What a page did that it should not: errors, and requests to anyone else."""

    def __init__(self, page: Page, origin: str) -> None:
        self.errors, self.foreign = list[str](), list[str]()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._hear)
        page.on("request", lambda request: self._see(request.url, origin))

    def _hear(self, message: object) -> None:
        kind, text = getattr(message, "type", ""), getattr(message, "text", "")
        if kind in {"error", "warning"} and "Failed to load resource" not in text:
            self.errors.append(text)

    def _see(self, url: str, origin: str) -> None:
        if not url.startswith((f"{origin}/", "data:", "blob:")):
            self.foreign.append(url)


@asynccontextmanager
async def opened(
    browser: Browser, url: str, size: tuple[int, int] = DESK, path: str = "/", **options: Any
) -> AsyncIterator[Page]:
    """Give a page on an address; in the end it must have done nothing that it should not."""
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]}, timezone_id="Asia/Tokyo", **options
    )
    page = await context.new_page()
    watched = Watched(page, url)
    try:
        await page.goto(f"{url}{path}", wait_until="domcontentloaded")
        yield page
    finally:
        await context.close()
    assert watched.errors == []
    assert watched.foreign == []


@asynccontextmanager
async def live(browser: Browser, running: Market) -> AsyncIterator[Page]:
    """Give the page of a market that is ready, once it is live."""
    await ready(running)
    async with opened(browser, running.charts) as page:
        await word(page, "LIVE")
        yield page


async def ready(running: Market) -> None:
    """Return when the processes that a page needs are well, and there is somebody to trade with."""
    async with a_client() as client:
        for url in (running.exchange, running.risk, running.charts):
            await until_healthy(client, url)
        await _until_it_trades(client, running.exchange)


async def _until_it_trades(client: httpx.AsyncClient, exchange: str) -> None:
    async with asyncio.timeout(PATIENCE_MS / 1000):
        while True:
            book = (await client.get(f"{exchange}/book/BTC")).json()
            if book["bids"] and book["asks"]:
                return
            await asyncio.sleep(0.05)


async def word(page: Page, text: str) -> None:
    """Return when the page calls what it shows by this word."""
    await expect(page.locator("#state-word")).to_have_text(text, timeout=PATIENCE_MS)


async def until(page: Page, expression: str) -> None:
    """Return when an expression is true; our policy keeps the page from evaluating it itself."""
    async with asyncio.timeout(PATIENCE_MS / 1000):
        while True:
            if await page.evaluate(f"Boolean({expression})"):
                return
            await asyncio.sleep(0.05)


async def drawn(page: Page) -> None:
    """Return when candles are drawn."""
    await until(page, "globalThis.sandpit?.chart.rows.length > 1")


async def asked(url: str, path: str) -> Any:
    """Return what a server answers."""
    async with a_client(url) as client:
        return (await client.get(path)).json()
