import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.peers.load import Chunks, Load, LostError, Reader
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


def order(peer: Server, count: int) -> None:
    peer.order(1000, count, scheduled=False)
    peer.answer()


def test_every_reader_of_our_own_server_gets_every_event_once() -> None:
    server = Server(Peer("sandpit", python("ours"), {}))
    load = Load(server.port, 3)
    try:
        load.settle()
        load.begin()
        order(server, 5)
        load.measure_frames(5)
        load.begin()
        server.order(2000, 400, scheduled=True)
        outcome = load.run(400, 10, rest_s=0, sample_of=1)
    finally:
        load.close()
        server.close()

    assert outcome.complete
    assert 0 < outcome.latency_ms(0.5) < 10_000


def test_a_hole_in_the_numbers_is_noticed() -> None:
    server = Server(Peer("sandpit", python("ours"), {}))
    try:
        reader = Reader(server.port, looks=True)
        head = bytearray(b"HTTP/1.1 200 OK\r\n\r\n")
        reader.take(head, len(head))
        first, third = bytearray(b'{"seq":1}\n\n'), bytearray(b'{"seq":3}\n\n')
        reader.take(first, len(first))
        with pytest.raises(LostError):
            reader.take(third, len(third))
        reader.socket.close()
    finally:
        server.close()
