"""The ring against a plain list of all that was ever put in."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.filter import Filter
from market.ring import Ring, Topic

TOPICS = [("tick", "BTC"), ("tick", "TCS"), ("trade", "BTC"), ("book", "META")]
FILTERS = [
    Filter(frozenset({"tick", "trade", "book"})),
    Filter(frozenset({"tick"})),
    Filter(frozenset({"tick", "trade"}), frozenset({"BTC"})),
    Filter(frozenset({"candle"})),
]
BURSTS = st.lists(st.lists(st.sampled_from(TOPICS), max_size=60), max_size=12)


@dataclass(slots=True)
class Past:
    """All events, from number ``after`` + 1 on."""

    after: int = 0
    events: list[tuple[Topic, bytes]] = field(default_factory=list)

    @property
    def head(self) -> int:
        return self.after + len(self.events)

    def extend(self, ring: Ring, topics: list[Topic]) -> None:
        """Put down the same events here and in a ring."""
        frames = [b"%d" % (self.head + n) for n in range(1, len(topics) + 1)]
        self.events += zip(topics, frames, strict=True)
        ring.extend(topics, frames)

    def between(self, after: int, upto: int) -> list[tuple[Topic, bytes]]:
        return self.events[after - self.after : upto - self.after]


def oldest(past: Past, size: int) -> int:
    return max(past.after, past.head - size) + 1


@given(size=st.integers(1, 50), after=st.integers(0, 120), bursts=BURSTS)
@settings(max_examples=150, deadline=None)
def test_what_is_at_hand_is_the_newest_in_order_however_it_came(
    size: int, after: int, bursts: list[list[Topic]]
) -> None:
    ring, past = Ring(size), Past(after)
    ring.begin(after)
    for burst in bursts:
        past.extend(ring, burst)

        assert ring.head == past.head
        assert ring.oldest == oldest(past, size)
        for n in range(ring.oldest, ring.head + 1):
            at_hand = (ring.topics[n % size], ring.frames[n % size])
            assert [at_hand] == past.between(n - 1, n)


@given(
    size=st.integers(1, 50),
    bursts=BURSTS,
    wishes=st.sampled_from(FILTERS),
    cut=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
@settings(max_examples=300, deadline=None)
def test_between_two_places_lies_what_a_filter_wants(
    size: int, bursts: list[list[Topic]], wishes: Filter, cut: tuple[float, float]
) -> None:
    ring, past = Ring(size), Past()
    for burst in bursts:
        past.extend(ring, burst)
    first = ring.oldest - 1
    after, upto = sorted(first + round(part * (ring.head - first)) for part in cut)

    lies_there = past.between(after, upto)

    wanted = [frame for topic, frame in lies_there if wishes.wants(topic)]
    assert ring.wanted(wishes, after, upto) == wanted
    assert ring.about(after, upto) == {topic for topic, _ in lies_there}


@pytest.mark.parametrize("count", [7, 8, 9, 16, 17, 1000])
def test_more_at_once_than_it_keeps_leaves_the_newest(count: int) -> None:
    ring, past = Ring(8), Past()
    past.extend(ring, TOPICS[:3])
    past.extend(ring, TOPICS[:1] * count)

    assert (ring.head, ring.oldest) == (count + 3, count + 3 - 7)
    newest = [b"%d" % n for n in range(ring.oldest, ring.head + 1)]
    assert ring.wanted(FILTERS[0], ring.oldest - 1, ring.head) == newest
    assert (len(ring.frames), len(ring.topics)) == (8, 8)


def test_nothing_at_once_changes_nothing() -> None:
    ring = Ring(8)
    ring.extend([], [])

    assert (ring.head, ring.oldest, ring.wanted(FILTERS[0], 0, 0)) == (0, 1, [])


def test_a_ring_that_begins_at_a_number_has_no_event_at_hand() -> None:
    ring = Ring(8)
    ring.begin(41)

    assert (ring.head, ring.oldest) == (41, 42)
    assert ring.wanted(FILTERS[0], 41, 41) == []
