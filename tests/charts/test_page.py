"""The live page in a real browser over the real processes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from tests.charts.builders import PaperMarket, a_tick, charts_over
from tests.charts.conftest import Watched
from tests.e2e.processes import Market, until_healthy

pytestmark = pytest.mark.timeout(120)
DESK, PHONE = (1440, 900), (390, 844)
PATIENCE_MS = 15_000
NOTHING = "\N{EN DASH}"


@asynccontextmanager
async def opened(
    browser: Browser, url: str, size: tuple[int, int] = DESK, **options: Any
) -> AsyncIterator[Watched]:
    """Give a page of its own on an address."""
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]}, timezone_id="Asia/Tokyo", **options
    )
    page = await context.new_page()
    watched = Watched(page, url)
    await page.goto(f"{url}/")
    yield watched
    await context.close()


async def ready(running: Market) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        for url in (running.exchange, running.risk, running.charts):
            await until_healthy(client, url)


async def word(page: Page, text: str) -> None:
    await expect(page.locator("#state-word")).to_have_text(text, timeout=PATIENCE_MS)


async def until(page: Page, expression: str) -> None:
    """Return when an expression is true; our policy keeps the page from evaluating it itself."""
    async with asyncio.timeout(PATIENCE_MS / 1000):
        while True:
            if await page.evaluate(f"Boolean({expression})"):
                return
            await asyncio.sleep(0.05)


async def nobody_looks(running: Market) -> None:
    while True:
        if not (await asked(running.charts, "/health"))["pages"]:
            return
        await asyncio.sleep(0.05)


async def asked(url: str, path: str) -> Any:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        return (await client.get(path)).json()


async def test_live_prices_are_there_within_two_seconds_and_move(
    browser: Browser, running: Market
) -> None:
    await ready(running)
    async with opened(browser, running.charts) as watched:
        page = watched.page
        await expect(page.locator("#last")).not_to_have_text(NOTHING, timeout=2000)
        await word(page, "LIVE")
        first = await page.locator("#last").inner_text()
        await expect(page.locator("#last")).not_to_have_text(first, timeout=PATIENCE_MS)
        await until(page, "sandpit.chart.rows.length > 1")
        await expect(page.locator("#watch tr")).to_have_count(3)
        await expect(page.locator("#var-99")).not_to_have_text(NOTHING, timeout=PATIENCE_MS)
        shown = await page.evaluate("sandpit.store.instrument.get('BTC').tick_size")
    instruments = await asked(running.exchange, "/instruments")
    assert shown == instruments[0]["tick_size"]
    assert watched.errors == []
    assert watched.foreign == []


async def test_the_numbers_of_the_page_are_those_of_the_exchange(
    browser: Browser, running: Market
) -> None:
    await ready(running)
    async with opened(browser, running.charts) as watched:
        await word(watched.page, "LIVE")
        await watched.page.locator("#intervals button[value='1s']").click()
        await until(
            watched.page,
            "sandpit.chart.interval === 1 && sandpit.chart.rows.length > 3",
        )
        rows = await watched.page.evaluate(
            "sandpit.chart.rows.slice(-4, -1).map(r => r.slice(0, 6))"
        )
    ticks = await asked(running.exchange, "/ticks?symbol=BTC&limit=1000")
    for row in rows:
        of = [tick for tick in ticks[::-1] if _second(tick["time"]) == row[0]]
        prices = [tick["price"] for tick in of]
        assert row[1:5] == [prices[0], max(prices), min(prices), prices[-1]]
        assert row[5] == pytest.approx(sum(tick["volume"] for tick in of))


def _second(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp())


async def test_an_order_of_the_page_is_in_the_book_and_in_the_account(
    browser: Browser, running: Market
) -> None:
    await ready(running)
    async with opened(browser, running.charts) as watched:
        page = watched.page
        await word(page, "LIVE")
        await page.locator("#account").fill("visitor")
        await page.locator("#account").blur()
        await page.locator("#ticket select[name=type]").select_option("limit")
        await page.locator("#ticket input[name=quantity]").fill("2")
        await page.locator("#ticket input[name=price]").fill("60000")
        await page.locator("#send").click()
        await expect(page.locator("#answer")).to_contain_text("Open.", timeout=PATIENCE_MS)
        await expect(page.locator("#orders tr")).to_contain_text("60,000", timeout=PATIENCE_MS)
        await expect(page.locator("#bids .own").last).to_have_text("◆ 2", timeout=PATIENCE_MS)
        await expect(page.locator("#bots")).to_contain_text("visitor", timeout=PATIENCE_MS)
        orders = await asked(running.exchange, "/orders?account=visitor&status=open")
        assert [(each["price"], each["quantity"]) for each in orders] == [(60000, 2)]

        await page.locator("#orders button").click()
        await expect(page.locator("#orders tr")).to_have_count(0, timeout=PATIENCE_MS)
        assert await asked(running.exchange, "/orders?account=visitor&status=open") == []

        await page.locator("#ticket select[name=type]").select_option("market")
        await page.locator("#ticket input[name=quantity]").fill("1")
        await page.locator("#send").click()
        await expect(page.locator("#answer")).to_contain_text("Bought 1 BTC", timeout=5000)
        await expect(page.locator("#bots tr", has_text="visitor")).to_contain_text(
            "BTC 1", timeout=PATIENCE_MS
        )
    assert watched.errors == []


async def test_a_refusal_is_shown_in_the_exchanges_own_words(
    browser: Browser, running: Market
) -> None:
    await ready(running)
    async with opened(browser, running.charts) as watched:
        page = watched.page
        await word(page, "LIVE")
        await page.locator("#ticket input[name=quantity]").fill("1000")
        await page.locator("#send").click()
        await expect(page.locator("#answer")).to_contain_text("the order needs", timeout=5000)
        await page.locator("#ticket input[name=quantity]").fill("a lot")
        await page.locator("#send").click()
        await expect(page.locator("#answer")).to_contain_text("quantity must be a number")
    assert watched.errors == []


async def test_a_refused_order_is_counted_and_told_with_its_reason(
    browser: Browser, running: Market
) -> None:
    await ready(running)
    async with httpx.AsyncClient(base_url=running.exchange, trust_env=False) as client:
        body = {"account": "greedy", "symbol": "TCS", "quantity": 1}
        (await client.post("/buy", json=body)).raise_for_status()
        async with opened(browser, running.charts) as watched:
            page = watched.page
            await word(page, "LIVE")
            row = page.locator("#bots tr", has_text="greedy").locator("td").last
            await expect(row).to_have_text("0", timeout=PATIENCE_MS)
            refused = await client.post("/buy", json=body | {"symbol": "BTC", "quantity": 1000})
            await expect(row).to_have_text("▲ 1", timeout=PATIENCE_MS)
            fault = page.locator("#events li[data-level=warn]", has_text="greedy")
            await expect(fault).to_contain_text(refused.json()["detail"].removesuffix("."))
    assert refused.status_code == 409
    assert watched.errors == []


async def test_fills_from_before_the_charts_began_are_counted_and_marked(
    browser: Browser, running: Market
) -> None:
    await ready(running)
    body = {"account": "early", "symbol": "BTC", "quantity": 1}
    async with httpx.AsyncClient(base_url=running.exchange, trust_env=False) as client:
        for side in ("buy", "sell", "buy"):  # the first one opens the account
            (await client.post(f"/{side}", json=body)).raise_for_status()
    async with opened(browser, running.charts) as watched:
        fills = watched.page.locator("#bots tr", has_text="early").locator("td").nth(5)
        await expect(fills).to_have_text("3", timeout=PATIENCE_MS)
    running.kill("charts")
    running.start("charts")
    await ready(running)
    async with opened(browser, running.charts) as watched:
        page = watched.page
        fills = page.locator("#bots tr", has_text="early").locator("td").nth(5)
        await expect(fills).to_have_text("3", timeout=PATIENCE_MS)
        of = "sandpit.store.fill.filter(each => each.account === 'early')"
        await until(page, f"{of}.length === 3")
        sides = await page.evaluate(f"{of}.map(each => each.side)")
    assert sides == ["buy", "sell", "buy"]
    assert watched.errors == []


async def test_no_word_of_the_accounts_is_cut_on_a_desk(browser: Browser, running: Market) -> None:
    await ready(running)
    async with opened(browser, running.charts) as watched:
        await expect(watched.page.locator("#bots tr").first).to_be_visible(timeout=PATIENCE_MS)
        cut = "cells => cells.filter(e => e.scrollWidth > e.clientWidth).map(e => e.textContent)"
        assert await watched.page.locator(".bots thead th").evaluate_all(cut) == []


async def test_an_own_order_of_many_decimals_fits_into_the_ladder(
    browser: Browser, running: Market
) -> None:
    await ready(running)
    async with httpx.AsyncClient(base_url=running.exchange, trust_env=False) as client:
        price = (await client.get("/market-data/BTC")).json()["price"]
        body = {"account": "precise", "symbol": "BTC", "quantity": 2.12345, "price": price - 300}
        (await client.post("/buy", json=body)).raise_for_status()
        async with opened(browser, running.charts) as watched:
            page = watched.page
            await page.locator("#account").fill("precise")
            await page.locator("#account").blur()
            own = page.locator("#bids .own").last
            await expect(own).to_have_text("◆ 2.1235", timeout=PATIENCE_MS)
            assert await own.get_attribute("title") == "2.12345"
            cut = "cells => cells.filter(cell => cell.scrollWidth > cell.clientWidth).length"
            assert await page.locator(".ladder td").evaluate_all(cut) == 0
        await client.delete("/orders?account=precise")


async def test_a_source_that_stops_is_called_stale_in_words(
    browser: Browser, running: Market
) -> None:
    await ready(running)
    async with opened(browser, running.charts) as watched:
        page = watched.page
        await word(page, "LIVE")
        running.kill("source-btc")
        await word(page, "STALE")
        await expect(page.locator("#state-why")).to_contain_text("BTC: source")
        await expect(page.locator("#chart-badge")).to_have_text("STALE")
        await expect(page.locator("#watch tr").first).to_contain_text("STALE")
        await expect(page.locator("#events")).to_contain_text("the source is down")
        running.start("source-btc")
        await word(page, "LIVE")
    assert watched.errors == []


@pytest.mark.parametrize("name", ["exchange", "charts"])
async def test_the_page_heals_without_a_reload_when_a_process_dies(
    browser: Browser, running: Market, name: str
) -> None:
    await ready(running)
    async with opened(browser, running.charts) as watched:
        page = watched.page
        await word(page, "LIVE")
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
    assert watched.errors == []


async def test_a_hidden_page_rests_and_comes_back_whole(browser: Browser, running: Market) -> None:
    await ready(running)
    hide = """hidden => {
        Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    async with opened(browser, running.charts) as watched:
        page = watched.page
        await word(page, "LIVE")
        await page.evaluate(hide, arg=True)
        assert await page.evaluate("sandpit.link.source") is None
        async with asyncio.timeout(10):
            await nobody_looks(running)
        await page.evaluate(hide, arg=False)
        await word(page, "LIVE")
        await until(page, "sandpit.chart.rows.length > 1")


async def test_the_keyboard_is_enough(browser: Browser, running: Market) -> None:
    await ready(running)
    async with opened(browser, running.charts) as watched:
        page = watched.page
        await word(page, "LIVE")
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
    assert watched.errors == []


@pytest.mark.parametrize("size", [DESK, (1100, 800), PHONE, (320, 640)])
async def test_nothing_runs_over_the_edge(
    browser: Browser, running: Market, size: tuple[int, int]
) -> None:
    await ready(running)
    async with opened(browser, running.charts, size) as watched:
        await word(watched.page, "LIVE")
        wide, tall = await watched.page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
        )
    assert wide <= size[0]
    if size == DESK:
        assert tall <= size[1]


async def test_a_page_stays_where_it_is_while_it_fills(browser: Browser, running: Market) -> None:
    await ready(running)
    async with opened(browser, running.charts) as watched:
        await watched.page.evaluate("""() => {
            window.shift = 0;
            new PerformanceObserver((list) => {
                for (const each of list.getEntries()) window.shift += each.value;
            }).observe({ type: 'layout-shift', buffered: true });
        }""")
        await word(watched.page, "LIVE")
        await until(watched.page, "sandpit.chart.rows.length > 1")
        await watched.page.wait_for_timeout(1500)
        shift = await watched.page.evaluate("window.shift")
    assert shift < 0.05


async def test_markup_in_a_name_is_text(browser: Browser) -> None:
    symbol, account = "<script>document.title='x'</script>", "<img src=x onerror=alert(1)>"
    paper = PaperMarket(symbol)
    paper.account(account)
    paper.tell(a_tick(symbol))
    async with charts_over(paper) as url, opened(browser, url) as watched:
        page = watched.page
        await expect(page.locator("#watch button")).to_have_text(symbol, timeout=PATIENCE_MS)
        await expect(page.locator("#bots")).to_contain_text(account, timeout=PATIENCE_MS)
        await expect(page.locator("#symbol option")).to_have_text(symbol)
        assert await page.locator("tbody script, tbody img, select script").count() == 0
        assert await page.title() != "x"
    assert watched.errors == []


async def test_the_study_draws_candles_and_asks_nobody_else(
    browser: Browser, running: Market
) -> None:
    await ready(running)
    async with opened(browser, running.charts) as watched:
        page = watched.page
        await page.goto(f"{running.charts}/study?symbol=BTC&interval=1s")
        await until(page, "document.getElementById('figure').data?.[0].x.length > 1")
        await page.locator("#indicators button", has_text="SMA").click()
        await until(
            page, "document.getElementById('figure').data.some(each => each.name === 'SMA 20')"
        )
        assert (
            await page.evaluate("document.getElementById('figure').data[0].type") == "candlestick"
        )
    assert watched.errors == []
    assert watched.foreign == []


def test_the_modules_are_small_enough_to_read() -> None:
    folder = Path(__file__).parents[2] / "charts" / "static"
    assert {path.name for path in folder.glob("*.js") if len(path.read_text()) > 20_000} == set()
