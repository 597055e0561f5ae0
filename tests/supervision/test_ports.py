import socket
from collections.abc import Iterator

import pytest

from supervision.ports import conflicts
from supervision.programs import Port, Program


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


def _a_program(name: str, number: int, *, host: str = "127.0.0.1") -> Program:
    setting = f"{name.upper()}_PORT"
    return Program(name=name, command=(), port=Port(host=host, number=number, setting=setting))


def test_a_taken_port_is_named_with_its_process_and_its_setting(listener: socket.socket) -> None:
    number = listener.getsockname()[1]
    (problem,) = conflicts([_a_program("exchange", number)])
    assert f"Port {number} of 127.0.0.1 is taken" in problem
    assert "exchange" in problem
    assert "EXCHANGE_PORT" in problem


def test_a_port_that_was_just_given_back_is_free(port: int) -> None:
    address = ("127.0.0.1", port)
    with socket.create_server(address) as listener, socket.create_connection(address):
        served, _ = listener.accept()
        served.close()  # the server ends first: the port is in TIME_WAIT
    assert conflicts([_a_program("exchange", port)]) == []


def test_two_processes_on_one_port_are_both_named(port: int) -> None:
    (problem,) = conflicts([_a_program("exchange", port), _a_program("risk", port)])
    assert "EXCHANGE_PORT" in problem
    assert "RISK_PORT" in problem


def test_an_address_that_is_not_ours_is_said_to_be_the_host() -> None:
    (problem,) = conflicts([_a_program("exchange", 8080, host="192.0.2.1")])
    assert "HOST" in problem


def test_a_process_without_a_port_is_no_problem() -> None:
    assert conflicts([Program(name="bot", command=())]) == []
