"""What assistive technology needs: names, roles, tables, contrast, a voice that is not shrill."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.charts.axe import GRAVE, findings
from tests.charts.pages import DESK, PATIENCE_MS, PHONE, drawn, opened, ready, until, word
from tests.e2e.processes import Market

pytestmark = pytest.mark.asyncio(loop_scope="session")
LOOK = (Path(__file__).parent / "accessibility.js").read_text()
STUDY = "/study?symbol=BTC&interval=1s"
Color = tuple[float, float, float, float]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def live(browser: Browser, running: Market) -> AsyncIterator[Page]:
    """The live page, which each test leaves as it found it."""
    await ready(running)
    async with opened(browser, running.charts, reduced_motion="reduce") as page:
        await word(page, "LIVE")
        await drawn(page)
        yield page


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def study(browser: Browser, running: Market) -> AsyncIterator[Page]:
    """The study page, which each test leaves as it found it."""
    await ready(running)
    async with opened(browser, running.charts, path=STUDY) as page:
        await until(page, "document.getElementById('figure').data?.[0].x.length > 1")
        yield page


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


async def poor(page: Page) -> list[str]:
    """Return the texts that are hard to read; axe leaves those over a gradient to be looked at."""
    texts = await page.evaluate(f"({LOOK}).texts()")
    assert len(texts) > 10
    return [
        f"{each['text']!r} {each['color']} has {contrast(each):.2f}"
        for each in texts
        if contrast(each) < (3.0 if each["large"] else 4.5)
    ]


async def faults(page: Page) -> list[str]:
    """Return what is wrong with a page as it stands, in both palettes."""
    found = await findings(page)
    for palette in ("safe", "classic"):
        await page.evaluate(f"document.documentElement.dataset.palette = '{palette}'")
        found += await poor(page)
    return found


async def resized(page: Page, size: tuple[int, int]) -> Page:
    await page.set_viewport_size({"width": size[0], "height": size[1]})
    return page


async def test_contrast_is_computed_as_the_standard_says() -> None:
    black_on_white = {"color": "rgb(0, 0, 0)", "grounds": ["rgb(255, 255, 255)"]}
    assert contrast(black_on_white) == pytest.approx(21)


async def test_axe_finds_what_is_wrong(browser: Browser) -> None:
    page = await browser.new_page()
    await page.set_content("<html lang='en'><title>x</title><main><button></button></main></html>")
    found = await findings(page)
    await page.close()
    assert any(line.startswith("critical button-name") for line in found)
    assert {line.split()[0] for line in found} & GRAVE


@pytest.mark.parametrize("size", [DESK, PHONE])
async def test_axe_holds_nothing_against_the_live_page(live: Page, size: tuple[int, int]) -> None:
    await resized(live, size)
    assert await faults(live) == []
    await live.locator("#ticket summary").click()
    await live.locator("#ticket select[name=type]").select_option("limit")
    await live.locator("#ticket .sell").click()
    await live.locator("#ticket input[name=quantity]").fill("a lot")
    await live.locator("#send").click()
    await expect(live.locator("#answer")).to_contain_text("quantity must be a number")
    assert await faults(live) == []
    await live.locator("#ticket .buy").click()
    await live.locator("#ticket summary").click()
    await live.locator("#help-open").click()
    assert await findings(live) == []
    await live.keyboard.press("Escape")
    await resized(live, DESK)


@pytest.mark.parametrize("word_of", [("stale", "STALE"), ("lost", "DISCONNECTED")])
async def test_bad_news_can_be_read(live: Page, word_of: tuple[str, str]) -> None:
    state, text = word_of
    await live.evaluate(f"document.getElementById('state').dataset.state = '{state}'")
    await live.evaluate(f"document.getElementById('state-word').textContent = '{text}'")
    assert [each for each in await poor(live) if text in each] == []
    await until(live, "(sandpit.painter.mark(['status']), true)")
    await word(live, "LIVE")


@pytest.mark.parametrize("size", [DESK, PHONE])
async def test_axe_holds_nothing_against_the_study(study: Page, size: tuple[int, int]) -> None:
    await resized(study, size)
    assert await faults(study) == []
    await study.locator("details.data summary").click()
    assert await findings(study) == []
    await study.locator("details.data summary").click()


async def test_the_page_is_built_of_headings_tables_and_regions(live: Page) -> None:
    assert await live.evaluate(f"({LOOK}).structure()") == {
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
    live: Page,
) -> None:
    await expect(live.locator("#summary")).to_contain_text("BTC", timeout=PATIENCE_MS)
    await until(live, "document.querySelectorAll('#chart-table tr').length > 0")
    await live.evaluate(f"({LOOK}).listen()")
    listening = monotonic()
    for _ in range(3):  # prices, of which it does not speak
        last = await live.locator("#last").inner_text()
        await expect(live.locator("#last")).not_to_have_text(last, timeout=PATIENCE_MS)
    assert await live.evaluate("window.spoken") <= 1 + (monotonic() - listening) // 10
    assert sorted(await live.evaluate(f"({LOOK}).voices()")) == ["answer", "summary"]


async def test_nothing_flashes_for_those_who_asked_for_calm(live: Page) -> None:
    for _ in range(3):
        last = await live.locator("#last").inner_text()
        await expect(live.locator("#last")).not_to_have_text(last, timeout=PATIENCE_MS)
        assert await live.evaluate("document.getAnimations().length") == 0
