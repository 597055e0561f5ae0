"""Bytes lent to many sockets: each reader gets what its filter wants, once and in order."""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from select import select
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.batch import Batches
from market.filter import Filter
from market.ring import Ring, Topic
from market.spool import (
    KEPT_BYTES,
    MOST_ADDED,
    MOST_FILTERS,
    MOST_REELS,
    MOST_SKIPPED,
    PIECE_EVENTS,
    REEL_BYTES,
    Lent,
    Spool,
)

TICK: Final = ("tick", "BTC")
TOPICS: Final = (TICK, ("tick", "TCS"), ("trade", "BTC"))
PATIENCE_S: Final = 30


def a_filter(kind: str = "tick", subject: str | None = None) -> Filter:
    return Filter(frozenset({kind}), None if subject is None else frozenset({subject}))


class Line:
    """A connection, of which ``near`` is the client's end."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.near, self.far, self.fd = near, far, far.fileno()
        for end in (near, far):
            end.setblocking(False)

    def received(self, count: int) -> bytes:
        """Return the next so many bytes that come to the client."""
        data = bytearray()
        while len(data) < count:
            assert select([self.near], [], [], PATIENCE_S)[0], "nothing comes"
            data += self.take(count - len(data))
        return bytes(data)

    def take(self, most: int) -> bytes:
        """Return what is there for the client, as far as it goes."""
        try:
            return self.near.recv(most)
        except BlockingIOError:
            return b""


class Lines(ExitStack):
    """Connections that are closed together."""

    def __init__(self) -> None:
        super().__init__()
        self._listener = self.enter_context(socket.create_server(("127.0.0.1", 0)))

    def line(self) -> Line:
        """Open one of TCP, that takes much at once."""
        near = self.enter_context(socket.create_connection(self._listener.getsockname()))
        return Line(near, self.enter_context(self._listener.accept()[0]))

    def narrow_line(self) -> Line:
        """Open one that takes little at once: without TCP, whose windows would open late."""
        near, far = map(self.enter_context, socket.socketpair())
        far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        return Line(near, far)


@pytest.fixture
def lines() -> Iterator[Lines]:
    with Lines() as held:
        yield held


class Past:
    """All that was ever put into a ring."""

    def __init__(self, size: int = 10_000, frame_bytes: int = 20) -> None:
        self.ring, self.frame_bytes = Ring(size), frame_bytes
        self.events: list[tuple[Topic, bytes]] = []

    def publish(self, count: int, rng: Random | None = None) -> None:
        topics: list[Topic] = rng.choices(TOPICS, k=count) if rng else [TICK] * count
        first = self.ring.head + 1
        frames = [b"%d".ljust(self.frame_bytes, b".") % (first + n) for n in range(count)]
        self.events += zip(topics, frames, strict=True)
        self.ring.extend(topics, frames)

    def wanted(self, wishes: Filter, after: int, upto: int) -> list[bytes]:
        return [frame for topic, frame in self.events[after:upto] if wishes.wants(topic)]


def dechunked(body: bytes) -> bytes:
    """Return what the chunks of a body hold; fail when they are not whole ones."""
    data, at = bytearray(), 0
    while at < len(body):
        end = body.index(b"\r\n", at)
        begin, size = end + 2, int(body[at:end], 16)
        assert size, "a chunk of nothing would end the body"
        data += body[begin : begin + size]
        assert body[begin + size : begin + size + 2] == b"\r\n"
        at = begin + size + 2
    return bytes(data)


@dataclass(slots=True)
class Reader:
    """Who reads through a line, as a server would have it: a place, and what is yet to be sent."""

    past: Past
    wishes: Filter
    line: Line
    place: int
    lent: list[Lent] = field(default_factory=list)
    due: list[bytes] = field(default_factory=list)
    got: bytearray = field(default_factory=bytearray)
    backlog: bytes = b""
    written: int = 0

    def ask(self, spool: Spool, batches: Batches) -> None:
        """Be sent what follows, out of the spool or else a batch, unless the line is full."""
        self._ease()
        ring = self.past.ring
        if self.backlog or self.place == ring.head:
            return
        if self.place + 1 < ring.oldest:
            self.place = ring.oldest - 1
        lent = spool.send(self.wishes, self.place, self.line.fd)
        if lent is None:
            batch = batches.after(self.wishes, self.place)
            chunk = batch.chunk if batch.data else b""
            self._go_on(batch.upto, batch.events, chunk, len(chunk))
        else:
            self.lent.append(lent)
            self._go_on(lent.upto, lent.events, lent.rest, lent.sent + len(lent.rest))

    def read(self, most: int) -> None:
        self.got += self.line.take(most)

    def read_all(self) -> None:
        """Read until all that was written to it is there."""
        while len(self.got) < self.written:
            self._ease()
            self.got += self.line.received(1) + self.line.take(2**20)

    def _go_on(self, upto: int, events: int, rest: bytes, size: int) -> None:
        due = self.past.wanted(self.wishes, self.place, upto)
        assert self.place < upto <= self.past.ring.head
        assert events == len(due)
        assert size >= sum(map(len, due))
        self.due += due
        self.place, self.backlog, self.written = upto, rest, self.written + size
        self._ease()

    def _ease(self) -> None:
        while self.backlog:
            try:
                self.backlog = self.backlog[self.line.far.send(self.backlog) :]
            except BlockingIOError:
                return


def reels() -> list[int]:
    """Return the bytes in each file of frames in memory that this process has open."""
    found = list[int]()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the listing's own
            if str(entry.readlink()).startswith("/memfd:frames"):
                found.append(entry.stat().st_blocks * 512)
    return found


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


# -- against all that was ever published -----------------------------------------------------------


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([70, 600, 5000]),
    frame_bytes=st.sampled_from([12, 200, 3000, 24_000]),
)
@settings(max_examples=40, deadline=None)
def test_each_reader_gets_what_its_filter_wants_once_and_in_order_whatever_is_let_go(
    seed: int, size: int, frame_bytes: int
) -> None:
    rng, past = Random(seed), Past(size, frame_bytes)
    batches = Batches(past.ring, "tick")
    filters = [a_filter(), a_filter("tick", "TCS"), a_filter("trade"), a_filter("book")]
    with Lines() as lines, closing(Spool(past.ring)) as spool:
        past.publish(rng.randint(0, 2 * size), rng)
        readers = [
            Reader(
                past,
                rng.choice(filters),
                rng.choice([lines.line, lines.narrow_line])(),
                rng.randint(past.ring.oldest - 1, past.ring.head),
            )
            for _ in range(8)
        ]
        for _ in range(30):
            past.publish(rng.choice([1, 30, 63, 64, 65, 200, min(3000, 10**6 // frame_bytes)]), rng)
            for reader in rng.sample(readers, rng.randint(1, 8)):
                reader.ask(spool, batches)
                reader.read(rng.choice([0, 1, 1000, 2**20]))
            if rng.random() < 0.03:
                spool.close()
        for reader in readers:
            reader.read_all()

    assert [dechunked(bytes(reader.got)) for reader in readers] == [
        b"".join(r.due) for r in readers
    ]
    assert any(reader.lent for reader in readers)


def test_a_reader_whose_place_is_not_at_hand_is_there_again_after_a_batch(lines: Lines) -> None:
    past, wishes = Past(), a_filter()
    batches = Batches(past.ring, "tick")
    first, other = lines.line(), lines.line()
    with closing(Spool(past.ring)) as spool:
        past.publish(200)
        assert spool.send(wishes, 0, first.fd) is not None
        past.publish(100)
        assert spool.send(wishes, 200, first.fd) is not None

        assert spool.send(wishes, 250, other.fd) is None
        assert batches.after(wishes, 250).upto == 300
        past.publish(100)
        for line in (other, first):
            lent = spool.send(wishes, 300, line.fd)
            assert lent is not None
            assert (lent.upto, lent.events) == (400, 100)


@pytest.mark.parametrize("place", [1, 63, 65, 100, 199, 201])
def test_a_place_in_the_middle_of_a_piece_is_not_at_hand(place: int, lines: Lines) -> None:
    past, wishes, line = Past(), a_filter(), lines.line()
    with closing(Spool(past.ring)) as spool:
        past.publish(200)
        spool.send(wishes, 0, line.fd)
        past.publish(60)
        spool.send(wishes, 200, line.fd)

        assert spool.send(wishes, place, lines.line().fd) is None


@pytest.mark.parametrize("place", [0, 64, 128, 192, 200, 256])
def test_a_piece_ends_at_each_multiple_and_where_its_readers_stood(
    place: int, lines: Lines
) -> None:
    past, wishes, line = Past(), a_filter(), lines.line()
    with closing(Spool(past.ring)) as spool:
        past.publish(200)
        spool.send(wishes, 0, line.fd)
        past.publish(60)
        spool.send(wishes, 200, line.fd)

        late = lines.line()
        lent = spool.send(wishes, place, late.fd)
        assert lent is not None
        assert (lent.upto, lent.rest) == (260, b"")
        told = dechunked(late.received(lent.sent))
        assert told == b"".join(past.wanted(wishes, place, 260))


@pytest.mark.parametrize("place", [150, 140, 192])
def test_who_stands_ahead_of_what_is_put_down_is_lent_it_too(place: int, lines: Lines) -> None:
    past, wishes, line, ahead = Past(), a_filter(), lines.line(), lines.line()
    with closing(Spool(past.ring)) as spool:
        past.publish(100)
        spool.send(wishes, 0, line.fd)
        past.publish(200)

        lent = spool.send(wishes, place, ahead.fd)
        assert lent is not None
        assert (lent.upto, lent.events) == (300, 300 - place)
        told = dechunked(ahead.received(lent.sent))
        assert told == b"".join(past.wanted(wishes, place, 300))
        for _ in range(2):
            behind = spool.send(wishes, 100, line.fd)
            assert behind is not None
            assert (behind.upto, behind.events) == (300, 200)


@pytest.mark.parametrize("skipped", [MOST_SKIPPED, MOST_SKIPPED + 1, 9_900])
def test_after_much_that_nobody_asked_for_it_begins_anew(skipped: int, lines: Lines) -> None:
    past, wishes, line = Past(), a_filter(), lines.line()
    with closing(Spool(past.ring)) as spool:
        past.publish(100)
        spool.send(wishes, 0, line.fd)
        past.publish(skipped + 100)

        late = lines.line()
        lent = spool.send(wishes, 100 + skipped, late.fd)
        assert lent is not None
        told = dechunked(late.received(lent.sent) + lent.rest)
        assert told == b"".join(past.wanted(wishes, 100 + skipped, 200 + skipped))
        goes_on = spool.send(wishes, 100, lines.line().fd)
        assert (goes_on is not None) == (skipped == MOST_SKIPPED)


def test_what_the_ring_has_gone_over_is_never_put_down(lines: Lines) -> None:
    past, wishes, line = Past(size=500), a_filter(), lines.line()
    with closing(Spool(past.ring)) as spool:
        past.publish(100)
        spool.send(wishes, 0, line.fd)
        past.publish(600)

        late = lines.line()
        lent = spool.send(wishes, 300, late.fd)
        assert lent is not None
        told = dechunked(late.received(lent.sent))
        assert told == b"".join(past.wanted(wishes, 300, 700))
        assert spool.send(wishes, 100, line.fd) is None


def test_who_wants_nothing_of_it_goes_on_all_the_same(lines: Lines) -> None:
    past, wishes = Past(), a_filter("trade")
    with closing(Spool(past.ring)) as spool:
        past.publish(200)
        assert spool.send(wishes, 0, lines.line().fd) == Lent(0, 200, 0, b"")


def test_so_many_events_are_put_down_at_once_and_the_others_by_who_comes_next(
    lines: Lines,
) -> None:
    past, wishes = Past(size=40_000), a_filter()
    with closing(Spool(past.ring)) as spool:
        past.publish(MOST_ADDED + 100)
        places = [lent.upto if (lent := spool.send(wishes, MOST_ADDED, lines.line().fd)) else 0]
        spool.close()
        spool.send(wishes, 0, lines.line().fd)
        places += [reel.upto for reel in spool._reels[wishes]]
        spool.send(wishes, 0, lines.line().fd)
        places += [reel.upto for reel in spool._reels[wishes]]

    assert places == [MOST_ADDED + 100, MOST_ADDED, MOST_ADDED + 100]


# -- how much a socket takes -----------------------------------------------------------------------


@pytest.mark.parametrize("narrow", [True, False])
def test_a_socket_that_is_full_is_left_the_rest_of_a_piece(narrow: bool, lines: Lines) -> None:
    past, wishes = Past(size=10_000, frame_bytes=1000), a_filter()
    line = lines.narrow_line() if narrow else lines.line()
    with closing(Spool(past.ring)) as spool:
        past.publish(10_000)
        first = spool.send(wishes, 0, line.fd)
        assert first is not None
        assert 0 < first.upto < 10_000
        assert first.upto % PIECE_EVENTS == 0
        assert first.rest
        second = spool.send(wishes, first.upto, line.fd)
        assert second is not None
        assert (second.sent, second.events) == (0, PIECE_EVENTS)

        told = dechunked(line.received(first.sent) + first.rest + second.rest)
        assert told == b"".join(past.wanted(wishes, 0, first.upto + PIECE_EVENTS))


def test_a_client_that_is_gone_takes_nothing_and_who_writes_the_rest_is_told_so(
    lines: Lines,
) -> None:
    past, wishes, line = Past(), a_filter(), lines.line()
    with closing(Spool(past.ring)) as spool:
        past.publish(200)
        line.near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        line.near.close()  # with a reset
        lent = spool.send(wishes, 0, line.fd)

    assert lent is not None
    assert (lent.sent, lent.upto) == (0, PIECE_EVENTS)
    with pytest.raises(ConnectionError):
        line.far.send(lent.rest)


def test_what_is_on_its_way_stays_as_it_was_though_its_file_is_let_go(lines: Lines) -> None:
    past, wishes = Past(size=3000, frame_bytes=1000), a_filter()
    slow, quick, place, before = lines.line(), lines.line(), 0, open_files()
    with closing(Spool(past.ring)) as spool:
        past.publish(200)
        late = spool.send(wishes, 0, slow.fd)
        assert late is not None
        assert late.sent > 60_000
        for _ in range(2 * KEPT_BYTES // (1000 * 1000)):
            past.publish(1000)
            while place < past.ring.head:
                lent = spool.send(wishes, place, quick.fd)
                assert lent is not None
                quick.received(lent.sent)
                place = lent.upto
        assert spool.send(wishes, 0, quick.fd) is None, "it is let go"

    assert open_files() == before
    told = dechunked(slow.received(late.sent) + late.rest)
    assert told == b"".join(past.wanted(wishes, 0, late.upto))


# -- what it holds ---------------------------------------------------------------------------------


def test_so_many_filters_have_files_and_one_that_is_gone_makes_room(lines: Lines) -> None:
    past, line = Past(), lines.line()
    filters, before = [a_filter() for _ in range(MOST_FILTERS + 1)], open_files()
    with closing(Spool(past.ring)) as spool:
        past.publish(100)
        taken = [spool.send(wishes, 0, line.fd) for wishes in filters]
        assert [lent is not None for lent in taken] == [True] * MOST_FILTERS + [False]
        assert open_files() - before == MOST_FILTERS

        last = filters.pop()
        del filters[3]
        assert spool.send(last, 0, line.fd) is not None
        assert spool.send(a_filter(), 0, line.fd) is None


@pytest.mark.parametrize("filters", [1, MOST_FILTERS])
def test_what_it_holds_is_bounded_whatever_is_published(filters: int, lines: Lines) -> None:
    past, line = Past(size=3000, frame_bytes=1000), lines.line()
    readers = [a_filter() for _ in range(filters)]
    before, other, held = open_files(), sum(reels()), list[int]()
    with closing(Spool(past.ring)) as spool:
        for _ in range(3 * KEPT_BYTES // (700 * 1000) // filters):
            past.publish(700)
            for wishes in readers:
                spool.send(wishes, past.ring.head - 700, line.fd)
                held.append(sum(reels()) - other)
            assert open_files() - before <= MOST_REELS

    one_more = 800 * 1000
    assert KEPT_BYTES - REEL_BYTES - one_more < max(held) <= KEPT_BYTES + one_more
    assert open_files() == before


@pytest.mark.parametrize("kind", ["tick", "trade"])
def test_files_with_little_in_them_are_few(kind: str, lines: Lines) -> None:
    past, wishes, line = Past(), a_filter(kind), lines.line()
    before = open_files()
    with closing(Spool(past.ring)) as spool:
        for _ in range(5 * MOST_REELS):  # now and then a burst, and much in between one by one
            past.publish(MOST_SKIPPED + 101)
            assert spool.send(wishes, past.ring.head - 100, line.fd) is not None
            line.take(2**20)

            assert open_files() - before <= MOST_REELS


def test_a_spool_that_is_closed_has_no_file_and_opens_another(lines: Lines) -> None:
    past, wishes, line = Past(), a_filter(), lines.line()
    spool, before = Spool(past.ring), open_files()
    past.publish(100)
    for _ in range(3):
        lent = spool.send(wishes, 0, line.fd)
        assert lent is not None
        assert (lent.upto, lent.events) == (100, 100)
        assert open_files() == before + 1
        spool.close()
        assert open_files() == before


# -- when there is no room -------------------------------------------------------------------------


@contextmanager
def limited(what: int, most: int) -> Iterator[None]:
    """Let this process have so much of something, and no more."""
    soft, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(what, (soft, hard))


def test_while_no_file_is_to_be_had_nothing_is_lent_and_nothing_lost(lines: Lines) -> None:
    past, wishes, line = Past(), a_filter(), lines.line()
    before = open_files()
    with closing(Spool(past.ring)) as spool:
        past.publish(300)
        with limited(resource.RLIMIT_NOFILE, 3):
            assert [spool.send(wishes, 0, line.fd) for _ in range(3)] == [None] * 3
        assert open_files() == before
        assert line.take(1) == b""

        lent = spool.send(wishes, 0, line.fd)
        assert lent is not None
        assert lent.upto == 300
        assert dechunked(line.received(lent.sent)) == b"".join(past.wanted(wishes, 0, 300))


@pytest.mark.parametrize("most", [0, 5000], ids=["nothing is written", "it is cut off"])
@pytest.mark.parametrize("known", [0, 200])
def test_while_there_is_no_memory_nothing_is_lent_and_nothing_lost(
    known: int, most: int, lines: Lines
) -> None:
    past, wishes, line = Past(), a_filter(), lines.line()
    before = open_files()
    with closing(Spool(past.ring)) as spool:
        past.publish(known)
        if known:
            begun = spool.send(wishes, 0, line.fd)
            assert begun is not None
            line.received(begun.sent)
        for _ in range(2 * MOST_REELS):
            past.publish(300)
            with limited(resource.RLIMIT_FSIZE, most):
                assert spool.send(wishes, past.ring.head - 300, line.fd) is None
            assert open_files() <= before + MOST_REELS
        assert line.take(1) == b""

        place = past.ring.head - 300
        lent = spool.send(wishes, place, line.fd)
        assert lent is not None
        assert lent.upto == past.ring.head
        told = dechunked(line.received(lent.sent))
        assert told == b"".join(past.wanted(wishes, place, lent.upto))
        again = spool.send(wishes, place, lines.line().fd)
        assert again == lent
