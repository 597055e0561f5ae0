import asyncio
import json
import logging
from decimal import Decimal
from itertools import count

import pytest
from async_asgi_testclient import TestClient
from starlette.applications import Starlette
from starlette.routing import Route

from exchange.prices import Prices
from market.server import ServerSettings, serving
from market.streaming import Admission, StreamSettings
from tests.streams import asked, eventually


def an_app(*, delay_s: float = 0.01) -> Starlette:
    """Return old clients' stream alone: bitcoin rises by one with every frame."""
    rising = count(70_400)
    prices = Prices(
        lambda: {"bitcoin": Decimal(next(rising)), "tinkoff": Decimal("33.95")},
        asyncio.Event(),
        delay_s,
        Admission(StreamSettings()),
        send_timeout_s=1.0,
    )
    return Starlette(routes=[Route("/api/prices", prices)])


async def test_old_clients_get_all_prices_again_and_again() -> None:
    async with TestClient(an_app()) as client:
        answer = await client.get("/api/prices", stream=True)
        frames = []
        async for chunk in answer:
            frames.append(chunk.decode())
            if len(frames) == 3:
                break
        answer.send({"type": "http.disconnect"})
        while isinstance(await answer.receive_or_fail(), dict):  # until it has heard of that
            pass

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    for number, frame in enumerate(frames):
        name, data = frame.removesuffix("\n\n").split("\n")
        assert name == "event: price_changes"
        assert json.loads(data.removeprefix("data: ")) == {
            "bitcoin": 70_400 + number,
            "tinkoff": 33.95,
        }


async def test_an_old_client_that_takes_nothing_is_cut_off_and_counted_without_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    admission = Admission(StreamSettings())
    many = {f"instrument-{n}": Decimal(n) for n in range(5000)}
    prices = Prices(lambda: many, asyncio.Event(), 0.001, admission, send_timeout_s=0.2)
    app = Starlette(routes=[Route("/api/prices", prices)])
    async with serving(app, ServerSettings()) as url, asked(f"{url}/api/prices") as answer:
        answer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await eventually(lambda: admission.open == 0)

    assert admission.evicted == 1
    assert [each for each in caplog.records if "completing" in each.getMessage()] == []
