import asyncio

import pytest

from charts.terminal import WIDTH, spark
from tests.charts.builders import PaperMarket, a_tick, charts_over
from tests.charts.test_live import health, hears
from tests.streams import PATIENCE_S, a_client


def test_a_sparkline_goes_from_the_lowest_to_the_highest_block() -> None:
    assert spark([1, 2, 3, 4, 5, 6, 7, 8]) == "▁▂▃▄▅▆▇█"
    assert spark([5, 5]) == "▄▄"
    assert spark([]) == ""


async def frame(query: str, paper: PaperMarket) -> str:
    async with charts_over(paper) as url, a_client(url) as client:
        await hears(client, paper.symbols[0])
        return (await client.get(f"/top?once&{query}")).text


async def test_a_frame_shows_prices_and_never_wraps() -> None:
    paper = PaperMarket()
    paper.tell(a_tick(price="70400"))
    text = await frame("plain", paper)
    assert "BTC" in text
    assert "70,400" in text
    assert max(map(len, text.splitlines())) <= WIDTH


async def test_what_rounds_to_zero_has_neither_sign_nor_arrow() -> None:
    paper = PaperMarket()
    paper.account("flat")
    paper.tell(a_tick(price="70400"))
    text = ""
    async with charts_over(paper) as url, a_client(url) as client:
        async with asyncio.timeout(20):
            while "70,400" not in text or "flat" not in text:  # each comes by a way of its own
                text = (await client.get("/top?once&plain")).text
    assert not any(sign in text for sign in ("+0.00", "-0.00", "▲", "▼"))


async def test_symbols_stand_in_the_order_of_the_exchange_whichever_ticked_first() -> None:
    paper = PaperMarket("BTC", "TCS", "META")
    for symbol in ("META", "TCS", "BTC"):
        paper.tell(a_tick(symbol))
    async with charts_over(paper) as url, a_client(url) as client:
        await hears(client, "BTC")
        rows = [""]
        async with asyncio.timeout(PATIENCE_S):
            while rows != ["BTC", "TCS", "META"]:  # the instruments are asked for beside the stream
                text = (await client.get("/top?once&plain")).text
                rows = [line.split()[0] for line in text.splitlines() if "100" in line[:30]]


async def test_plain_is_without_any_escape() -> None:
    paper = PaperMarket()
    paper.tell(a_tick())
    assert "\x1b" not in await frame("plain", paper)
    assert "\x1b[" in await frame("", paper)


async def test_a_name_brings_no_escape_of_its_own() -> None:
    paper = PaperMarket("\x1b[31mX")
    paper.tell(a_tick("\x1b[31mX"))
    assert "\x1b" not in await frame("plain", paper)


async def test_a_market_without_a_price_is_not_called_live() -> None:
    async with charts_over(PaperMarket()) as url, a_client(url) as client:
        await health(client, lambda body: bool(body["status"] == "up"))
        text = (await client.get("/top?once&plain")).text
    assert "WAITING for the first price" in text
    assert "LIVE" not in text


async def test_what_is_cut_is_seen_to_be_cut() -> None:
    paper = PaperMarket("ALONGERSYMBOL")
    paper.tell(a_tick("ALONGERSYMBOL"))
    assert "ALONGERSYM… " in await frame("plain", paper)


async def test_a_price_that_is_old_is_called_stale() -> None:
    paper = PaperMarket()
    paper.tell(a_tick(age_s=60))
    assert "STALE BTC" in await frame("plain", paper)


async def test_frames_follow_each_other_at_the_pace_that_was_asked_for() -> None:
    paper = PaperMarket()
    paper.tell(a_tick())
    frames = 0
    async with charts_over(paper) as url, a_client(url) as client:
        await hears(client)
        async with asyncio.timeout(PATIENCE_S), client.stream("GET", "/top?plain&hz=4") as answer:
            async for text in answer.aiter_text():
                frames += text.count("SANDPIT")
                if frames >= 3:
                    break
    assert frames >= 3


@pytest.mark.parametrize("rate", ["0", "100", "nan", "x"])
async def test_a_pace_that_is_out_of_bounds_is_refused(rate: str) -> None:
    async with charts_over(PaperMarket()) as url, a_client(url) as client:
        assert (await client.get(f"/top?hz={rate}")).status_code == 422
