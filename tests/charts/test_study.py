import asyncio
import struct
from dataclasses import replace
from io import BytesIO

import pytest
from matplotlib.image import imread
from starlette.requests import Request
from starlette.responses import Response

from charts.candles import Candle
from charts.indicators import over
from charts.picture import LINES, Painter, Picture, painted, span
from market.wire import encode
from tests.charts.builders import PaperMarket, a_tick, charts_over, waves
from tests.charts.test_live import hears
from tests.streams import a_client


def a_market() -> PaperMarket:
    paper = PaperMarket()
    for seq in range(1, 120):
        paper.ticks["BTC"].append(a_tick(price=str(100 + seq % 9), seq=seq, age_s=130.0 - seq))
    paper.tell(a_tick(price="105", seq=120, age_s=5))
    return paper


def a_picture(*indicators: str) -> Picture:
    candles = tuple(waves(60))
    return Picture("BTC", "1m", indicators, candles, over(candles))


async def test_the_study_has_candles_and_every_indicator_at_each() -> None:
    async with charts_over(a_market()) as url, a_client(url) as client:
        await hears(client)
        answer = await client.get("/study/data?symbol=BTC&interval=1s&limit=50")
        again = await client.get(
            "/study/data?symbol=BTC&interval=1s&limit=50",
            headers={"If-None-Match": answer.headers["etag"]},
        )
    body = answer.json()
    assert len(body["time"]) == 50
    assert body["time"] == sorted(body["time"])
    assert {len(body[name]) for name in ("open", "rsi", "macd_signal", "bb_upper", "vwap")} == {50}
    assert None not in body["rsi"]
    assert again.status_code == 304


@pytest.mark.parametrize(
    "path",
    [
        "/study/data",
        "/study/data?symbol=BTC&interval=2m",
        "/study/data?symbol=BTC&limit=0",
        "/study/data?symbol=BTC&limit=1e3",
        "/study/data?symbol=BTC&from=yesterday",
        "/chart.png?symbol=BTC&indicators=ichimoku",
        "/chart.png",
    ],
)
async def test_what_makes_no_sense_is_refused_and_named(path: str) -> None:
    async with charts_over(PaperMarket()) as url, a_client(url) as client:
        answer = await client.get(path)
    assert answer.status_code == 422
    assert answer.json()["field"]


class Refusing(PaperMarket):
    """An exchange that refuses every span."""

    async def _candles(self, _: Request) -> Response:
        refusal = {"type": "invalid-query", "detail": "to: before from.", "field": "to"}
        return Response(encode(refusal), status_code=422)


async def test_what_the_exchange_refuses_is_told_in_its_own_words() -> None:
    async with charts_over(Refusing()) as url, a_client(url) as client:
        answer = await client.get("/study/data?symbol=BTC")
    assert answer.status_code == 422
    assert answer.json()["detail"] == "to: before from."
    assert answer.json()["field"] == "to"


def test_a_picture_is_a_png_with_a_panel_for_each_oscillator() -> None:
    plain, full = painted(a_picture()), painted(a_picture("sma", "bb", "rsi", "macd", "atr"))
    sizes = [struct.unpack(">II", png[16:24]) for png in (plain, full)]
    assert plain[:8] == b"\x89PNG\r\n\x1a\n"
    assert sizes[0][0] > 1000
    assert sizes[1][1] > sizes[0][1] + 200


def colors_in(png: bytes, *colors: str) -> list[bool]:
    """Tell of each color whether some pixel has it."""
    pixels = (imread(BytesIO(png), format="png")[..., :3] * 255).round()
    wanted = [[int(color[at : at + 2], 16) for at in (1, 3, 5)] for color in colors]
    return [bool((abs(pixels - each).max(axis=-1) < 8).any()) for each in wanted]


def test_an_indicator_that_is_too_young_draws_no_line() -> None:
    colors = [color for _, color, _ in (*LINES["macd"], *LINES["sma"])]
    young = replace(a_picture("macd", "sma"), candles=tuple(waves(15)), lines=over(waves(15)))
    assert colors_in(painted(a_picture("macd", "sma")), *colors) == [True, True, True]
    assert colors_in(painted(young), *colors) == [False, False, False]


def test_a_candle_that_ends_where_it_began_is_no_fall() -> None:
    candles = tuple(Candle(60 * n, 100.0, 100.0, 100.0, 100.0, 1.0) for n in range(20))
    png = painted(Picture("BTC", "1m", (), candles, over(candles)))
    assert colors_in(png, "#26a69a", "#ef5350") == [True, False]


def test_a_picture_has_room_for_the_bands_but_not_for_a_line_far_away() -> None:
    picture = a_picture("bb")
    lows = [candle.low for candle in picture.candles]
    highs = [candle.high for candle in picture.candles]
    bands = [each for name in ("bb_lower", "bb_upper") for each in picture.lines[name] if each]
    low, high = span(picture)
    assert low < min(bands) < max(bands) < high
    far = Picture("BTC", "1m", ("vwap",), picture.candles, {"vwap": [1e9] * 60})
    assert span(far)[1] < max(highs) + 1.2 * (max(highs) - min(lows))


def test_a_picture_has_another_tag_when_a_candle_in_its_middle_was_amended() -> None:
    old = a_picture()
    amended = replace(old.candles[30], volume=99.0)
    new = replace(old, candles=(*old.candles[:30], amended, *old.candles[31:]))
    assert new.etag != old.etag


async def test_the_same_picture_is_painted_once() -> None:
    painter = Painter()
    picture = a_picture("ema")
    first, second = await asyncio.gather(painter.paint(picture), painter.paint(picture))
    painter.close()
    assert first is second


async def test_a_symbol_in_a_picture_is_text_and_no_formula() -> None:
    candles = tuple(waves(30))
    assert painted(Picture("$\\frac{", "1m", (), candles, over(candles))).startswith(b"\x89PNG")


async def test_too_few_candles_are_no_picture() -> None:
    paper = PaperMarket()
    paper.tell(a_tick())
    async with charts_over(paper) as url, a_client(url) as client:
        answer = await client.get("/chart.png?symbol=BTC")
    assert answer.status_code == 404
    assert answer.json()["type"] == "too-few-candles"
