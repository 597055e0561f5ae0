"""A real browser, the one that is installed; every page of it is watched for what goes wrong."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.e2e.processes import Market, market

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--force-color-profile=srgb")


class Watched:
    """What a page did that it should not: errors, and requests to anyone else."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page, self.errors, self.foreign = page, list[str](), list[str]()
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


@pytest.fixture
async def browser(program: Callable[..., str]) -> AsyncIterator[Browser]:
    """A browser of its own for a test; CHROMIUM says which program it is."""
    path = os.environ.get("CHROMIUM") or program(*NAMES)
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield opened
        await opened.close()


@pytest.fixture(scope="session")
def running(
    program: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Market]:
    """The real processes, five ticks a second, for all tests; what a test ends it starts again."""
    if not os.environ.get("CHROMIUM"):
        program(*NAMES)
    folder: Path = tmp_path_factory.mktemp("market")
    settings = {"TICK_INTERVAL_S": "0.2", "SEED": "7", "STALE_AFTER_S": "3"}
    with market(folder, **settings) as started:
        started.start()
        yield started
