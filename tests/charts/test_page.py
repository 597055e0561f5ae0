"""The live page in a real browser over the real processes."""

import asyncio
import os
from collections import defaultdict
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from time import monotonic

import pytest
from playwright.async_api import Browser, expect

from tests.charts.pages import NOTHING, PATIENCE_MS, asked, drawn, live, opened, ready, until, word
from tests.e2e.processes import Market
from tests.stopwatch import waited_s

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def nobody_looks(running: Market) -> None:
    while True:
        if not (await asked(running.charts, "/health"))["pages"]:
            return
        await asyncio.sleep(0.05)


async def price_s(browser: Browser, running: Market) -> float:
    """Open the page; return how long it takes from then until it shows a price.

    What the process of ours, the browser's or the market's waited that the machine kept waiting
    longest for a processor is left out: the longest alone, for they wait side by side, too.
    """
    async with opened(browser, running.charts) as page:
        began, waited = monotonic(), waits_s()
        await expect(page.locator("#last")).not_to_have_text(NOTHING, timeout=PATIENCE_MS)
        kept = max(wait - waited.get(pid, 0.0) for pid, wait in waits_s().items())
        return monotonic() - began - kept


def waits_s() -> dict[int, float]:
    """Return for how long each process of ours, the browser's and the market's included, waited."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            parent = stat.read_text().rpartition(")")[2].split()[1]
            children[int(parent)].append(int(stat.parent.name))
    found = [os.getpid()]
    for pid in found:  # which grows
        found += children[pid]
    return {pid: waited_s(pid) for pid in found}


async def test_live_prices_are_there_within_two_seconds_and_move(
    browser: Browser, running: Market
) -> None:
    await ready(running)
    took = [await price_s(browser, running)]
    while took[-1] >= 2 and len(took) < 3:
        took.append(await price_s(browser, running))
    assert took[-1] < 2
    async with live(browser, running) as page:
        first = await page.locator("#last").inner_text()
        await expect(page.locator("#last")).not_to_have_text(first, timeout=PATIENCE_MS)
        await drawn(page)
        await expect(page.locator("#watch tr")).to_have_count(3)
        await expect(page.locator("#var-99")).not_to_have_text(NOTHING, timeout=PATIENCE_MS)
        shown = await page.evaluate("sandpit.store.instrument.get('BTC').tick_size")
    instruments = await asked(running.exchange, "/instruments")
    assert shown == instruments[0]["tick_size"]


async def test_the_numbers_of_the_page_are_those_of_the_exchange(
    browser: Browser, running: Market
) -> None:
    async with live(browser, running) as page:
        await page.locator("#intervals button[value='1s']").click()
        await until(
            page,
            "sandpit.chart.interval === 1 && sandpit.chart.rows.length > 3",
        )
        rows = await page.evaluate("sandpit.chart.rows.slice(-4, -1).map(r => r.slice(0, 6))")
    ticks = await asked(running.exchange, "/ticks?symbol=BTC&limit=1000")
    for row in rows:
        of = [tick for tick in ticks[::-1] if _second(tick["time"]) == row[0]]
        prices = [tick["price"] for tick in of]
        assert row[1:5] == [prices[0], max(prices), min(prices), prices[-1]]
        assert row[5] == pytest.approx(sum(tick["volume"] for tick in of))


def _second(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp())


async def test_a_hidden_page_rests_and_comes_back_whole(browser: Browser, running: Market) -> None:
    await ready(running)
    hide = """hidden => {
        Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    async with live(browser, running) as page:
        await page.evaluate(hide, arg=True)
        assert await page.evaluate("sandpit.link.source") is None
        async with asyncio.timeout(PATIENCE_MS / 1000):
            await nobody_looks(running)
        await page.evaluate(hide, arg=False)
        await word(page, "LIVE")
        await drawn(page)


async def test_the_keyboard_is_enough(browser: Browser, running: Market) -> None:
    async with live(browser, running) as page:
        await page.keyboard.press("j")
        await expect(page.locator("#symbol")).to_have_value("TCS")
        await page.keyboard.press("k")
        await expect(page.locator("#symbol")).to_have_value("BTC")
        await page.keyboard.press("/")
        await page.keyboard.type("met")
        await expect(page.locator("#watch tr")).to_have_count(1)
        await page.keyboard.press("Enter")
        await expect(page.locator("#symbol")).to_have_value("META")

        await page.keyboard.press("p")
        await word(page, "PAUSED")
        still = await page.locator("#last").inner_text()
        await until(page, "sandpit.painter.panels.some(each => each.due)")
        assert await page.locator("#last").inner_text() == still
        await page.keyboard.press("p")
        await word(page, "LIVE")

        await page.keyboard.press("c")
        assert await page.evaluate("document.documentElement.dataset.palette") == "safe"
        await page.keyboard.press("1")
        await until(page, "sandpit.store.candles?.interval === '1s'")
        await page.keyboard.press("?")
        await expect(page.locator("#help")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.locator("#help")).to_be_hidden()
