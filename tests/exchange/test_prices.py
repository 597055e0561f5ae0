import asyncio
import json
from decimal import Decimal
from itertools import count

from async_asgi_testclient import TestClient
from starlette.applications import Starlette
from starlette.routing import Route

from exchange.prices import Prices
from market.streaming import Admission, StreamSettings


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
