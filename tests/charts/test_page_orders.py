"""Orders of the live page, over the real processes."""

import pytest
from playwright.async_api import Browser, expect

from tests.charts.pages import PATIENCE_MS, asked, live, opened, ready
from tests.e2e.processes import Market
from tests.streams import a_client

pytestmark = pytest.mark.asyncio(loop_scope="session")


def far_below(price: float, *, places: int | None = None) -> float:
    """Return a price that may be bid, and to which the market does not fall while a test looks."""
    return round(0.7 * price, places)


async def test_an_order_of_the_page_is_in_the_book_and_in_the_account(
    browser: Browser, running: Market
) -> None:
    async with live(browser, running) as page:
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
        await expect(page.locator("#answer")).to_contain_text("Bought 1 BTC", timeout=PATIENCE_MS)
        await expect(page.locator("#bots tr", has_text="visitor")).to_contain_text(
            "BTC 1", timeout=PATIENCE_MS
        )


async def test_a_refusal_is_shown_in_the_exchanges_own_words(
    browser: Browser, running: Market
) -> None:
    async with live(browser, running) as page:
        await page.locator("#ticket input[name=quantity]").fill("1000")
        await page.locator("#send").click()
        await expect(page.locator("#answer")).to_contain_text(
            "the order needs", timeout=PATIENCE_MS
        )
        await page.locator("#ticket input[name=quantity]").fill("a lot")
        await page.locator("#send").click()
        await expect(page.locator("#answer")).to_contain_text("quantity must be a number")


async def test_a_refused_order_is_counted_and_told_with_its_reason(
    browser: Browser, running: Market
) -> None:
    await ready(running)
    async with a_client(running.exchange) as client:
        body = {"account": "greedy", "symbol": "TCS", "quantity": 1}
        (await client.post("/buy", json=body)).raise_for_status()
        async with live(browser, running) as page:
            row = page.locator("#bots tr", has_text="greedy")
            await expect(row.locator("td").last).to_have_text("0", timeout=PATIENCE_MS)
            await expect(row).to_contain_text("active")
            refused = await client.post("/buy", json=body | {"symbol": "BTC", "quantity": 1000})
            await expect(row.locator("td").last).to_have_text("1", timeout=PATIENCE_MS)
            await expect(row).to_contain_text("refused")
            fault = page.locator("#events li[data-level=warn]", has_text="greedy")
            await expect(fault).to_contain_text(refused.json()["detail"].removesuffix("."))
    assert refused.status_code == 409


async def test_an_own_order_of_many_decimals_fits_into_the_ladder(
    browser: Browser, running: Market
) -> None:
    await ready(running)
    async with a_client(running.exchange) as client:
        price = (await client.get("/market-data/BTC")).json()["price"]
        body = {"account": "precise", "symbol": "BTC", "quantity": 2.12345}
        body |= {"price": far_below(price)}
        (await client.post("/buy", json=body)).raise_for_status()
        async with opened(browser, running.charts) as page:
            await page.locator("#account").fill("precise")
            await page.locator("#account").blur()
            own = page.locator("#bids .own").last
            await expect(own).to_have_text("◆ 2.1235", timeout=PATIENCE_MS)
            assert await own.get_attribute("title") == "2.12345"
            cut = "cells => cells.filter(cell => cell.scrollWidth > cell.clientWidth).length"
            assert await page.locator(".ladder td").evaluate_all(cut) == 0
        await client.delete("/orders?account=precise")


async def test_an_account_is_told_of_from_its_very_first_order(
    browser: Browser, running: Market
) -> None:
    async with live(browser, running) as page:
        async with a_client(running.exchange) as client:
            price = (await client.get("/market-data/TCS")).json()["price"]
            body = {"account": "hasty", "symbol": "TCS", "quantity": 1}
            await client.post("/buy", json=body)
            await client.post("/buy", json=body | {"quantity": 100_000_000})
            await client.post("/buy", json=body | {"price": far_below(price, places=2)})
        cells = page.locator("#bots tr", has_text="hasty").locator("td")
        await expect(cells.last).to_have_text("1", timeout=PATIENCE_MS)
        await expect(cells.nth(6)).to_have_text("1", timeout=PATIENCE_MS)
        await page.locator("#account").fill("hasty")
        await page.locator("#account").blur()
        await expect(page.locator("#orders tr")).to_contain_text("TCS", timeout=PATIENCE_MS)
