"""What a held port promises; the tests that restart servers stand on it."""

import socket

import pytest

from tests.ports import held_port, held_ports


def test_nobody_is_there_until_somebody_listens_and_then_again_nobody() -> None:
    with held_port() as port:
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
            with socket.create_server(("127.0.0.1", port)) as server:
                client = socket.create_connection(("127.0.0.1", port))
                served, _ = server.accept()
                served.close()  # the server ends first: the port is in TIME_WAIT
                client.close()


def test_two_servers_cannot_have_it_at_once() -> None:
    with (
        held_port() as port,
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(OSError, match="in use"),
    ):
        socket.create_server(("127.0.0.1", port))


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_whoever_asks_for_any_port_gets_another(host: str) -> None:
    with held_ports(8) as ports:
        for _ in range(2_000):
            with socket.create_server((host, 0)) as server:
                assert server.getsockname()[1] not in ports


def test_ports_held_at_once_are_different() -> None:
    with held_ports(50) as ports:
        assert len(set(ports)) == 50
