import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fanout import fairness_ms
from benchmarks.peers.load import Load, Outcome
from benchmarks.peers.reader import Buffer, Chunks, LostError, Reader
from benchmarks.peers.server import Peer, Server, python


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


@given(
    parts=st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6),
    cuts=st.lists(st.integers(1, 9), min_size=1, max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_the_payload_of_chunks_is_found_however_they_are_cut(
    parts: list[bytes], cuts: list[int]
) -> None:
    body, chunks, found, turn = bytearray(chunked(*parts)), Chunks(), b"", 0
    while body:
        size = cuts[turn % len(cuts)]
        piece, body, turn = body[:size], body[size:], turn + 1
        for start, end in chunks.pieces(piece, 0, len(piece)):
            found += piece[start:end]

    assert found == b"".join(parts)


def test_the_end_of_a_stream_is_a_loss() -> None:
    end = bytearray(b"0\r\n\r\n")

    with pytest.raises(LostError):
        Chunks().pieces(end, 0, len(end))


@contextmanager
def a_reader(*, looks: bool) -> Iterator[tuple[Reader, Buffer]]:
    near, far = socket.socketpair()
    with near, far:
        reader = Reader(near, looks=looks)
        take(reader, Buffer(), b"HTTP/1.1 200 OK\r\n\r\n")
        yield reader, Buffer()


def take(reader: Reader, buffer: Buffer, data: bytes) -> None:
    buffer.data[: len(data)] = data
    reader.take(buffer, len(data))


@contextmanager
def our_server() -> Iterator[Server]:
    server = Server(Peer("sandpit", python("ours"), {}))
    try:
        yield server
    finally:
        server.close()


def what_was_seen(server: Server, load: Load, events: int, rest_s: float = 0.0) -> Outcome:
    try:
        load.settle()
        load.begin()
        server.order(3000, events, scheduled=True)
        return load.run(events, 10, sample_of=1, rest_s=rest_s)
    finally:
        load.close()


@pytest.mark.parametrize("rest_s", [0.0, 0.01])
def test_every_reader_of_our_own_server_gets_every_event_once(rest_s: float) -> None:
    with our_server() as server:
        outcome = what_was_seen(server, Load(server.port, 3), 600, rest_s)

    assert outcome.complete
    assert 0 < outcome.latency_ms(0.5) < 10_000


def test_readers_with_filters_that_resume_in_the_middle_get_every_event_once() -> None:
    guests = {"?symbols=BTC": 3, "?events=tick": 1}
    with our_server() as server:
        load = Load(server.port, 1, guests=guests, metrics="/metrics")
        outcome = what_was_seen(server, load, 600)

    assert outcome.complete
    assert [guest.events for guest in load.guests] == [200, 600]
    assert all(guest.last_id for guest in load.guests)


def test_events_that_never_come_end_the_wait_and_are_told() -> None:
    with our_server() as server:
        load = Load(server.port, 2)
        load.settle()
        load.begin()
        server.order(3000, 5, scheduled=True)
        outcome = load.run(6, 0.3, sample_of=1)
        load.close()

    assert not outcome.complete


def test_metrics_that_cannot_be_scraped_are_told() -> None:
    with our_server() as server, pytest.raises(LostError, match="no metrics"):
        what_was_seen(server, Load(server.port, 1, metrics="/nowhere"), 600)


def test_a_hole_in_the_numbers_is_noticed() -> None:
    with a_reader(looks=True) as (reader, buffer):
        reader.aim(4, 1)
        take(reader, buffer, b'{"seq":1000000001}\n\n{"seq":1000000002}\n\n')

        with pytest.raises(LostError, match="after 1000000003 came 1000000005"):
            take(reader, buffer, b'{"seq":1000000003}\n\n{"seq":1000000005}\n\n')


def test_what_is_no_numbered_event_is_a_loss() -> None:
    with a_reader(looks=True) as (reader, buffer):
        reader.aim(2, 1)
        take(reader, buffer, b'{"seq":1000000001}\n\n')

        with pytest.raises(LostError):
            take(reader, buffer, b'event: gap\ndata: {"missed":7,"reason":"slow"}\n\n')


@given(cuts=st.lists(st.integers(1, 30), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_events_are_counted_and_numbered_however_they_are_cut(cuts: list[int]) -> None:
    sent = b"".join(b'id: x-%d\ndata: {"seq":%d}\n\n' % (n, n) for n in range(7, 30))
    with a_reader(looks=False) as (reader, buffer):
        turn = 0
        while sent:
            size = cuts[turn % len(cuts)]
            take(reader, buffer, sent[:size])
            sent, turn = sent[size:], turn + 1

        assert (reader.events, reader.first, reader.last) == (23, 7, 29)


@given(step=st.integers(1, 50), marks=st.integers(1, 40), expected=st.integers(1, 200))
def test_the_last_mark_is_the_goal_whatever_the_reads(step: int, marks: int, expected: int) -> None:
    passed = list[int]()
    with a_reader(looks=False) as (reader, _):
        reader.aim(expected, marks)
        while reader.events < expected:
            reader.events = min(expected, reader.events + step)
            if reader.events >= reader.goal:
                passed += reader.pass_marks()

    assert passed[-1] == expected
    assert passed == sorted(set(passed))


def test_a_server_that_refuses_is_told() -> None:
    near, far = socket.socketpair()
    with near, far, pytest.raises(LostError, match="503"):
        take(Reader(near), Buffer(), b"HTTP/1.1 503 Service Unavailable\r\n\r\n")


def test_where_nothing_was_sustained_nobody_is_fair() -> None:
    assert fairness_ms(Peer("none", ("false",), {}), 0.0, 1.0) == float("inf")
