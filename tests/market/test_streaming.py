"""What a stream says over real sockets: both endpoints keep the same manners."""

import asyncio
import json
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from random import Random
from typing import Any

import pytest

from market.broadcast import Broadcast
from market.clock import ManualClock
from market.settings import Environment
from market.streaming import StreamEndpoint, StreamSettings
from tests.builders import EPOCH, Market, a_book, a_hub, a_source_state, a_tick, a_trade
from tests.stopwatch import Stopwatch
from tests.streams import (
    PATIENCE_S,
    Answer,
    Block,
    Proof,
    a_client,
    asked,
    connected,
    eventually,
    request,
    served,
)
from tests.streams import answer as http_answer


@pytest.fixture(params=[StreamEndpoint, Broadcast], ids=["streaming", "broadcast"])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


Kind = type[StreamEndpoint]
FAST = StreamSettings(heartbeat_s=0.1)


def is_shutdown(block: Block) -> bool:
    return block.event == "shutdown"


def has_number(n: int) -> Any:
    return lambda block: block.event in {"tick", "source", "trade", "book"} and block.n == n


async def test_21_every_frame_is_whole_and_its_fields_are_lines(kind: Kind) -> None:
    hub = a_hub()
    async with served(hub, kind) as on, asked(on.url("events=tick,trade,book,source")) as answer:
        for fact in (a_tick(), a_trade(), a_book(), a_source_state()):
            hub.publish(fact)
        blocks = await answer.until(has_number(4))

    kinds = [block.event for block in blocks if block.event]
    assert kinds == ["snapshot", "tick", "trade", "book", "source"]
    for block in blocks[-4:]:
        assert list(block.fields) == ["id", "event", "data"]
        assert not {b"\r", b"\0"} & set(block.raw)
    assert all(chunk.endswith(b"\n\n") for chunk in answer.chunks)


async def test_22_the_answer_says_at_once_what_it_is(kind: Kind) -> None:
    async with served(a_hub(), kind) as on, asked(on.url()) as answer:
        first = await asyncio.wait_for(answer.chunk(), 10)  # a heartbeat comes later

    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-accel-buffering"] == "no"
    assert b"retry: 1000\n" in first
    assert b"event: snapshot\n" in first


WRONG = {
    "symbols=DOGE": 404,
    "symbols=BTC,%00": 404,
    "symbols=btc": 404,
    "symbols=%FF%FE": 404,
    "symbols=" + "X" * 2000: 404,
    "events=prices": 422,
    "events=tick,snapshot": 422,
    "conflate=9": 422,
    "conflate=60001": 422,
    "conflate=-250": 422,
    "conflate=": 422,
    "conflate=1e3": 422,
    "conflate=%D9%A3%D9%A3%D9%A3": 422,
    "conflate=" + "9" * 5000: 422,
}


async def test_22_a_wrong_query_is_a_problem_before_the_stream(kind: Kind) -> None:
    async with served(a_hub(), kind) as on:
        for query, status in WRONG.items():
            async with asked(on.url(query)) as answer:
                problem = json.loads(await answer.body())

            assert (answer.status, problem["field"]) == (status, query.partition("=")[0])
            assert problem["type"] == {404: "unknown-symbol", 422: "invalid-query"}[status]
            assert answer.headers["content-type"] == "application/problem+json"
            assert len(problem["detail"]) < 200


async def test_23_a_quiet_stream_has_heartbeats_that_name_the_head_and_have_no_id(
    kind: Kind,
) -> None:
    hub = a_hub()
    Market(hub).run(3)
    async with served(hub, kind, settings=FAST) as on, asked(on.url()) as answer:
        beats = await answer.until(lambda block: block.comment.startswith("heartbeat"))

    head, time = beats[-1].comment.split()[1:]
    assert head == f"{EPOCH}-3"
    assert len(time) == len("2026-01-02T12:00:00.123456Z")
    assert "id" not in beats[-1].fields


async def test_23_a_heartbeat_on_the_second_has_its_microseconds_too(kind: Kind) -> None:
    endpoint = kind(a_hub(), StreamSettings(), clock=ManualClock())

    assert endpoint.heartbeat() == f"heartbeat {EPOCH}-0 2026-01-01T00:00:00.000000Z"


RESUMED: list[tuple[str, Mapping[str, str]]] = [
    ("", {"Last-Event-ID": f"{EPOCH}-4"}),
    (f"last_event_id={EPOCH}-4", {}),
    (f"last_event_id={EPOCH}-2", {"Last-Event-ID": f"{EPOCH}-4"}),
    ("last_event_id=rubbish", {"last-event-id": f"{EPOCH}-4"}),
]


async def test_24_a_reader_resumes_by_header_or_query_and_the_header_wins(kind: Kind) -> None:
    hub = a_hub()
    market = Market(hub)
    market.run(6)
    async with served(hub, kind) as on:
        for query, headers in RESUMED:
            async with asked(on.url(query), headers=headers) as answer:
                head = market.tick()
                blocks = await answer.until(has_number(hub.head))

            numbers = [block.n for block in blocks if block.event]
            assert numbers == list(range(5, hub.head + 1)), head


async def test_24_a_replay_obeys_the_filter_of_its_own_request(kind: Kind) -> None:
    hub = a_hub()
    market = Market(hub)
    market.run(9)
    async with (
        served(hub, kind) as on,
        asked(on.url(f"symbols=TCS,META&last_event_id={EPOCH}-3")) as answer,
    ):
        market.run(3)
        blocks = [block for block in await answer.until(has_number(12)) if block.event]

    assert [block.n for block in blocks] == [5, 6, 8, 9, 11, 12]


LOST = {
    f"{EPOCH}-1".encode(): "evicted",
    f"{EPOCH}-999".encode(): "epoch",
    b"deadbeef-1": "epoch",
    "é-ü-\u2028".encode(): "epoch",
    b"\xff\xfe": "epoch",
    b"x" * 60_000: "epoch",
    b'"; drop': "epoch",
    b"-": "epoch",
}


async def test_a_list_may_come_in_several_parameters(kind: Kind) -> None:
    hub = a_hub()
    wishes = "symbols=TCS&symbols=META&events=tick&events=trade"
    async with served(hub, kind) as on, asked(on.url(f"{wishes}&last_event_id={EPOCH}-0")) as got:
        for fact in (a_tick("BTC"), a_tick("TCS"), a_source_state(), a_tick("META")):
            hub.publish(fact)
        blocks = await got.until(has_number(4))

    assert [block.n for block in blocks if block.event] == [2, 4]


async def test_24_an_id_that_cannot_be_replayed_gets_a_gap_and_a_snapshot(kind: Kind) -> None:
    hub = a_hub(history=10)
    Market(hub).run(40)
    async with served(hub, kind) as on:
        for last_id, reason in LOST.items():
            async with asked(on.url(), headers={"Last-Event-ID": last_id}) as answer:
                blocks = await answer.until(lambda block: block.event == "snapshot")

            gap = next(block for block in blocks if block.event == "gap")
            assert gap.data["reason"] == reason
            assert "id" not in gap.fields
            assert gap.data["to"] == blocks[-1].id == f"{EPOCH}-40"


async def test_24_an_id_in_the_query_gets_its_gap_too_whatever_it_is(kind: Kind) -> None:
    async with served(a_hub(), kind) as on:
        for last_id in ("%01%02%7F", "%00", "%FF", "%C3%A9", "+", "x" * 12_000):
            async with asked(on.url(f"last_event_id={last_id}")) as answer:
                blocks = await answer.until(lambda block: block.event == "snapshot")

            assert "gap" in [block.event for block in blocks]


async def test_24_an_id_that_no_header_may_hold_is_a_bad_request(kind: Kind) -> None:
    headers = {"Last-Event-ID": b"\x01\x02\x7f"}
    async with served(a_hub(), kind) as on, asked(on.url(), headers=headers) as answer:
        pass

    assert answer.status == 400


async def test_25_an_ended_feed_is_replayed_to_its_end_and_then_204(kind: Kind) -> None:
    hub = a_hub()
    Market(hub).run(5)
    hub.close("end of recording")
    async with served(hub, kind) as on:
        async with asked(on.url(f"last_event_id={EPOCH}-3")) as answer:
            blocks = await answer.rest()
        async with asked(on.url(f"last_event_id={EPOCH}-5")) as over:
            pass

    assert [block.event for block in blocks if block.event] == ["tick", "tick", "shutdown"]
    assert answer.ended_well
    assert over.status == 204


async def test_25_a_hub_that_merely_stops_sends_nobody_away_for_good(kind: Kind) -> None:
    hub = a_hub()
    async with served(hub, kind) as on:
        hub.close()
        async with asked(on.url()) as answer:
            blocks = await answer.rest()

    assert answer.status == 200
    assert [block.event for block in blocks if block.event] == ["snapshot", "shutdown"]


async def test_25_head_gives_the_headers_and_opens_no_stream(kind: Kind) -> None:
    async with served(a_hub(), kind) as on, asked(on.url(), method="HEAD") as answer:
        answer.writer.write(request(on.url("conflate=1")))  # on the same connection
        following = await http_answer(answer.reader, answer.writer)
        opened = on.endpoint.admission.open

    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (following.status, opened) == (422, 0)


async def test_25_a_reader_that_leaves_is_forgotten_within_a_second(kind: Kind) -> None:
    hub = a_hub()
    async with served(hub, kind) as on:
        before = len(asyncio.all_tasks())
        async with AsyncExitStack() as readers:
            for _ in range(20):
                answer = await readers.enter_async_context(asked(on.url()))
                await answer.chunk()
            assert on.endpoint.admission.open == 20
        leaving = Stopwatch()
        await eventually(lambda: on.endpoint.admission.open == 0)
        await eventually(lambda: len(asyncio.all_tasks()) <= before + 1)
        lasted_s, listeners = leaving.read(), len(hub._listeners)

    assert lasted_s < 1
    assert listeners <= 1


async def test_26_pages_of_other_origins_may_read_and_resume(kind: Kind) -> None:
    asks = {
        "Origin": "http://charts.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "Last-Event-ID",
    }
    async with served(a_hub(), kind) as on:
        async with asked(on.url(), headers={"Origin": "http://charts.example"}) as answer:
            pass
        async with a_client() as client:
            allowed = await client.options(on.url(), headers=asks)

    assert answer.headers["access-control-allow-origin"] == "*"
    assert allowed.status_code == 200
    assert "last-event-id" in allowed.headers["access-control-allow-headers"].lower()


async def test_27_each_reader_gets_a_farewell_with_a_retry_of_its_own_and_a_clean_end(
    kind: Kind,
) -> None:
    hub = a_hub()
    async with AsyncExitStack() as readers:
        async with served(hub, kind) as on:
            answers = [await readers.enter_async_context(asked(on.url())) for _ in range(20)]
            slow = await readers.enter_async_context(asked(on.url("conflate=60000")))
            hub.publish(a_tick())
            for answer in answers:
                await answer.until(has_number(1))
            ends = asyncio.gather(*(answer.rest() for answer in (*answers, slow)))
            ending = Stopwatch()
        lasted_s = ending.read()
        streams = await ends

    assert lasted_s < 2
    assert all(answer.ended_well for answer in (*answers, slow))
    assert all(blocks[-1].event == "shutdown" for blocks in streams)
    retries = [int(blocks[-1].fields["retry"]) for blocks in streams]
    assert len(set(retries)) > 10
    assert all(500 <= retry <= 2000 for retry in retries)
    assert all("id" not in blocks[-1].fields for blocks in streams)


async def test_one_stream_too_many_is_refused_politely(kind: Kind) -> None:
    few = StreamSettings(max_streams=2, max_streams_per_address=2)
    async with served(a_hub(), kind, settings=few) as on:
        async with asked(on.url()) as first, asked(on.url()):
            async with asked(on.url("last_event_id=deadbeef-1")) as refused:
                problem = json.loads(await refused.body())
            await first.chunk()
        await eventually(lambda: on.endpoint.admission.open == 0)
        async with asked(on.url()) as again:
            pass

    assert (refused.status, problem["type"]) == (503, "too-many-streams")
    assert int(refused.headers["retry-after"]) > 0
    assert again.status == 200
    assert on.endpoint.admission.refused == 1
    assert on.hub.gaps == 0, "it was told of none"


async def test_one_address_has_its_own_limit(kind: Kind) -> None:
    few = StreamSettings(max_streams=100, max_streams_per_address=1)
    async with (
        served(a_hub(), kind, settings=few) as on,
        asked(on.url()),
        asked(on.url()) as refused,
    ):
        problem = json.loads(await refused.body())

    assert "MAX_STREAMS_PER_ADDRESS" in problem["detail"]


async def test_an_old_http_1_0_client_reads_a_body_without_chunks(kind: Kind) -> None:
    hub = a_hub()
    async with served(hub, kind) as on, asked(on.url(), version="1.0") as answer:
        hub.publish(a_tick())
        await answer.reader.readuntil(b"event: tick\n")
        hub.close()
        rest = await asyncio.wait_for(answer.reader.read(), PATIENCE_S)

    assert "transfer-encoding" not in answer.headers
    assert b"event: shutdown\n" in rest
    assert rest.endswith(b"\n\n")


async def test_an_old_client_hears_of_its_connection_once(kind: Kind) -> None:
    async with served(a_hub(), kind) as on, connected(on.url()) as (reader, writer):
        writer.write(request(on.url(), version="1.0"))
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)).lower()

    assert [line for line in head.split(b"\r\n") if line.startswith(b"connection:")] == [
        b"connection: close"
    ]


async def test_at_most_one_tick_a_symbol_a_window(kind: Kind) -> None:
    hub = a_hub(history=100_000)
    market, loop = Market(hub, ["BTC", "TCS"]), asyncio.get_running_loop()
    ids: dict[str, list[int]] = {"BTC": [], "TCS": []}
    async with served(hub, kind) as on:
        market.run(10)
        began = loop.time()
        async with asked(on.url(f"conflate=100&last_event_id={EPOCH}-1")) as answer:

            async def read() -> None:
                async for block in answer.events():
                    if block.event == "tick":
                        ids[block.data["symbol"]].append(block.n)
                    if min(map(len, ids.values())) == 7:
                        return

            reading = asyncio.create_task(read())
            while not reading.done():
                market.run(5)
                await asyncio.sleep(0.002)
            await reading
        lasted_s = loop.time() - began

    for seen in ids.values():
        assert seen == sorted(seen)
        assert len(seen) <= lasted_s / 0.1 + 2


async def test_a_conflated_reader_sees_by_seq_what_it_skipped_and_ends_on_the_newest(
    kind: Kind,
) -> None:
    hub = a_hub()
    market = Market(hub)
    async with served(hub, kind) as on, asked(on.url("conflate=20&symbols=TCS")) as answer:
        await answer.chunk()
        market.run(90)
        last = (await answer.until(lambda block: block.event == "tick" and block.n == 89))[-1]

    assert (last.data["symbol"], last.data["seq"]) == ("TCS", 30)


@pytest.mark.no_cover
async def test_a_conflated_reader_that_reads_is_not_held_back_by_its_window(kind: Kind) -> None:
    hub = a_hub(history=100_000)
    market = Market(hub)
    for _ in range(20_000):  # a dozen times what goes into one write
        hub.publish(a_trade())
    market.tick("BTC")
    async with served(hub, kind) as on:
        reading = Stopwatch()
        query = f"events=tick,trade&conflate=1000&last_event_id={EPOCH}-1"
        async with asked(on.url(query)) as answer:
            await answer.until(lambda block: block.event == "tick")
        lasted_s = reading.read()

    assert lasted_s < 4


@pytest.mark.no_cover
async def test_a_stream_keeps_up_with_bursts_and_loses_nothing(kind: Kind) -> None:
    hub = a_hub(history=20_000)
    market = Market(hub)
    async with served(hub, kind) as on, asked(on.url()) as answer:
        await answer.chunk()
        for _ in range(40):
            market.run(250)
            await asyncio.sleep(0)
        blocks = await answer.until(has_number(10_000))

    assert [block.n for block in blocks] == list(range(1, 10_001))


async def restless(url: str, proof: Proof, rng: Random, over: asyncio.Event) -> None:
    """Read a stream until it is over, hanging up and resuming at random."""
    while not over.is_set():
        by_query = rng.random() < 0.5 or not proof.last_id
        target = f"{url}&last_event_id={proof.last_id}" if by_query else url
        headers = {} if by_query else {"Last-Event-ID": proof.last_id}
        async with asked(target, headers=headers) as answer:
            await read_some(answer, proof, rng, over)
        await asyncio.sleep(max(0.0, rng.uniform(-0.2, 0.1)))


async def read_some(answer: Answer, proof: Proof, rng: Random, over: asyncio.Event) -> None:
    async for block in answer.events():
        proof.see(block.event, block.id, block.fields["data"])
        if rng.random() < 0.01 or over.is_set():
            return


@pytest.mark.parametrize("history", [50, 100_000])
async def test_readers_killed_and_resumed_at_random_get_each_event_once_or_a_gap(
    kind: Kind, history: int
) -> None:
    hub, rng = a_hub(history=history), Random(history)
    market, over = Market(hub), asyncio.Event()
    begun = asyncio.get_running_loop().time()
    filters = [None, {"BTC"}, {"TCS", "META"}] * 4
    proofs = [Proof() for _ in filters]

    def seen_enough() -> bool:
        evicted = any("evicted" in proof.reasons for proof in proofs)
        some = all(len(proof.got) > 20 for proof in proofs)
        return some and (evicted or history != 50)

    async with served(hub, kind) as on, asyncio.TaskGroup() as readers:
        for n, (only, proof) in enumerate(zip(filters, proofs, strict=True)):
            url = on.url("symbols=" + ",".join(only or ()))
            readers.create_task(restless(url, proof, Random(n), over))
        while asyncio.get_running_loop().time() < begun + 1 or not seen_enough():
            market.run(rng.randint(1, 12), rng)
            await asyncio.sleep(0.002)
        over.set()
        market.run(50, rng)  # so that nobody waits

    for only, proof in zip(filters, proofs, strict=True):
        proof.check(market.numbers(only))
    assert any("evicted" in proof.reasons for proof in proofs) == (history == 50)


async def test_a_stuck_reader_is_cut_off_and_logged_once_without_a_traceback(
    kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    hub = a_hub(history=100_000)
    quick = StreamSettings(send_timeout_s=0.2)
    async with served(hub, kind, settings=quick) as on, asked(on.url()) as answer:
        answer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        market = Market(hub)
        for _ in range(300):
            market.run(300)
            await asyncio.sleep(0)
        await eventually(lambda: on.endpoint.admission.open == 0)

    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_the_limits_come_from_the_environment() -> None:
    env = Environment(
        {
            "HEARTBEAT_S": "3",
            "SEND_TIMEOUT_S": "4",
            "MAX_STREAMS": "5",
            "MAX_STREAMS_PER_ADDRESS": "6",
        }
    )

    assert StreamSettings.from_env(env) == StreamSettings(
        heartbeat_s=3, send_timeout_s=4, max_streams=5, max_streams_per_address=6
    )
