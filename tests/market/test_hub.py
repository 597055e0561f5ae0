import json
from collections import Counter
from collections.abc import Callable
from itertools import chain
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.batch import BATCH_BYTES, BURST_EVENTS, SHARED_BYTES
from market.events import Fact
from market.filter import Filter
from market.hub import MOST_FRESH, Hub
from market.reader import Reader
from market.sse import EventDecoder, Message
from market.wire import EventId, encode, frame
from tests.builders import EPOCH, KINDS, Market, a_book, a_hub, a_source_state, a_tick, a_trade
from tests.streams import Proof


def taken(reader: Reader) -> list[Message]:
    decoder, messages = EventDecoder(), list[Message]()
    while due := reader.take():
        assert due.endswith(b"\n\n")
        messages += decoder.feed(due)
    return messages


def numbers(messages: list[Message], kind: str = "tick") -> list[int]:
    return [int(m.id.partition("-")[2]) for m in messages if m.event == kind]


def kinds(messages: list[Message]) -> list[str]:
    return [message.event for message in messages]


def test_a_fresh_reader_begins_with_a_snapshot_of_the_head_and_a_retry_hint() -> None:
    hub = a_hub()
    Market(hub).run(5)

    greeting = hub.reader(hub.filter()).take()

    assert greeting.startswith(f"id: {EPOCH}-5\nretry: 1000\nevent: snapshot\n".encode())


def test_a_fresh_reader_of_a_hub_without_snapshots_begins_at_the_next_event() -> None:
    hub = a_hub(snapshot=None)
    market = Market(hub)
    market.run(5)
    reader = hub.reader(hub.filter())
    market.run(2)

    assert reader.take().startswith(b"retry: 1000\n: stream ")
    assert numbers(taken(reader)) == [6, 7]


@pytest.mark.parametrize("published", [0, 1, 5])
@pytest.mark.parametrize("is_shown", [True, False])
def test_a_reader_that_is_lost_before_its_first_event_has_a_place_to_resume(
    published: int, is_shown: bool
) -> None:
    hub = a_hub() if is_shown else a_hub(snapshot=None)
    market = Market(hub)
    market.run(published)
    decoder = EventDecoder()
    decoder.feed(hub.reader(hub.filter()).take())
    market.run(3)

    later = taken(hub.reader(hub.filter(), decoder.last_id))

    assert kinds(later) == ["tick"] * 3
    assert numbers(later) == [published + n for n in (1, 2, 3)]


def test_a_reader_that_is_lost_after_a_gap_has_a_place_to_resume() -> None:
    hub = a_hub(history=4, snapshot=None)
    Market(hub).run(9)
    decoder = EventDecoder(f"{EPOCH}-2")
    decoder.feed(hub.reader(hub.filter(), decoder.last_id).take())

    assert decoder.last_id == f"{EPOCH}-5"
    assert numbers(taken(hub.reader(hub.filter(), decoder.last_id))) == [6, 7, 8, 9]


def test_ids_are_dense_whatever_is_published() -> None:
    hub = a_hub()

    reader = hub.reader(hub.filter(kinds=KINDS))
    reader.take()
    for fact in (a_tick(), a_trade(), a_book(), a_source_state()):
        hub.publish(fact)

    messages = taken(reader)

    assert [message.id for message in messages] == [f"{EPOCH}-{n}" for n in (1, 2, 3, 4)]
    assert kinds(messages) == ["tick", "trade", "book", "source"]


def test_a_reader_resumes_strictly_after_its_last_id() -> None:
    hub = a_hub()
    Market(hub).run(9)

    messages = taken(hub.reader(hub.filter(), f"{EPOCH}-4"))

    assert numbers(messages) == [5, 6, 7, 8, 9]
    assert kinds(messages) == ["tick"] * 5


def test_a_reader_that_missed_nothing_is_told_nothing() -> None:
    hub = a_hub()
    Market(hub).run(9)

    assert taken(hub.reader(hub.filter(), f"{EPOCH}-9")) == []


@pytest.mark.parametrize("history", [4, 10])
def test_an_evicted_id_gets_a_gap_and_a_snapshot_and_then_what_follows(history: int) -> None:
    hub = a_hub(history=history)
    market = Market(hub)
    market.run(40)
    reader = hub.reader(hub.filter(), f"{EPOCH}-20")
    market.run(2)

    messages = taken(reader)

    assert kinds(messages) == ["gap", "snapshot", "tick", "tick"]
    told = json.loads(messages[0].data)
    assert told == {"from": f"{EPOCH}-20", "to": f"{EPOCH}-40", "missed": 20, "reason": "evicted"}
    assert numbers(messages) == [41, 42]


def test_the_oldest_id_at_hand_is_replayed_without_a_gap() -> None:
    hub = a_hub(history=10)
    Market(hub).run(40)

    assert numbers(taken(hub.reader(hub.filter(), f"{EPOCH}-30"))) == list(range(31, 41))
    assert kinds(taken(hub.reader(hub.filter(), f"{EPOCH}-29")))[0] == "gap"
    assert (hub.replays, hub.gaps) == (1, 1)


def test_without_a_snapshot_a_gap_goes_on_at_the_oldest_event_at_hand() -> None:
    hub = a_hub(history=10, snapshot=None)
    Market(hub).run(40)

    messages = taken(hub.reader(hub.filter(), f"{EPOCH}-20"))

    assert json.loads(messages[0].data)["to"] == f"{EPOCH}-30"
    assert numbers(messages) == list(range(31, 41))


@pytest.mark.parametrize(
    "last_id",
    [
        "deadbeef-3",
        f"{EPOCH}-41",
        f"{EPOCH}-9999999999999999999",
        f"{EPOCH}--1",
        f"{EPOCH}-01",
        f"{EPOCH.upper()}-3",
        f" {EPOCH}-3",
        "3",
        "ä",
        "\x00",
        "x" * 60_000,
        "-",
        "null",
    ],
)
def test_an_id_that_is_not_of_this_history_gets_a_gap_and_never_silence(last_id: str) -> None:
    hub = a_hub()
    Market(hub).run(40)

    messages = taken(hub.reader(hub.filter(), last_id))

    assert kinds(messages) == ["gap", "snapshot"]
    told = json.loads(messages[0].data)
    assert told["reason"] == "epoch"
    assert told["to"] == f"{EPOCH}-40"
    assert len(told["from"]) <= 64


@given(last_id=st.text(max_size=80))
@settings(max_examples=200, deadline=None)
def test_whatever_an_id_says_the_answer_is_a_replay_or_a_gap(last_id: str) -> None:
    hub = a_hub(history=16)
    Market(hub).run(40)

    first = taken(hub.reader(hub.filter(), last_id))[0]

    assert first.event in {"tick", "gap", "snapshot"}
    assert first.event != "snapshot" or not last_id


def test_a_reader_that_falls_out_of_the_history_is_told_what_it_missed() -> None:
    hub = a_hub(history=10)
    market = Market(hub)
    reader = hub.reader(hub.filter())
    taken(reader)
    market.run(25)

    messages = taken(reader)

    assert kinds(messages) == ["gap", "snapshot"]
    told = json.loads(messages[0].data)
    assert told == {"from": f"{EPOCH}-0", "to": f"{EPOCH}-25", "missed": 25, "reason": "slow"}


def test_a_reader_is_warned_once_at_three_quarters_and_again_after_it_has_recovered() -> None:
    hub = a_hub(history=100)
    market = Market(hub)
    reader = hub.reader(hub.filter())
    taken(reader)

    market.run(74)
    before = kinds(taken(reader))
    market.run(75)
    warned = taken(reader)
    market.run(1)
    taken(reader)
    market.run(80)
    again = taken(reader)

    assert "lagging" not in before
    assert kinds(warned)[0] == kinds(again)[0] == "lagging"
    assert json.loads(warned[0].data) == {"behind": 75, "limit": 100}
    assert warned[0].id == ""


def test_a_warning_is_not_repeated_while_the_reader_stays_behind() -> None:
    hub = a_hub(history=10_000)
    market = Market(hub)
    reader = hub.reader(hub.filter())
    reader.take()
    market.run(8000)

    first, second = reader.take(), reader.take()  # a batch each, for they are many bytes

    assert first.startswith(b"event: lagging\n")
    assert second.startswith(b"id: ")


def test_filters_choose_by_kind_and_subject() -> None:
    hub = a_hub()
    reader = hub.reader(hub.filter(kinds=["trade"], subjects=["TCS"]))
    taken(reader)
    for fact in (a_tick("TCS"), a_trade("BTC"), a_trade("TCS"), a_book("TCS")):
        hub.publish(fact)

    assert numbers(taken(reader), "trade") == [3]


def test_equal_wishes_share_one_filter_and_the_very_same_bytes() -> None:
    hub = a_hub()
    readers = [hub.reader(hub.filter(subjects=["TCS", "BTC"])) for _ in range(3)]
    for reader in readers:
        reader.take()
    Market(hub).run(9)

    first, second, third = (reader.take() for reader in readers)

    assert first is second is third


def test_a_filter_goes_with_its_last_reader() -> None:
    hub = a_hub()
    for n in range(500):
        taken(hub.reader(hub.filter(subjects=[f"S{n}"])))

    hub.publish(a_tick())
    taken(hub.reader(hub.filter()))

    assert len(hub._filters) <= 1


def test_nobody_wants_what_only_a_reader_wanted_that_has_left() -> None:
    hub = a_hub(history=2000)
    for _ in range(1000):
        hub.publish(a_trade())
    reader = hub.reader(hub.filter(kinds=["trade"]), f"{EPOCH}-0")
    while reader.take():  # far behind, then near: what it is given is kept for others like it
        assert hub.is_wanted(("trade", "BTC"))

    del reader

    assert not hub.is_wanted(("trade", "BTC"))


def test_a_thousand_filters_do_not_multiply_the_encoding() -> None:
    hub = a_hub()
    encoded: Counter[int] = Counter()
    readers = [hub.reader(hub.filter(subjects=["BTC", f"S{n}"])) for n in range(1000)]
    for reader in readers:
        reader.take()

    Market(hub, ["BTC"]).run(3)
    for reader in readers:
        encoded[len(reader.take())] += 1
    frames = {hub.ring.frames[n] for n in (1, 2, 3)}

    assert hub.published == 3
    assert encoded == {sum(map(len, frames)): 1000}


def test_what_is_shared_while_nothing_is_published_stays_bounded() -> None:
    hub = a_hub(history=10_000)
    Market(hub).run(10_000)
    for n in range(60):
        reader = hub.reader(hub.filter(), f"{EPOCH}-{n}")
        while reader.cursor < hub.head:
            reader.take()

    shared = chain.from_iterable(of.values() for of in hub._batches._shared.values())
    assert sum(len(batch.data) for batch in shared) < SHARED_BYTES + 2 * BATCH_BYTES


def test_readers_that_come_and_go_while_nothing_is_published_leave_nothing() -> None:
    hub = a_hub(snapshot=None)

    for _ in range(100):
        reader = hub.reader(hub.filter())
        reader.take()
        assert reader.take() == b""
        del reader

    assert not hub._batches._shared


def test_a_burst_is_whole_or_not_there() -> None:
    hub = a_hub(history=5000)
    market, wishes = Market(hub), hub.filter()
    nothing = hub.burst(wishes, 0)
    assert nothing is not None
    assert (nothing.data, nothing.events, nothing.upto) == (b"", 0, 0)

    market.run(BURST_EVENTS)
    whole, later = hub.burst(wishes, 0), hub.burst(wishes, 1000)
    assert whole is not None
    assert (whole.events, whole.upto) == (BURST_EVENTS, hub.head)
    assert later is not None
    assert whole.data.endswith(later.data)
    assert hub.burst(wishes, 0) is whole

    market.run(1)
    assert hub.burst(wishes, 0) is None, "too many"
    market.run(5000)
    assert hub.burst(wishes, hub.oldest - 2) is None, "overtaken"
    assert hub.burst(wishes, hub.head - 1) is not None
    hub.close()
    assert hub.burst(wishes, hub.head - 1) is None, "the farewell is each reader's own"


def test_a_burst_of_large_events_is_not_there() -> None:
    hub = a_hub(history=5000)
    wishes = hub.filter(kinds=["book"])
    for _ in range(BURST_EVENTS):
        hub.publish(a_book())
    hub.commit()

    assert sum(map(len, hub.ring.frames)) > BATCH_BYTES
    assert hub.burst(wishes, 0) is None
    assert hub.burst(wishes, hub.head - 10) is not None


def test_one_write_is_bounded_whatever_is_due() -> None:
    hub = a_hub(history=10_000)
    for _ in range(10_000):
        hub.publish(a_trade())

    for wishes in (hub.filter(kinds=["trade"]), hub.filter(kinds=["trade"], conflate_ms=250)):
        reader = hub.reader(wishes, f"{EPOCH}-0")
        sizes = []
        while due := reader.take():
            sizes.append(len(due))
        assert max(sizes) < BATCH_BYTES + 1000
        assert reader.cursor == hub.head


def test_the_newest_tick_of_each_symbol_survives_conflation_in_the_order_of_ids() -> None:
    hub = a_hub()
    reader = hub.reader(hub.filter(kinds=["tick", "trade"], conflate_ms=100))
    taken(reader)
    market = Market(hub)
    for symbol in ("BTC", "TCS", "BTC", "META", "TCS", "BTC"):
        market.tick(symbol)
        hub.publish(a_trade())

    messages = taken(reader)

    ticks = [json.loads(message.data) for message in messages if message.event == "tick"]
    seqs = [(tick["symbol"], tick["seq"]) for tick in ticks]
    assert seqs == [("META", 1), ("TCS", 2), ("BTC", 3)]
    assert kinds(messages).count("trade") == 6
    ids = [int(m.id.partition("-")[2]) for m in messages]
    assert ids == sorted(ids)


def test_a_conflated_reader_that_takes_several_batches_gets_each_symbol_once() -> None:
    hub = a_hub(history=10_000)
    reader = hub.reader(hub.filter(kinds=["tick", "trade"], conflate_ms=100), f"{EPOCH}-0")
    market = Market(hub)
    for _ in range(3):
        for symbol in ("BTC", "TCS"):
            market.tick(symbol)
        for _ in range(3000):  # together far more than goes into one batch
            hub.publish(a_trade())

    messages = taken(reader)

    ticks = [json.loads(message.data) for message in messages if message.event == "tick"]
    assert [(tick["symbol"], tick["seq"]) for tick in ticks] == [("BTC", 3), ("TCS", 3)]
    assert kinds(messages).count("trade") == 9000


def test_a_conflated_reader_that_is_never_at_the_head_gets_ticks_all_the_same() -> None:
    hub = a_hub(history=100_000)
    reader = hub.reader(hub.filter(kinds=["tick", "trade"], conflate_ms=100), f"{EPOCH}-0")
    market, decoder, messages = Market(hub), EventDecoder(), list[Message]()
    for _ in range(20):
        for _ in range(BATCH_BYTES // 130):  # somewhat more than goes into one batch
            hub.publish(a_trade())
        market.tick("BTC")
        messages += decoder.feed(reader.take())

    assert reader.cursor < hub.head
    assert 3 <= kinds(messages).count("tick") <= 20
    ids = [int(m.id.partition("-")[2]) for m in messages]
    assert ids == sorted(ids)


def test_closing_gives_what_is_pending_then_a_farewell_with_its_own_moment_to_come_back() -> None:
    hub = a_hub()
    readers = [hub.reader(hub.filter()) for _ in range(30)]
    for reader in readers:
        reader.take()
    Market(hub).run(2)
    hub.close()

    last = [reader.take() for reader in readers]

    retries = {line for frame in last for line in frame.split(b"\n") if line.startswith(b"retry: ")}
    assert len(retries) > 15
    assert all(b"id: 0badcafe-2\nevent: tick" in frame for frame in last)
    assert all(frame.count(b"event: shutdown\n") == 1 for frame in last)
    assert all(reader.ended and reader.take() == b"" for reader in readers)


def test_a_stuck_reader_gets_its_gap_and_then_the_farewell() -> None:
    hub = a_hub(history=4)
    reader = hub.reader(hub.filter())
    taken(reader)
    Market(hub).run(9)
    hub.close()

    assert kinds(taken(reader)) == ["gap", "snapshot", "shutdown"]


def test_the_first_reason_to_close_stands() -> None:
    hub = a_hub()
    hub.close("end of recording")
    hub.close()

    assert hub.over
    assert json.loads(taken(hub.reader(hub.filter()))[-1].data) == {"reason": "end of recording"}


def test_a_hub_that_stops_is_not_over() -> None:
    hub = a_hub()
    hub.close()

    assert hub.closed
    assert not hub.over


class Kept:
    """A log in memory."""

    def __init__(self) -> None:
        self.upto, self.frames, self.times = 0, b"", 0

    def append(self, frames: bytes, upto: int) -> None:
        self.frames, self.upto, self.times = self.frames + frames, upto, self.times + 1

    @property
    def numbers(self) -> list[int]:
        return numbers(EventDecoder().feed(self.frames))


def test_no_reader_is_ahead_of_the_log() -> None:
    log = Kept()
    hub = a_hub(log=log)
    reader = hub.reader(hub.filter())
    reader.take()
    market = Market(hub)
    for _ in range(5):
        market.run(3)
        reader.take()
        assert log.upto == hub.head
    assert log.frames == b"".join(hub.ring.frames[1:16])


@pytest.mark.parametrize("last_id", [None, f"{EPOCH}-20", f"{EPOCH}-3", "deadbeef-1"])
def test_no_greeting_is_ahead_of_the_log(last_id: str | None) -> None:
    log = Kept()
    hub = a_hub(log=log, history=10)
    Market(hub).run(25)

    hub.reader(hub.filter(), last_id)

    assert log.upto == 25


def test_not_even_the_snapshot_after_a_gap_is_ahead_of_the_log() -> None:
    log = Kept()
    hub = a_hub(log=log, history=10)
    reader = hub.reader(hub.filter())
    reader.take()
    Market(hub).run(25)

    (gap, snapshot) = taken(reader)

    assert gap.event == "gap"
    assert snapshot.id == f"{EPOCH}-{log.upto}"
    assert log.upto == 25


def test_a_history_goes_on_where_an_earlier_process_ended() -> None:
    hub = a_hub()
    hub.begin(41)
    hub.restore(("tick", "BTC"), b"id: 0badcafe-42\nevent: tick\ndata: {}\n\n")

    hub.publish(a_tick())

    assert (hub.head, hub.oldest, hub.published) == (43, 42, 1)
    assert numbers(taken(hub.reader(hub.filter(), f"{EPOCH}-41"))) == [42, 43]
    assert kinds(taken(hub.reader(hub.filter(), f"{EPOCH}-40")))[0] == "gap"


def test_a_listener_is_called_once_until_what_is_new_is_taken() -> None:
    hub, calls = a_hub(), list[int]()
    hub.listen(lambda: calls.append(hub.head))
    reader, market = hub.reader(hub.filter()), Market(hub)
    reader.take()

    market.run(5)
    assert calls == [1]
    reader.take()
    market.run(5)
    assert calls == [1, 6]
    hub.commit()
    hub.commit()
    market.run(1)
    assert calls == [1, 6, 11]
    hub.close()
    assert calls == [1, 6, 11, 11]


def test_a_listener_that_left_is_not_called() -> None:
    hub, calls = a_hub(), list[int]()
    stop = hub.listen(lambda: calls.append(hub.head))
    hub.publish(a_tick())
    hub.commit()
    stop()
    hub.publish(a_tick())

    assert calls == [1]


# -- what was published, and not yet encoded -------------------------------------------------------

BURSTS = (1, MOST_FRESH - 1, MOST_FRESH, MOST_FRESH + 1, 5 * MOST_FRESH + 7)


@pytest.mark.parametrize("count", BURSTS)
def test_the_log_is_given_whole_frames_up_to_the_head_at_the_commit_alone(count: int) -> None:
    log = Kept()
    hub = a_hub(log=log, history=10)  # it need not be at hand any more
    market = Market(hub)
    market.run(count)
    assert (log.times, hub.head) == (0, count), "half of a group may be published"

    hub.commit()
    hub.commit()
    assert (log.times, log.upto) == (1, count)
    assert log.numbers == [*range(1, count + 1)]
    market.run(count)
    hub.commit()
    assert (log.times, log.upto) == (2, 2 * count)
    assert log.numbers == [*range(1, 2 * count + 1)]


@pytest.mark.parametrize("count", BURSTS)
@pytest.mark.parametrize("after", [0, 41])
def test_what_is_at_hand_is_known_before_it_is_encoded(after: int, count: int) -> None:
    lazy, prompt = a_hub(history=100), a_hub(history=100)
    for hub in (lazy, prompt):
        hub.begin(after)
    reader, late = (hub.reader(hub.filter(), f"{EPOCH}-{after}") for hub in (lazy, prompt))
    for each in (reader, late):
        each.take()
    markets = Market(lazy), Market(prompt)
    for _ in range(count):
        for market in markets:
            market.run(1)
        prompt.commit()

        assert (lazy.head, lazy.oldest, lazy.published, lazy.id) == (
            prompt.head,
            prompt.oldest,
            prompt.published,
            prompt.id,
        )
        assert (reader.lag, reader.is_due) == (late.lag, late.is_due)
        assert (reader.is_overtaken, reader.is_level) == (late.is_overtaken, late.is_level)
    assert lazy.published == count
    assert reader.take() == late.take()


@pytest.fixture(params=BURSTS)
def burst(request: pytest.FixtureRequest) -> Hub:
    """Give a hub into which so many events were published in one go."""
    hub = a_hub(history=100)
    Market(hub).run(request.param)
    return hub


def test_who_resumes_after_a_burst_gets_what_is_at_hand(burst: Hub) -> None:
    since, at_hand = burst.oldest - 1, [*range(burst.oldest, burst.head + 1)]

    assert numbers(taken(burst.reader(burst.filter(), f"{EPOCH}-{since}"))) == at_hand


def test_who_resumes_before_what_a_burst_has_left_is_told_of_a_gap(burst: Hub) -> None:
    messages = taken(burst.reader(burst.filter(), f"{EPOCH}-{burst.oldest - 2}"))

    assert kinds(messages)[:2] == ["gap", "snapshot"]
    assert (burst.gaps, burst.replays) == (1, 0)


def test_who_comes_after_a_burst_begins_at_its_head(burst: Hub) -> None:
    head = burst.head

    greeting = burst.reader(burst.filter()).take()

    assert greeting.startswith(f"id: {EPOCH}-{head}\n".encode())


def test_a_batch_and_a_write_for_all_have_what_a_burst_has_left(burst: Hub) -> None:
    since, head = burst.oldest - 1, burst.head

    whole = burst.burst(burst.filter(), since)

    assert whole is not None
    assert (whole.upto, whole.events) == (head, head - since)
    assert numbers(EventDecoder().feed(whole.data)) == [*range(since + 1, head + 1)]
    assert burst.batch(burst.filter(), since).data == whole.data
    assert burst.burst(burst.filter(), since - 1) is None or since == 0


def test_a_batch_is_the_first_to_look_at_a_burst(burst: Hub) -> None:
    since, head = burst.oldest - 1, burst.head

    batch = burst.batch(burst.filter(), since)

    assert (batch.upto, batch.events) == (head, head - since)


def test_a_gap_is_the_first_to_look_at_a_burst(burst: Hub) -> None:
    head = burst.head

    told, upto = burst.gap("?", 0, burst.filter(), "slow")

    assert upto == head == burst.ring.head
    assert f'"to":"{EPOCH}-{head}","missed":{head},'.encode() in told


@given(seed=st.integers(0, 2**32 - 1), history=st.integers(1, 3000))
@settings(max_examples=40, deadline=None)
def test_facts_of_all_kinds_come_in_their_order_whoever_looks_in_between(
    seed: int, history: int
) -> None:
    rng, log = Random(seed), Kept()
    hub, facts = a_hub(history=history, log=log), list[Fact]()
    looks: list[Callable[[], object]] = [
        hub.commit,
        lambda: hub.reader(hub.filter()),
        lambda: hub.batch(hub.filter(), hub.head),
        lambda: hub.burst(hub.filter(), hub.head),
        lambda: hub.gap("?", 0, hub.filter(), "slow"),
    ]
    for _ in range(8):
        for _ in range(rng.choice([0, 1, 5, 500, MOST_FRESH, 2000])):
            facts.append(rng.choice([a_tick(), a_trade(), a_book(), a_source_state()]))
            hub.publish(facts[-1])
        rng.choice(looks)()
    hub.commit()

    frames = [
        frame(fact.kind, encode(fact), id=EventId(EPOCH, n)) for n, fact in enumerate(facts, 1)
    ]
    assert log.frames == b"".join(frames)
    assert hub.ring.wanted(hub.filter(kinds=KINDS), hub.oldest - 1, hub.head) == frames[-history:]


def wished(hub: Hub, rng: Random) -> Filter:
    subjects = rng.choice([None, ["BTC"], ["TCS", "META"]])
    return hub.filter(kinds=["tick"], subjects=subjects)


@given(seed=st.integers(0, 2**32 - 1), history=st.integers(2, 60))
@settings(max_examples=100, deadline=None)
def test_readers_that_drop_and_resume_get_each_event_once_or_a_gap(seed: int, history: int) -> None:
    rng, hub = Random(seed), a_hub(history=history)
    market, wishes, proof = Market(hub), wished(hub, rng), Proof()
    reader = hub.reader(wishes)
    for _ in range(60):
        market.run(rng.randint(0, history // 2 + 2), rng)
        if rng.random() < 0.3:
            reader = hub.reader(wishes, proof.last_id)
        for _ in range(rng.randint(0, 3)):
            for message in EventDecoder(proof.last_id).feed(reader.take()):
                proof.see(message.event, message.id, message.data)

    proof.check(market.numbers(wishes.subjects))
