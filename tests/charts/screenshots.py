"""The pictures of the page in ``docs/``, taken of a market that has run for a while.

python tests/charts/screenshots.py [--seconds 90]
"""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

import httpx
from playwright.async_api import Browser, async_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.charts.conftest import FLAGS, NAMES
from tests.e2e.processes import ROOT, Market, market, until_healthy

SETTINGS = {"TICK_INTERVAL_S": "0.1", "SEED": "11"}
CHOICES = '{"symbol":"BTC","interval":"1s","account":"me","indicators":["ema","bb","rsi","macd"]}'
REMEMBER = f"localStorage.setItem('sandpit', '{CHOICES}')"
PAGES = (
    ("live-1440x900.png", "/", (1440, 900)),
    ("live-390x844.png", "/", (390, 844)),
    ("study-1440x900.png", "/study?symbol=BTC&interval=1s", (1440, 900)),
)


async def trade(running: Market) -> None:
    """Place a few orders of our own, so that there is something to see."""
    async with httpx.AsyncClient(base_url=running.exchange, trust_env=False) as client:
        for symbol, lots in (("BTC", 2), ("META", 40)):
            body = {"account": "me", "symbol": symbol, "quantity": lots}
            (await client.post("/buy", json=body)).raise_for_status()
        price = (await client.get("/market-data/BTC")).json()["price"]
        for side, away, quantity in (("buy", -3, 1.5), ("buy", -120, 2.0), ("sell", 140, 1.0)):
            body = {"account": "me", "symbol": "BTC", "quantity": quantity, "price": price + away}
            (await client.post(f"/{side}", json=body)).raise_for_status()


async def take(browser: Browser, url: str, name: str, size: tuple[int, int]) -> None:
    """Save one picture of one page."""
    page = await browser.new_page(viewport={"width": size[0], "height": size[1]})
    await page.add_init_script(REMEMBER)
    await page.goto(url)
    await page.wait_for_timeout(5000)
    await page.screenshot(path=ROOT / "docs" / name)
    await page.close()


async def main(seconds: float) -> None:
    """Run a market for a while and look at it."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)))
    with tempfile.TemporaryDirectory() as folder, market(Path(folder), **SETTINGS) as running:
        running.start()
        async with httpx.AsyncClient(trust_env=False) as client:
            await until_healthy(client, running.exchange)
            await until_healthy(client, running.charts)
        await asyncio.sleep(seconds)
        await trade(running)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=path, args=list(FLAGS))
            for name, address, size in PAGES:
                await take(browser, running.charts + address, name, size)
            await browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=90.0)
    asyncio.run(main(parser.parse_args().seconds))
