import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from market.events import Fact, Gap, Shutdown, Tick
from market.feed import Feed, FeedEnded
from market.server import ServerSettings, serving
from market.settings import Environment
from market.streaming import StreamSettings
from market.values import Symbol
from sources.app import create_app, live, recorded
from sources.processes import Walk, generator
from sources.settings import Settings, SourceSettings
from sources.source import Source
from tests.streams import a_client

Market = Callable[..., Environment]
BTC = Symbol("BTC")
START = datetime(2022, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def on_air(source: Source) -> AsyncIterator[tuple[str, httpx.AsyncClient]]:
    app = create_app(source, StreamSettings(), cors_origins=["*"])
    async with (
        serving(app, ServerSettings(), source.hub.close) as url,
        a_client() as client,
    ):
        yield url, client


async def ticks_of(feed: Feed, length: int) -> list[Tick]:
    found: list[Tick] = []
    async for fact in feed:
        if isinstance(fact, Tick):
            found.append(fact)
            if len(found) == length:
                break
    return found


async def all_of(feed: Feed) -> list[Fact]:
    return [fact async for fact in feed]


def a_live_source(market: Market, **variables: str) -> Source:
    return live(Settings.from_env(market(**variables), BTC))


def a_plan(length: int, fails_at: int | None = None) -> Iterator[tuple[float, Tick]]:
    for n in range(length):
        if n == fails_at:
            raise ValueError("the ticks broke")
        price = Decimal(70_000 + n)
        yield (
            0.0,
            Tick(
                symbol=BTC,
                price=price,
                volume=Decimal(1),
                time=START + timedelta(minutes=n),
                seq=n + 1,
            ),
        )


def a_replay(
    market: Market, plan: Iterator[tuple[float, Tick]], *, history: int = 1000, waits: bool = True
) -> Source:
    settings = SourceSettings.from_env(market(HISTORY=str(history)), BTC)
    return recorded(settings, plan, waits=waits)


async def test_all_readers_see_the_same_walk_and_it_is_the_seeded_one(market: Market) -> None:
    async with on_air(a_live_source(market)) as (url, client):
        feeds = [Feed(f"{url}/stream", client=client) for _ in range(2)]
        one, other = await asyncio.gather(*(ticks_of(feed, 50) for feed in feeds))

    walk = Walk().prices(70_400.0, generator(42, "BTC", "prices"))
    prices = [next(walk) for _ in range(max(one[-1].seq, other[-1].seq))]
    for ticks in (one, other):
        assert [float(tick.price) for tick in ticks] == [prices[tick.seq - 1] for tick in ticks]
        assert [tick.seq for tick in ticks] == list(range(ticks[0].seq, ticks[0].seq + 50))


async def test_a_reader_that_comes_back_gets_exactly_what_it_missed(market: Market) -> None:
    async with on_air(a_live_source(market)) as (url, client):
        first = Feed(f"{url}/stream", client=client)
        before = await ticks_of(first, 10)
        last_id = f"{first.last_id.partition('-')[0]}-{before[-1].seq}"
        await ticks_of(Feed(f"{url}/stream", client=client), 20)
        after = await ticks_of(Feed(f"{url}/stream", client=client, last_id=last_id), 40)

    assert [tick.seq for tick in before + after] == list(range(before[0].seq, before[0].seq + 50))


async def test_the_epoch_is_new_with_each_life_though_the_seed_is_not(market: Market) -> None:
    epochs = {a_live_source(market).hub.epoch for _ in range(5)}

    assert len(epochs) == 5
    assert all(len(epoch) == 8 and int(epoch, 16) >= 0 for epoch in epochs)


async def test_without_a_seed_every_life_is_a_new_market(market: Market) -> None:
    walks = []
    for _ in range(2):
        async with on_air(a_live_source(market, SEED="", BTC_STEP_MAX="1000")) as (url, client):
            found = await ticks_of(Feed(f"{url}/stream", client=client, last_id="00000000-0"), 30)
            walks.append([tick.price for tick in found])

    assert walks[0] != walks[1]


async def test_health_says_what_is_on_air(market: Market) -> None:
    async with on_air(a_live_source(market, TICK_INTERVAL_S="3600")) as (url, client):
        answer = await client.get(f"{url}/health")

    assert answer.status_code == 200
    assert answer.json() == {"status": "up", "symbol": "BTC", "process": "walk", "ticks": 1}


async def test_the_stream_is_server_sent_events_and_head_opens_none(market: Market) -> None:
    async with on_air(a_live_source(market)) as (url, client):
        head = await client.head(f"{url}/stream")
        post = await client.post(f"{url}/stream")
        unknown = await client.get(f"{url}/nothing")

    assert head.headers["content-type"].startswith("text/event-stream")
    assert (head.status_code, post.status_code, unknown.status_code) == (200, 405, 404)
    assert unknown.headers["content-type"] == "application/problem+json"


async def test_when_the_ticks_fail_the_stream_ends_and_health_is_down(market: Market) -> None:
    stopped: list[int] = []
    settings = SourceSettings.from_env(market(), BTC)
    source = recorded(settings, a_plan(20, fails_at=10), on_failure=lambda: stopped.append(1))

    async with on_air(source) as (url, client):
        async with client.stream("GET", f"{url}/stream") as response:
            body = (await response.aread()).decode()
        health = await client.get(f"{url}/health")
        again = await client.get(f"{url}/stream")

    assert body.count("event: tick") == 10
    assert json.loads(body.rsplit("data: ", 1)[1]) == {"reason": "the source failed"}
    assert (health.status_code, health.json()["status"]) == (503, "down")
    assert again.status_code == 503  # not 204: a reader has to come back
    assert stopped == [1]
    assert isinstance(source.failure, ValueError)


async def test_a_recording_waits_for_its_first_reader_and_arrives_whole(market: Market) -> None:
    source = a_replay(market, a_plan(500))
    async with on_air(source) as (url, client):
        await client.head(f"{url}/stream")
        await client.get(f"{url}/health")
        await asyncio.sleep(0.05)
        assert source.hub.head == 0

        facts = await all_of(Feed(f"{url}/stream", client=client, retry_cap_s=0.01))
        health = await client.get(f"{url}/health")

    assert [fact.seq for fact in facts if isinstance(fact, Tick)] == list(range(1, 501))
    assert [fact.reason for fact in facts if isinstance(fact, Shutdown)] == ["end of recording"]
    assert isinstance(facts[-1], FeedEnded)
    assert health.json() == {"status": "ended", "symbol": "BTC", "process": "replay", "ticks": 500}


async def test_after_the_end_there_is_204_but_first_what_a_reader_missed(market: Market) -> None:
    source = a_replay(market, a_plan(100), waits=False)
    async with on_air(source) as (url, client):
        while not source.ended:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        fresh = await client.get(f"{url}/stream")
        done = await client.get(f"{url}/stream", headers={"Last-Event-ID": source.hub.id})
        missed = {"Last-Event-ID": f"{source.hub.epoch}-90"}
        late = await client.get(f"{url}/stream", headers=missed)

    assert (fresh.status_code, done.status_code, late.status_code) == (204, 204, 200)
    assert late.text.count("event: tick") == 10
    assert late.text.count("event: shutdown") == 1


async def test_at_full_speed_a_slow_reader_is_never_outrun(market: Market) -> None:
    source = a_replay(market, a_plan(8000), history=400)
    async with on_air(source) as (url, client):
        found: list[int] = []
        gaps = 0
        async for fact in Feed(f"{url}/stream", client=client, retry_cap_s=0.01):
            gaps += isinstance(fact, Gap)
            if isinstance(fact, Tick):
                found.append(fact.seq)
                if len(found) % 2000 == 0:
                    await asyncio.sleep(0.02)

    assert gaps == 0
    assert found == list(range(1, 8001))


@pytest.mark.no_cover
async def test_a_reader_that_goes_away_for_a_while_still_gets_the_whole_recording(
    market: Market,
) -> None:
    source = a_replay(market, a_plan(40_000), history=12_000)
    async with on_air(source) as (url, client):
        async with client.stream("GET", f"{url}/stream") as response:
            await anext(response.aiter_bytes())
        while source.audience.lag <= 6000:  # noqa: ASYNC110  what is kept for one that is away
            await asyncio.sleep(0.005)
        head = source.hub.head
        await asyncio.sleep(0.02)
        assert source.hub.head == head < 40_000

        last_id = f"{source.hub.epoch}-100"
        facts = await all_of(
            Feed(f"{url}/stream", client=client, last_id=last_id, retry_cap_s=0.01)
        )

    gaps = [fact for fact in facts if isinstance(fact, Gap)]
    assert gaps == []
    after = [fact.seq for fact in facts if isinstance(fact, Tick)]
    assert after == list(range(101, 40_001))


@pytest.mark.parametrize("history", [1, 3])
async def test_even_the_shortest_history_carries_a_recording(market: Market, history: int) -> None:
    source = a_replay(market, a_plan(30), history=history)
    async with on_air(source) as (url, client):
        facts = await all_of(Feed(f"{url}/stream", client=client, retry_cap_s=0.01))

    assert [fact.seq for fact in facts if isinstance(fact, Tick)] == list(range(1, 31))


async def test_a_page_of_any_allowed_origin_may_read_on_from_its_last_id(market: Market) -> None:
    page = {"Origin": "http://page.example"}
    wish = {"Access-Control-Request-Method": "GET"}
    wish |= {"Access-Control-Request-Headers": "last-event-id"}
    async with on_air(a_live_source(market)) as (url, client):
        asked = await client.options(f"{url}/stream", headers=page | wish)
        async with client.stream("GET", f"{url}/stream", headers=page) as response:
            told = response.headers

    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == "*"
    assert "last-event-id" in asked.headers["access-control-allow-headers"]
    assert told["access-control-allow-origin"] == "*"
