"""A real browser, the one that is installed, and a real market; one of each for all tests."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from tests.charts.pages import PATIENCE_MS
from tests.e2e.processes import COMMANDS, Market, market

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--force-color-profile=srgb")


@pytest.fixture(scope="session")
def browser_path(program: Callable[..., str]) -> str:
    """The browser's program; CHROMIUM says which one it is."""
    return os.environ.get("CHROMIUM") or program(*NAMES)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(browser_path: str) -> AsyncIterator[Browser]:
    """One browser; each test has a context of its own in it, and runs in the session's loop."""
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=browser_path, args=list(FLAGS))
        yield opened
        await opened.close()


@pytest.fixture(scope="session")
def running(browser_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """The real processes but the bots, five ticks a second; what a test ends it starts again."""
    folder: Path = tmp_path_factory.mktemp("market")
    settings = {"TICK_INTERVAL_S": "0.2", "SEED": "7", "STALE_AFTER_S": "5"}
    with market(folder, **settings) as started:
        started.start(*(name for name in COMMANDS if not name.startswith("bot-")))
        yield started
