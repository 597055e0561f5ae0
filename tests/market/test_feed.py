"""The client against a server that does as the test says, over real connections."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from email.utils import format_datetime
from itertools import pairwise
from random import Random
from typing import Any, ClassVar

import pytest

from market.clock import ManualClock
from market.errors import StreamError
from market.events import Fact, Gap, Lagging, Snapshot, Tick
from market.feed import Feed, FeedEnded, FeedGarbled, FeedLost, FeedOpened
from market.hub import Hub
from market.server import ServerSettings
from market.wire import FACTS, Decoder, EventId, encode, frame
from tests.builders import EPOCH, Market, a_hub, a_tick
from tests.market.unclosed import unclosed
from tests.streams import PATIENCE_S, a_client, eventually, raw_server, served


class Note(Fact, frozen=True, kw_only=True):
    kind: ClassVar[str] = "message"

    text: str


NOTES = Decoder((*FACTS, Note))
GONE = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


def said(
    body: bytes = b"", *, status: int = 200, type: str = "text/event-stream", more: str = ""
) -> bytes:
    """Return an answer that ends with its connection."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {type}\r\nConnection: close\r\n{more}\r\n"
    return head.encode() + body


def note(text: str, head: str = "") -> bytes:
    return f'{head}data: {{"text":"{text}"}}\n\n'.encode()


def framed(*numbers: int) -> bytes:
    return b"".join(frame("tick", encode(a_tick(seq=n)), id=EventId(EPOCH, n)) for n in numbers)


class Script:
    """Gives its answers one a connection, then 204; keeps what it was asked."""

    def __init__(self, answers: Sequence[bytes | None], size: int = 2**20) -> None:
        self._answers, self._size = list(answers), size
        self.asked: list[dict[str, str]] = []
        self.times: list[float] = []
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(": ") for line in head[1:] if line)
        self.asked.append({"": head[0]} | {name.lower(): value for name, _, value in pairs})
        self.times.append(asyncio.get_running_loop().time())
        answer = self._answers.pop(0) if self._answers else GONE
        if answer is None:  # say nothing at all
            await reader.read()
            return
        answer = answer.replace(b"{url}", self.url.encode())
        for at in range(0, len(answer), self._size):
            writer.write(answer[at : at + self._size])
            await writer.drain()
            if self._size < 3:
                await asyncio.sleep(0)

    def last_ids(self) -> list[str | None]:
        return [head.get("last-event-id") for head in self.asked]


@asynccontextmanager
async def reading(*answers: bytes | None, size: int = 2**20, **options: Any) -> AsyncIterator[Any]:
    """Give a script's server and a feed of it."""
    script = Script(answers, size)
    async with raw_server(script.handle) as script.url, a_client() as client:
        given: dict[str, Any] = {"decoder": NOTES, "rng": Random(1), "retry_cap_s": 0.01} | options
        yield script, Feed(f"{script.url}/stream", client=client, **given)


async def all_facts(feed: Feed) -> list[Fact]:
    async with asyncio.timeout(PATIENCE_S):
        return [fact async for fact in feed]


def texts(facts: list[Fact]) -> list[str]:
    return [fact.text for fact in facts if isinstance(fact, Note)]


def seqs(facts: list[Fact]) -> list[int]:
    return [fact.seq for fact in facts if isinstance(fact, Tick)]


async def test_it_yields_the_facts_between_what_happens_to_the_line() -> None:
    async with reading(said(framed(1, 2))) as (_, feed):
        facts = await all_facts(feed)

    kinds = [type(fact) for fact in facts]
    assert kinds == [FeedOpened, Tick, Tick, FeedLost, FeedEnded]
    assert feed.last_id == f"{EPOCH}-2"


@pytest.mark.parametrize("size", [2**20, 1, 2], ids=["whole", "by the byte", "two by two"])
async def test_01_to_13_it_reads_as_the_standard_says_however_bytes_arrive(size: int) -> None:
    stream = (
        "\ufeff".encode()  # 1: stripped
        + b"retry: 1\r\r"  # 8, 12: counts, and is no event
        + note("a\u2028ß🙂")  # 4, 5
        + b': a comment\n\ndata: {"text":\r\ndata:"b"}\r\r'  # 2, 3, 6, 9
        + note("c", "id: 7\n")
        + b": after an id\n\n"  # 9: no phantom event
        + note("d", "id: 8\0\n")  # 11: the id is ignored
        + b"id: 9\n"  # 13: unfinished
    )
    comments: list[str] = []
    odd_charset = "TEXT/Event-Stream; charset=iso-8859-1"
    answer = said(stream, type=odd_charset)
    async with reading(answer, size=size, on_comment=comments.append) as (script, feed):
        facts = await all_facts(feed)

    assert texts(facts) == ["a\u2028ß🙂", "b", "c", "d"]
    assert [type(fact) for fact in facts if not isinstance(fact, Note)] == [
        FeedOpened,
        FeedLost,
        FeedEnded,
    ]
    assert comments == ["a comment", "after an id"]
    assert script.last_ids() == [None, "7"]


async def test_07_empty_data_is_an_event_and_here_a_garbled_one() -> None:
    async with reading(said(b"data\n\n" + note("a"))) as (_, feed):
        facts = await all_facts(feed)

    assert isinstance(facts[1], FeedGarbled)
    assert texts(facts) == ["a"]


async def test_10_and_14_the_last_id_goes_along_until_it_is_cleared() -> None:
    answers = [
        said(note("a")),
        said(note("b", "id: 1\n") + note("c")),
        said(),
        said(note("d", "id:\n")),
    ]
    async with reading(*answers) as (script, feed):
        facts = await all_facts(feed)

    assert texts(facts) == ["a", "b", "c", "d"]
    assert script.last_ids() == [None, None, "1", "1", None]


async def test_14_a_preset_id_is_sent_first() -> None:
    async with reading(last_id="41") as (script, feed):
        await all_facts(feed)

    assert script.last_ids() == ["41"]


@pytest.mark.parametrize(
    ("last_id", "sent"),
    [
        ("é-🙂", "é-🙂".encode().decode("latin-1")),
        ("a\x01b\vc\x7f", "a?b?c?"),
        ("  7 ", "7"),
        ("a\tb", "a?b"),
    ],
)
async def test_14_any_id_can_be_sent_back_in_utf_8(last_id: str, sent: str) -> None:
    async with reading(said(note("a", f"id: {last_id}\n"))) as (script, feed):
        facts = await all_facts(feed)

    assert texts(facts) == ["a"]
    assert script.last_ids() == [None, sent]


async def test_15_it_never_returns_sooner_than_the_server_asked() -> None:
    answers = [said(b"retry: 80\n\n" + note(str(n))) for n in range(6)]
    async with reading(*answers, retry_cap_s=5) as (script, feed):
        facts = await all_facts(feed)

    waits = [fact.retry_s for fact in facts if isinstance(fact, FeedLost)]
    between = [later - sooner for sooner, later in pairwise(script.times)]
    assert all(0.08 <= wait <= 0.15 for wait in waits)
    assert all(wait >= 0.079 for wait in between)
    assert len(set(waits)) == len(waits), "jittered"


async def test_15_the_wait_grows_while_nothing_comes_and_is_capped() -> None:
    async with a_client() as client:
        feed = Feed("http://127.0.0.1:1", client=client, rng=Random(1), retry_cap_s=30)

    waits = [feed._wait_s() for _ in range(40)]

    assert all(1 <= wait <= 1.5 * 2**n for n, wait in enumerate(waits[:5]))
    assert sum(waits[4:8]) > 2 * sum(waits[:4])
    assert 25 < max(waits) <= 30
    assert len(set(waits)) == 40, "jittered, at the cap too"


async def test_15_a_retry_of_zero_is_no_hot_loop() -> None:
    async with reading(*[said(b"retry: 0\n\n")] * 8, retry_cap_s=0.1) as (_, feed):
        facts = await all_facts(feed)

    assert sum(fact.retry_s for fact in facts if isinstance(fact, FeedLost)) > 0.2


async def test_15_an_absurd_retry_is_within_the_cap_too() -> None:
    async with reading(said(b"retry: 999999999\n\n" + note("a"))) as (_, feed):
        facts = await all_facts(feed)

    assert next(fact.retry_s for fact in facts if isinstance(fact, FeedLost)) == 0.01


async def test_15_a_broken_line_is_a_lost_one_and_each_connection_is_parsed_afresh() -> None:
    chunked = said(b"5\r\ndata:\r\nZZ\r\n", more="Transfer-Encoding: chunked\r\n")
    cut = said(b"99\r\ndata: {", more="Transfer-Encoding: chunked\r\n")
    zipped = said(gzip.compress(note("a"))[:-9] + b"x" * 20, more="Content-Encoding: gzip\r\n")
    async with reading(cut, chunked, b"rubbish\r\n\r\n", b"", zipped, said(note("b"))) as (_, feed):
        facts = await all_facts(feed)

    assert texts(facts)[-1] == "b"
    assert sum(isinstance(fact, FeedLost) for fact in facts) == 6
    assert all(fact.reason for fact in facts if isinstance(fact, FeedLost))


async def test_15_a_server_that_is_not_there_is_tried_for_ever(port: int) -> None:
    async with a_client() as client:
        feed = Feed(f"http://127.0.0.1:{port}", client=client, retry_cap_s=0.01)
        async with aclosing(feed.batches()) as batches:
            lost = [(await anext(batches))[0] for _ in range(5)]

    assert all(isinstance(fact, FeedLost) and "ConnectError" in fact.reason for fact in lost)


async def test_16_a_204_ends_it_for_good() -> None:
    async with reading(said(framed(1)), GONE, said(framed(2))) as (script, feed):
        facts = await all_facts(feed)

    assert isinstance(facts[-1], FeedEnded)
    assert len(script.asked) == 2


@pytest.mark.parametrize("status", [205, 210, 299, 304, 400, 401, 403, 404, 410, 422, 501, 505])
async def test_16_an_answer_that_will_not_change_is_an_error(status: int) -> None:
    async with reading(said(status=status)) as (script, feed):
        with pytest.raises(StreamError, match=str(status)):
            await all_facts(feed)

    assert len(script.asked) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_16_a_server_in_trouble_is_asked_again(status: int) -> None:
    async with reading(said(status=status), said(note("a"))) as (_, feed):
        facts = await all_facts(feed)

    assert texts(facts) == ["a"]


async def test_16_retry_after_is_honored_as_seconds_or_date_up_to_a_minute() -> None:
    clock, waits = ManualClock(), list[float]()
    date = format_datetime(clock.now() + timedelta(seconds=30), usegmt=True)
    for value in ("7", date, "9999", "-1", "soon", "٣"):
        busy = said(status=503, more=f"Retry-After: {value}\r\n")
        async with (
            reading(busy, clock=clock) as (_, feed),
            aclosing(feed.batches()) as batches,
        ):
            lost = (await anext(batches))[0]
            assert isinstance(lost, FeedLost)
            waits.append(round(lost.retry_s))

    assert waits == [7, 30, 60, 0, 0, 0]


@pytest.mark.parametrize(
    "type", ["text/event-streamx", "text/html", "", "x; text/event-stream", "text /event-stream"]
)
async def test_17_another_media_type_is_an_error_and_its_body_is_not_read(type: str) -> None:
    async with reading(said(note("a"), type=type)) as (_, feed):
        with pytest.raises(StreamError, match="content type"):
            await all_facts(feed)


@pytest.mark.parametrize("type", ["text/event-stream;charset=utf-8", "Text/EVENT-stream ; a=b"])
async def test_17_parameters_and_case_of_the_media_type_do_not_matter(type: str) -> None:
    async with reading(said(note("a"), type=type)) as (_, feed):
        assert texts(await all_facts(feed)) == ["a"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_18_redirects_are_followed_with_the_last_id(status: int) -> None:
    moved = said(status=status, more="Location: {url}/elsewhere\r\n")
    async with reading(moved, said(note("a")), last_id="5") as (script, feed):
        facts = await all_facts(feed)

    assert texts(facts) == ["a"]
    assert script.asked[1][""] == "GET /elsewhere HTTP/1.1"
    assert script.last_ids()[:2] == ["5", "5"]


@pytest.mark.parametrize(
    "location", ["", "Location:\r\n", "Location: {url}/stream\r\n", "Location: ftp://x\r\n"]
)
async def test_18_a_redirect_to_nowhere_is_an_error_and_no_loop(location: str) -> None:
    async with reading(*[said(status=301, more=location)] * 30) as (script, feed):
        with pytest.raises(StreamError):
            await all_facts(feed)

    assert len(script.asked) <= 22


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1/stream", "http://[::1/stream"])
async def test_18_an_address_that_is_none_is_an_error(url: str) -> None:
    async with a_client() as client:
        with pytest.raises(StreamError):
            await all_facts(Feed(url, client=client))


async def test_19_it_asks_as_a_browser_does() -> None:
    async with reading() as (script, feed):
        await all_facts(feed)

    assert script.asked[0]["accept"] == "text/event-stream"
    assert script.asked[0]["cache-control"] == "no-cache"


async def test_20_a_silent_line_is_given_up_and_any_byte_keeps_it() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said())
        for byte in b": alive, alive, alive\n":  # longer than the silence in all
            writer.write(bytes([byte]))
            await asyncio.sleep(0.1)
        await reader.read()

    loop = asyncio.get_running_loop()
    async with raw_server(handle) as url, a_client() as client:
        feed, began = Feed(url, client=client, silence_s=1.5), loop.time()
        async with aclosing(feed.batches()) as batches:
            opened, lost = [(await anext(batches))[0] for _ in range(2)]
    lasted = loop.time() - began

    assert isinstance(opened, FeedOpened)
    assert isinstance(lost, FeedLost)
    assert "ReadTimeout" in lost.reason
    assert lasted > 2.1 + 1.4


async def test_20_an_answer_that_never_begins_is_given_up_too() -> None:
    async with reading(None, said(note("a")), silence_s=1) as (_, feed):
        facts = await all_facts(feed)

    assert isinstance(facts[0], FeedLost)
    assert texts(facts) == ["a"]


async def test_20_large_events_work_and_larger_ones_are_a_lost_line() -> None:
    five, nine = "x" * (5 * 2**20), "x" * (9 * 2**20)
    async with reading(said(note(nine)), said(note(five))) as (_, feed):
        facts = await all_facts(feed)

    assert isinstance(facts[1], FeedLost)
    assert "event of more than" in facts[1].reason
    assert texts(facts) == [five]


async def test_20_a_hundred_events_in_one_chunk_stay_in_order() -> None:
    async with reading(said(framed(*range(1, 101)))) as (_, feed):
        batches = [batch async for batch in feed.batches()]

    assert seqs([fact for batch in batches for fact in batch]) == list(range(1, 101))
    assert max(len(batch) for batch in batches) >= 50


async def test_a_garbled_frame_is_told_and_the_stream_goes_on() -> None:
    bad = b"event: tick\ndata: {not json}\n\nevent: tick\ndata: {}\n\nevent: tick\ndata: \xff\n\n"
    async with reading(said(bad + framed(1))) as (_, feed):
        facts = await all_facts(feed)

    assert [type(fact) for fact in facts[1:5]] == [FeedGarbled, FeedGarbled, FeedGarbled, Tick]
    assert all("tick" in fact.problem for fact in facts if isinstance(fact, FeedGarbled))


async def test_events_of_unknown_kinds_are_passed_over() -> None:
    async with reading(said(b"event: weather\ndata: rain\n\n" + framed(1))) as (_, feed):
        facts = await all_facts(feed)

    assert seqs(facts) == [1]
    assert not [fact for fact in facts if isinstance(fact, FeedGarbled)]


async def test_what_is_replayed_again_is_yielded_once() -> None:
    answers = [said(framed(1, 2, 3)), said(framed(2, 3, 4)), said(framed(1, 2, 3, 4, 5))]
    async with reading(*answers) as (_, feed):
        facts = await all_facts(feed)

    assert seqs(facts) == [1, 2, 3, 4, 5]


async def test_what_has_no_id_of_its_own_is_never_taken_for_a_replay() -> None:
    bare = frame("tick", encode(a_tick(seq=4)))
    warning = frame("lagging", encode(Lagging(behind=80, limit=100)))
    answers = [said(framed(1, 2, 3)), said(bare), said(warning + framed(5))]
    async with reading(*answers) as (_, feed):
        facts = await all_facts(feed)

    assert seqs(facts) == [1, 2, 3, 4, 5]
    assert Lagging(behind=80, limit=100) in facts


async def test_a_line_that_breaks_before_the_first_event_is_resumed_there() -> None:
    hub = a_hub(snapshot=None)
    hello = hub.reader(hub.filter()).take()
    async with reading(said(hello), said(framed(1, 2))) as (script, feed):
        facts = await all_facts(feed)

    assert script.last_ids() == [None, f"{EPOCH}-0", f"{EPOCH}-2"]
    assert seqs(facts) == [1, 2]


async def test_a_replay_that_breaks_off_before_what_is_new_does_not_turn_the_id_back() -> None:
    answers = [said(framed(1, 2, 3)), said(framed(1, 2)), said(framed(3, 4))]
    async with reading(*answers) as (script, feed):
        facts = await all_facts(feed)

    assert seqs(facts) == [1, 2, 3, 4]
    assert script.last_ids() == [None, f"{EPOCH}-3", f"{EPOCH}-3", f"{EPOCH}-4"]


async def test_a_gap_and_a_new_epoch_are_passed_on_and_followed() -> None:
    gap = Gap(since=f"{EPOCH}-3", until="feedbeef-1", missed=1, reason="epoch")
    here = EventId("feedbeef", 1)
    snapshot = frame("snapshot", encode(Snapshot(id=str(here), ticks=())), id=here)
    answers = [said(framed(1, 2, 3)), said(frame("gap", encode(gap)) + snapshot)]
    async with reading(*answers) as (script, feed):
        facts = await all_facts(feed)

    assert gap in facts
    assert script.last_ids()[-1] == "feedbeef-1"


async def test_leaving_the_loop_closes_the_connection() -> None:
    hub = a_hub()
    market = Market(hub)
    async with served(hub) as on, a_client() as client:
        async with aclosing(aiter(Feed(on.url(), client=client))) as facts:  # type: ignore[type-var]
            async for fact in facts:
                if isinstance(fact, Snapshot):
                    market.run(3)
                if isinstance(fact, Tick):
                    break
        await eventually(lambda: on.endpoint.admission.open == 0)


@pytest.mark.no_cover
@pytest.mark.parametrize("server", ["answers", "says nothing", "refuses"])
async def test_a_feed_that_is_cancelled_while_it_connects_leaves_no_socket(server: str) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if server == "answers":
            writer.write(said(framed(1, 2)))
        await reader.read()

    rng = Random(4)
    with unclosed() as left:
        async with raw_server(handle) as url, a_client() as client:
            place = "http://127.0.0.1:9" if server == "refuses" else url
            for _ in range(60):
                reading = asyncio.create_task(all_facts(Feed(place, client=client)))
                for _ in range(rng.randrange(40)):
                    await asyncio.sleep(0)
                for _ in range(rng.randrange(1, 4)):  # whoever ends a task may insist
                    reading.cancel()
                    await asyncio.sleep(0)
                await asyncio.wait([reading], timeout=PATIENCE_S)
                assert reading.cancelled()

    assert left == []


async def test_it_reads_on_across_restarts_of_our_server_without_loss(port: int) -> None:
    market, got = Market(a_hub(history=10_000)), list[int]()
    server = ServerSettings(port=port, farewell_s=0.2)
    async with a_client() as client:
        async with served(market.hub, server=server) as on:
            feed = Feed(on.url(), client=client, retry_cap_s=0.05)
            following = asyncio.create_task(follow(feed, got, upto=300))
            await eventually(lambda: bool(feed.last_id))
        for _ in range(4):
            market.hub = next_life(market.hub)
            async with served(market.hub, server=server):
                for _ in range(25):
                    market.run(3)
                    await asyncio.sleep(0.004)
                await eventually(lambda: bool(got) and got[-1] == market.hub.head)
        await asyncio.wait_for(following, PATIENCE_S)

    assert got == list(range(1, 301))


def next_life(hub: Hub) -> Hub:
    """Return a hub with the history of another, as a restart makes it."""
    new = a_hub(history=hub.history)
    for n in range(1, hub.head + 1):
        new.restore(hub.ring.topics[n], hub.ring.frames[n])
    return new


async def follow(feed: Feed, got: list[int], upto: int) -> None:
    """Note the numbers of the ticks that a market of three made by turns."""
    turns = {"BTC": 2, "TCS": 1, "META": 0}
    async for fact in feed:
        if isinstance(fact, Tick):
            got.append(3 * fact.seq - turns[fact.symbol])
        if got and got[-1] == upto:
            return
