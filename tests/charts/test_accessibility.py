"""What assistive technology needs: names, roles, tables, contrast, a voice that is not shrill."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.charts.test_page import PHONE, opened, ready, until, word
from tests.e2e.processes import Market

pytestmark = pytest.mark.timeout(120)
LOOK = (Path(__file__).parent / "accessibility.js").read_text()


Color = tuple[float, float, float, float]


def color(text: str) -> Color:
    numbers = [float(each) for each in re.findall(r"[\d.]+", text)]
    red, green, blue = numbers[:3]
    return red, green, blue, numbers[3] if len(numbers) > 3 else 1.0


def over(front: Color, back: Color) -> Color:
    alpha = front[3]
    mixed = [alpha * a + (1 - alpha) * b for a, b in zip(front[:3], back[:3], strict=True)]
    return mixed[0], mixed[1], mixed[2], 1.0


def luminance(of: Color) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [each / 255 for each in of[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(text: dict[str, Any]) -> float:
    ground: Color = (11, 14, 20, 1.0)
    for each in reversed(text["grounds"]):
        ground = over(color(each), ground)
    light, dark = sorted((luminance(over(color(text["color"]), ground)), luminance(ground)))[::-1]
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_computed_as_the_standard_says() -> None:
    black_on_white = {"color": "rgb(0, 0, 0)", "grounds": ["rgb(255, 255, 255)"]}
    assert contrast(black_on_white) == pytest.approx(21)


@pytest.mark.parametrize("path", ["/", "/study?symbol=BTC&interval=1s"])
async def test_every_text_can_be_read(browser: Browser, running: Market, path: str) -> None:
    await ready(running)
    async with opened(browser, running.charts, reduced_motion="reduce") as watched:
        page = watched.page
        await word(page, "LIVE")
        await page.goto(running.charts + path)
        await page.wait_for_timeout(1500)
        texts = await page.evaluate(f"({LOOK}).texts()")
        await page.evaluate("document.documentElement.dataset.palette = 'safe'")
        texts += await page.evaluate(f"({LOOK}).texts()")
    poor = [
        f"{each['text']!r} {each['color']} has {contrast(each):.2f}"
        for each in texts
        if contrast(each) < (3.0 if each["large"] else 4.5)
    ]
    assert len(texts) > 10
    assert poor == []


@pytest.mark.parametrize("path", ["/", "/study?symbol=BTC&interval=1s"])
async def test_everything_that_can_be_used_has_a_name(
    browser: Browser, running: Market, path: str
) -> None:
    await ready(running)
    async with opened(browser, running.charts) as watched:
        await watched.page.goto(running.charts + path)
        await watched.page.wait_for_timeout(1500)
        unnamed = await watched.page.evaluate(f"({LOOK}).unnamed()")
    assert [each for each in unnamed if "plotly" not in each] == []


async def test_the_page_is_built_of_headings_tables_and_regions(
    browser: Browser, running: Market
) -> None:
    await ready(running)
    async with opened(browser, running.charts, PHONE) as watched:
        await word(watched.page, "LIVE")
        found = await watched.page.evaluate(f"({LOOK}).structure()")
    assert found == {
        "twice": [],
        "broken": [],
        "jumps": [],
        "first": 1,
        "mains": 1,
        "headless": 0,
        "unreachable": 0,
        "language": "en",
    }


async def test_the_chart_is_there_in_words_and_speaks_at_most_every_ten_seconds(
    browser: Browser, running: Market
) -> None:
    await ready(running)
    async with opened(browser, running.charts) as watched:
        page = watched.page
        await word(page, "LIVE")
        await expect(page.locator("#summary")).to_contain_text("BTC", timeout=15_000)
        await until(page, "document.querySelectorAll('#chart-table tr').length > 0")
        await page.evaluate(f"({LOOK}).listen()")
        await asyncio.sleep(3)
        assert await page.evaluate("window.spoken") <= 1
        voices = await page.evaluate(f"({LOOK}).voices()")
    assert sorted(voices) == ["answer", "summary"]


async def test_nothing_flashes_for_those_who_asked_for_calm(
    browser: Browser, running: Market
) -> None:
    await ready(running)
    async with opened(browser, running.charts, reduced_motion="reduce") as watched:
        await word(watched.page, "LIVE")
        for _ in range(10):
            assert await watched.page.evaluate("document.getAnimations().length") == 0
            await asyncio.sleep(0.1)
