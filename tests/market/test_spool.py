"""Bytes lent to many sockets: they are what was sent, whatever happens before they are read."""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from market.spool import KEPT_BYTES, LENT_BYTES, Spool


@pytest.fixture
def lines() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Give three connections of TCP, each with its two ends."""
    with ExitStack() as held:
        listener = held.enter_context(socket.create_server(("127.0.0.1", 0)))
        ends: list[tuple[socket.socket, socket.socket]] = []
        for _ in range(3):
            near = held.enter_context(socket.create_connection(listener.getsockname()))
            far = held.enter_context(listener.accept()[0])
            far.setblocking(False)
            near.settimeout(30)
            ends.append((near, far))
        yield ends


def received(near: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += near.recv(count - len(data))
    return data


def frames(letter: bytes) -> bytes:
    return letter * LENT_BYTES.start


def test_the_first_takes_none_and_the_others_take_the_same_bytes(
    lines: list[tuple[socket.socket, socket.socket]],
) -> None:
    data = frames(b"a")
    with closing(Spool()) as spool:
        taken = [spool.send(data, far.fileno()) for _, far in lines]

        assert taken == [0, len(data), len(data)]
        assert [received(near, len(data)) for near, _ in lines[1:]] == [data, data]


def test_what_is_on_its_way_stays_as_it_was_though_its_place_is_given_to_others(
    lines: list[tuple[socket.socket, socket.socket]],
) -> None:
    _, (slow, to_slow), (quick, to_quick) = lines
    late = frames(b"a")
    with closing(Spool()) as spool:
        spool.send(late, -1)
        assert spool.send(late, to_slow.fileno()) == len(late)
        for n in range(4 * KEPT_BYTES // LENT_BYTES.start):
            spool.turn()
            other = frames(b"%c" % (ord("b") + n % 20))
            spool.send(other, -1)
            assert spool.send(other, to_quick.fileno()) == len(other)
            assert received(quick, len(other)) == other

    assert received(slow, len(late)) == late


def test_a_turn_keeps_so_much_and_the_next_one_as_much_again(
    lines: list[tuple[socket.socket, socket.socket]],
) -> None:
    (near, far), *_ = lines
    half = [bytes([n]) * (KEPT_BYTES // 2) for n in range(3)]
    with closing(Spool()) as spool:
        for _ in range(2):
            spool.turn()
            for data in half:
                spool.send(data, -1)
            taken = [spool.send(data, -1 if n < 2 else far.fileno()) for n, data in enumerate(half)]
            assert taken == [0, 0, 0]

        spool.turn()
        spool.send(half[2], -1)
        sent = spool.send(half[2], far.fileno())
        assert received(near, sent) == half[2][:sent] != b""


def test_once_there_are_files_to_be_had_again_bytes_are_lent_again(
    lines: list[tuple[socket.socket, socket.socket]],
) -> None:
    (near, far), *_ = lines
    data = frames(b"a")
    with closing(Spool()) as spool:
        with no_more_files():
            for _ in range(2 * KEPT_BYTES // len(data)):
                spool.turn()
                assert [spool.send(data, far.fileno()) for _ in range(2)] == [0, 0]
        spool.turn()
        assert [spool.send(data, far.fileno()) for _ in range(2)] == [0, len(data)]
        assert received(near, len(data)) == data


@contextmanager
def no_more_files() -> Iterator[None]:
    """Let this process open nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_client_that_is_gone_takes_none() -> None:
    data = frames(b"a")
    with closing(Spool()) as spool:
        assert [spool.send(data, -1) for _ in range(3)] == [0, 0, 0]


def test_a_spool_that_is_closed_has_no_file_and_opens_another(
    lines: list[tuple[socket.socket, socket.socket]],
) -> None:
    (_, far), *_ = lines
    data = frames(b"a")
    spool = Spool()
    before = open_files()
    for _ in range(2):
        spool.send(data, -1)
        assert spool.send(data, far.fileno()) == len(data)
        assert open_files() == before + 1
        spool.close()
        assert open_files() == before


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
