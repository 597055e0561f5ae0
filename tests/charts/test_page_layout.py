"""How the pages are laid out in a real browser, and that they stay so."""

import pytest
from playwright.async_api import Browser, expect

from market.orders import TradingState
from tests.charts.builders import PaperMarket, a_halt, a_tick, charts_of, charts_over
from tests.charts.pages import (
    DESK,
    NOTHING,
    PATIENCE_MS,
    PHONE,
    drawn,
    live,
    opened,
    ready,
    until,
    word,
)
from tests.e2e.processes import Market
from tests.streams import a_client

pytestmark = pytest.mark.asyncio(loop_scope="session")
SIZES = (DESK, (1280, 800), (1100, 800), (901, 720), PHONE, (320, 640))
EDGES = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
CUT = "cells => cells.filter(e => e.scrollWidth > e.clientWidth).map(e => e.textContent)"
SHIFT = """() => {
    window.shift = 0;
    new PerformanceObserver((list) => {
        for (const each of list.getEntries()) window.shift += each.value;
    }).observe({ type: 'layout-shift', buffered: true });
}"""


async def test_nothing_runs_over_the_edge_and_no_heading_is_cut(
    browser: Browser, running: Market
) -> None:
    await ready(running)
    async with a_client(running.exchange) as client:
        for symbol in ("BTC", "TCS", "META"):
            body = {"account": "collector", "symbol": symbol, "quantity": 1}
            (await client.post("/buy", json=body)).raise_for_status()
    async with live(browser, running) as page:
        await expect(page.locator("#bots")).to_contain_text("collector", timeout=PATIENCE_MS)
        for wide, tall in SIZES:
            await page.set_viewport_size({"width": wide, "height": tall})
            width, height = await page.evaluate(EDGES)
            assert width <= wide
            if (wide, tall) == DESK:
                assert height <= tall
            assert await page.locator("thead th:visible").evaluate_all(CUT) == []
            assert (
                await page.locator("h2:not(.sr-only), .figures dd, #send").evaluate_all(CUT) == []
            )


async def test_a_page_stays_where_it_is_while_it_fills(browser: Browser, running: Market) -> None:
    await ready(running)
    async with opened(browser, running.charts) as page:
        await page.evaluate(SHIFT)
        await word(page, "LIVE")
        await drawn(page)
        last = await page.locator("#last").inner_text()
        await expect(page.locator("#last")).not_to_have_text(last, timeout=PATIENCE_MS)
        shift = await page.evaluate("window.shift")
    assert shift < 0.05


async def test_a_halt_is_shown_in_words_also_one_from_before(browser: Browser) -> None:
    paper = PaperMarket("BTC")
    paper.trading_state = "cancel_only"
    paper.tell(a_tick("BTC"))
    async with charts_over(paper) as url, opened(browser, url) as page:
        badge = page.locator("#chart-badge")
        await expect(badge).to_have_text("CANCEL ONLY", timeout=PATIENCE_MS)
        await expect(page.locator("#watch .tag")).to_have_text("CANCEL ONLY")
        paper.tell(a_halt("BTC", TradingState.AUCTION))
        await expect(badge).to_have_text("AUCTION", timeout=PATIENCE_MS)
        paper.tell(a_halt("BTC", TradingState.TRADING))
        await expect(badge).to_be_hidden(timeout=PATIENCE_MS)
        await expect(page.locator("#events")).to_contain_text("trading goes on")


@pytest.mark.parametrize("size", [DESK, PHONE])
async def test_no_number_of_an_account_is_cut(browser: Browser, size: tuple[int, int]) -> None:
    paper = PaperMarket("BTC")
    paper.tell(a_tick("BTC"))
    for name, scale, fees in (("poor", 1, 444), ("wealthy", 10_000, 8444)):
        paper.account(name)
        won, lost = {"realized_pnl": 987.6 * scale}, {"unrealized_pnl": -99.8 * scale}
        paper.accounts[-1] |= won | lost | {"fees": fees}
    async with charts_over(paper) as url, opened(browser, url, size) as page:
        rows = page.locator("#bots tr")
        await expect(rows.last).to_contain_text("+9.88M", timeout=PATIENCE_MS)
        await expect(rows.last.locator("td").nth(3)).to_have_attribute("title", "+9,876,000")
        await expect(page.locator("#bots-total")).to_contain_text("8,888")
        assert await page.locator(".bots td").evaluate_all(CUT) == []


async def test_what_rounds_to_zero_has_neither_sign_nor_arrow(browser: Browser) -> None:
    paper = PaperMarket("BTC")
    paper.tell(a_tick("BTC"))
    async with charts_over(paper) as url, opened(browser, url) as page:
        shown = await page.evaluate("""async () => {
            const app = document.querySelector("script[type=module]").src;
            const { change, money, percent, signed } = await import(new URL("format.js", app).href);
            return [change(-4e-5), change(-6e-5), change(6e-5), money(-0.4), percent(-0.0004),
                percent(-0.006), signed(0.3), signed(-1234.5, 1), signed(null)];
        }""")
    assert [text.replace("\N{MINUS SIGN}", "-") for text in shown] == [
        "0.00%", "▼ -0.01%", "▲ +0.01%", "0", "0.0%", "-0.6%", "0", "-1,234.5", NOTHING,
    ]  # fmt: skip


async def test_markup_in_a_name_is_text(browser: Browser) -> None:
    symbol, account = "<script>document.title='x'</script>", "<img src=x onerror=alert(1)>"
    paper = PaperMarket(symbol)
    paper.account(account)
    paper.tell(a_tick(symbol))
    async with charts_over(paper) as url, opened(browser, url) as page:
        await expect(page.locator("#watch button")).to_have_text(symbol, timeout=PATIENCE_MS)
        await expect(page.locator("#bots")).to_contain_text(account, timeout=PATIENCE_MS)
        await expect(page.locator("#symbol option")).to_have_text(symbol)
        assert await page.locator("tbody script, tbody img, select script").count() == 0
        assert await page.title() != "x"


async def test_the_study_draws_candles_and_asks_nobody_else(
    browser: Browser, running: Market
) -> None:
    await ready(running)
    study = "/study?symbol=BTC&interval=1s"
    async with opened(browser, running.charts, path=study) as page:
        await until(page, "document.getElementById('figure').data?.[0].x.length > 1")
        await page.locator("#indicators button", has_text="SMA").click()
        await until(
            page, "document.getElementById('figure').data.some(each => each.name === 'SMA 20')"
        )
        kind = await page.evaluate("document.getElementById('figure').data[0].type")
    assert kind == "candlestick"


async def test_a_study_opened_before_there_is_a_market_fills_by_itself(
    browser: Browser, port: int
) -> None:
    exchange = f"http://127.0.0.1:{port}"
    async with charts_of(exchange) as url, opened(browser, url, path="/study") as page:
        await expect(page.locator("#note")).to_contain_text("no symbol", timeout=PATIENCE_MS)
        begun = PaperMarket("BTC", "TCS", epoch="0000d00d")
        for seq in range(1, 60):
            begun.tell(a_tick(seq=seq, age_s=60.0 - seq))
        async with begun.served(port):
            await until(page, "document.getElementById('figure').data?.[0].x.length > 1")
            names = await page.locator("#symbol option").all_text_contents()
            await expect(page.locator("#note")).to_be_empty()
    assert names == ["BTC", "TCS"]


async def test_a_study_of_nothing_says_so_and_draws_no_axes(browser: Browser) -> None:
    paper = PaperMarket("BTC")
    paper.candles = []
    async with (
        charts_over(paper) as url,
        opened(browser, url, path="/study?symbol=BTC") as page,
    ):
        note = page.locator("#note")
        await expect(note).to_contain_text("no candles in this span", timeout=PATIENCE_MS)
        assert await page.locator("#figure svg").count() == 0
