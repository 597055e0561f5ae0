"""What the page shows of what was chosen while there is nothing, or something else, to show."""

import re
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.charts.pages import NOTHING, drawn, live, opened, ready, until, word
from tests.e2e.processes import Market

pytestmark = pytest.mark.asyncio(loop_scope="session")


def remembering(origin: str, kept: str) -> dict[str, Any]:
    """Return what a browser has kept of an earlier visit."""
    storage = [{"name": "sandpit", "value": kept}]
    return {"origins": [{"origin": origin, "localStorage": storage}]}


async def cut(page: Page) -> None:
    """Let no message reach the page any more, nor a new connection begin."""
    await page.evaluate("sandpit.link.close(); sandpit.link.open = () => {}")


async def test_a_symbol_that_this_market_has_not_gives_way_to_one_that_it_has(
    browser: Browser, running: Market
) -> None:
    await ready(running)
    state = remembering(running.charts, '{"symbol": "GONE", "interval": "1s", "account": "me"}')
    async with opened(browser, running.charts, storage_state=state) as page:
        await word(page, "LIVE")
        await expect(page.locator("#symbol")).to_have_value("BTC")
        await drawn(page)


@pytest.mark.parametrize(
    "kept", ["null", "7", '{"indicators": null, "symbol": 5}', '{"indicators": ["none", "rsi"]}']
)
async def test_what_a_browser_kept_of_something_else_is_passed_over(
    browser: Browser, running: Market, kept: str
) -> None:
    await ready(running)
    state = remembering(running.charts, kept)
    async with opened(browser, running.charts, storage_state=state) as page:
        await word(page, "LIVE")
        await drawn(page)


async def test_a_page_without_any_price_does_not_call_itself_live(
    browser: Browser, running: Market
) -> None:
    async with live(browser, running) as page:
        await cut(page)
        await page.evaluate(
            """sandpit.store.status = { ...sandpit.store.status, ages: {} };
            sandpit.painter.mark(['status'])"""
        )
        await word(page, "WAITING")


async def test_a_symbol_that_turns_out_not_to_be_listed_gives_way_too(
    browser: Browser, running: Market
) -> None:
    async with live(browser, running) as page:
        await drawn(page)
        await page.evaluate("sandpit.store.instrument.delete('BTC')")
        await expect(page.locator("#symbol")).to_have_value("TCS")


async def test_candles_of_another_interval_do_not_stand_under_the_one_that_was_chosen(
    browser: Browser, running: Market
) -> None:
    async with live(browser, running) as page:
        await drawn(page)
        await cut(page)
        await page.locator("#intervals button[value='1m']").click()
        await until(page, "sandpit.chart.rows.length === 0")
        await expect(page.locator("#chart-empty")).to_have_text("Loading candles.")
        await expect(page.locator("#legend span")).to_have_count(0)
        await page.evaluate("delete sandpit.link.open; sandpit.link.open()")
        await until(page, "sandpit.chart.interval === 60 && sandpit.chart.rows.length > 0")
        await expect(page.locator("#chart-empty")).to_be_hidden()


async def test_trades_and_candles_of_another_symbol_do_not_stand_under_the_one_that_was_chosen(
    browser: Browser, running: Market
) -> None:
    async with live(browser, running) as page:
        await drawn(page)
        await cut(page)
        await page.evaluate(
            """sandpit.store.trade = [{ trade_id: 1, price: 5, quantity: 1, side: 'buy', time: 0 }];
            sandpit.painter.mark(['trade'])"""
        )
        await expect(page.locator("#tape tr")).to_have_count(1)
        await page.keyboard.press("j")
        await expect(page.locator("#tape tr")).to_have_count(0)
        await until(page, "sandpit.chart.rows.length === 0")
        await expect(page.locator("#spread")).to_have_text("")


async def test_old_figures_are_called_old(browser: Browser, running: Market) -> None:
    async with live(browser, running) as page:
        await until(page, "sandpit.store.risk.has('default')")
        await cut(page)
        await page.evaluate(
            """sandpit.store.heard -= 300e3; // as if it were cut five minutes ago
            sandpit.store.link.set('accounts', { state: 'lost', reason: '' });
            sandpit.painter.mark(['link'])"""
        )
        await expect(page.locator("#risk-note")).to_contain_text("the last report of it came 5 min")
        await expect(page.locator("#bots-aside")).to_have_text("old: the exchange does not answer")


async def test_the_strip_is_drawn_with_the_risk_panel_whose_figures_it_has(
    browser: Browser, running: Market
) -> None:
    async with live(browser, running) as page:
        await until(page, "sandpit.store.risk.get('default')?.value_at_risk['0.99']")
        await cut(page)
        shown = await page.evaluate(
            """() => {
                sandpit.store.risk.get('default').value_at_risk['0.99'] = 12345;
                const [panel, ...others] = sandpit.painter.panels.filter(p => p.kinds.has('risk'));
                panel.draw();
                const text = id => document.getElementById(id).textContent;
                return [others.length, text('strip-var'), text('var-99')];
            }"""
        )
    assert shown[0] == 0
    assert shown[1] == shown[2]
    assert shown[1].startswith("12,345 · ")


async def test_a_source_that_never_sent_a_price_has_no_age(
    browser: Browser, running: Market
) -> None:
    async with live(browser, running) as page:
        await cut(page)
        await page.evaluate(
            """sandpit.store.status = { ...sandpit.store.status, ages: {} };
            sandpit.store.source.set('BTC', { state: 'down' });
            sandpit.painter.mark(['source'])"""
        )
        await expect(page.locator("#state-why")).to_have_text("BTC: source down, no price yet")


async def test_a_study_whose_charts_are_away_says_so(browser: Browser, running: Market) -> None:
    await ready(running)
    async with opened(browser, running.charts, path="/study?symbol=BTC") as page:
        await page.route("**/study/data?*", lambda route: route.abort())
        await expect(page.locator("#note")).to_have_text(
            "The charts do not answer; they are asked again."
        )


async def test_a_page_that_has_slept_connects_anew_at_once(
    browser: Browser, running: Market
) -> None:
    async with live(browser, running) as page:
        await page.evaluate(
            """window.before = sandpit.link.source;
            const now = Date.now.bind(Date);
            Date.now = () => now() + 3600e3"""
        )
        await until(page, "sandpit.link.source !== null && sandpit.link.source !== before")
        await word(page, "LIVE")


async def test_a_page_that_comes_back_from_behind_connects_once(
    browser: Browser, running: Market
) -> None:
    async with live(browser, running) as page:
        found = await page.evaluate(
            """() => {
                const { link } = sandpit, show = (value) => {
                    Object.defineProperty(document, 'hidden', { value, configurable: true });
                    document.dispatchEvent(new Event('visibilitychange'));
                };
                show(true);
                const now = Date.now.bind(Date), states = [];
                Date.now = () => now() + 3600e3; // its timers stood meanwhile
                link.onState = (state) => states.push(state);
                show(false);
                const { source } = link;
                link.watch();
                return [link.source === source, states];
            }"""
        )
    assert found == [True, []]


async def test_a_stranger_who_knows_no_charts_does_not_take_the_symbol_of_the_reader(
    browser: Browser, running: Market
) -> None:
    await ready(running)
    state = remembering(running.charts, '{"symbol": "TCS"}')
    async with opened(browser, running.charts, storage_state=state) as page:
        await word(page, "LIVE")
        await page.route("**/live?*", lambda route: route.fulfill(status=404, body="no backend"))
        async with page.expect_response(lambda response: response.request.method == "HEAD"):
            await page.evaluate("sandpit.link.open()")
        await until(page, "sandpit.link.failures > 1")  # it came by waiting, not by being refused
        await expect(page.locator("#symbol")).to_have_value("TCS")
        await page.unroute("**/live?*")
        await word(page, "LIVE")
        await expect(page.locator("#symbol")).to_have_value("TCS")


async def test_a_page_that_is_refused_without_a_symbol_waits_before_it_asks_again(
    browser: Browser, running: Market
) -> None:
    refusal = {"status": 404, "content_type": "application/problem+json", "body": "{}"}
    async with live(browser, running) as page:
        await page.route("**/live?*", lambda route: route.fulfill(**refusal))
        await page.evaluate("sandpit.link.open()")
        await until(page, "!sandpit.link.query.get('symbol') && sandpit.link.failures > 1")
        await page.unroute("**/live?*")
        await word(page, "LIVE")


async def test_what_was_known_of_another_price_does_not_stand_where_there_is_none(
    browser: Browser, running: Market
) -> None:
    async with live(browser, running) as page:
        await expect(page).to_have_title(re.compile("^[0-9].* BTC · Sandpit$"))
        await cut(page)
        await page.evaluate("sandpit.store.tick.clear(); sandpit.painter.mark(['tick'])")
        await expect(page.locator("#last")).to_have_text(NOTHING)
        await expect(page.locator("#last-change")).to_have_text(NOTHING)
        await expect(page).to_have_title("BTC · Sandpit")
        for cell in (1, 2):
            shown = page.locator("#watch tr").first.locator("th, td").nth(cell)
            await expect(shown).to_have_text(NOTHING)


async def test_a_panel_that_cannot_be_drawn_leaves_the_others_alone(
    browser: Browser, running: Market
) -> None:
    async with live(browser, running) as page:
        await page.evaluate(
            """window.reportError = () => { window.reported = true; };
            sandpit.painter.add(['tick'], 10, () => { throw new Error('cannot'); });
            sandpit.painter.panels.unshift(sandpit.painter.panels.pop())"""
        )
        price = await page.locator("#last").inner_text()
        await expect(page.locator("#last")).not_to_have_text(price)
        await until(page, "window.reported")


async def test_a_page_that_never_reached_anyone_does_not_say_when_it_last_did(
    browser: Browser, running: Market
) -> None:
    await ready(running)
    async with opened(browser, running.charts) as page:
        await page.route("**/live?*", lambda route: route.abort())
        await page.reload(wait_until="domcontentloaded")
        await word(page, "DISCONNECTED")
        await expect(page.locator("#state-why")).to_have_text(
            "reconnecting · nothing was heard yet"
        )
