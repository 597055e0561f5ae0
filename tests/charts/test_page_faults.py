"""The live page while processes die, over the real ones."""

from time import time

import pytest
from playwright.async_api import Browser, expect

from tests.charts.pages import PATIENCE_MS, live, opened, ready, until, word
from tests.e2e.processes import Market
from tests.streams import a_client

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_source_that_stops_is_called_stale_in_words(
    browser: Browser, running: Market
) -> None:
    async with live(browser, running) as page:
        running.kill("source-btc")
        await word(page, "STALE")
        await expect(page.locator("#state-why")).to_contain_text("BTC: source")
        await expect(page.locator("#chart-badge")).to_have_text("STALE")
        await expect(page.locator("#watch tr").first).to_contain_text("STALE")
        await expect(page.locator("#events")).to_contain_text("the source is down")
        running.start("source-btc")
        await word(page, "LIVE")


@pytest.mark.parametrize("name", ["exchange", "charts"])
async def test_the_page_heals_without_a_reload_when_a_process_dies(
    browser: Browser, running: Market, name: str
) -> None:
    async with live(browser, running) as page:
        await page.evaluate("window.same = true")
        running.kill(name)
        await expect(page.locator("#state")).to_have_attribute(
            "data-state", "lost", timeout=PATIENCE_MS
        )
        running.start(name)
        await ready(running)
        await word(page, "LIVE")
        price = await page.locator("#last").inner_text()
        await expect(page.locator("#last")).not_to_have_text(price, timeout=PATIENCE_MS)
        assert await page.evaluate("window.same") is True


async def test_fills_from_before_the_charts_began_are_counted_and_marked(
    browser: Browser, running: Market
) -> None:
    await ready(running)
    body = {"account": "early", "symbol": "BTC", "quantity": 1}
    async with a_client(running.exchange) as client:
        for side in ("buy", "sell", "buy"):  # the first one opens the account
            (await client.post(f"/{side}", json=body)).raise_for_status()
    async with opened(browser, running.charts) as page:
        fills = page.locator("#bots tr", has_text="early").locator("td").nth(6)
        await expect(fills).to_have_text("3", timeout=PATIENCE_MS)
    running.kill("charts")
    killed = time()
    running.start("charts")
    await ready(running)
    async with opened(browser, running.charts) as page:
        fills = page.locator("#bots tr", has_text="early").locator("td").nth(6)
        await expect(fills).to_have_text("3", timeout=PATIENCE_MS)
        of = "sandpit.store.fill.filter(each => each.account === 'early')"
        await until(page, f"{of}.length === 3")
        sides = await page.evaluate(f"{of}.map(each => each.side)")
        await until(page, f"sandpit.store.equity.get('early')?.[0][0] < {killed}")
    assert sides == ["buy", "sell", "buy"]
