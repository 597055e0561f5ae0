"""Are the ports free that the processes will listen on?"""

import errno
import socket
from collections import defaultdict
from collections.abc import Iterable, Iterator

from supervision.programs import Port, Program


def conflicts(programs: Iterable[Program]) -> list[str]:
    """Return a sentence for each port that cannot be had, naming the setting that changes it."""
    wanted: dict[tuple[str, int], list[tuple[str, Port]]] = defaultdict(list)
    for program in programs:
        if program.port is not None:
            wanted[program.port.host, program.port.number].append((program.name, program.port))
    return [problem for users in wanted.values() for problem in _problems(users)]


def _problems(users: list[tuple[str, Port]]) -> Iterator[str]:
    name, port = users[0]
    for other, same in users[1:]:
        yield (
            f"Port {port.number} is wanted by {name} ({port.setting}) and by {other} "
            f"({same.setting}): set one of the two in .env to another port."
        )
    if error := _refusal(port):
        if error.errno == errno.EADDRINUSE:
            yield (
                f"Port {port.number} of {port.host} is taken by another program, and {name} needs "
                f"it: set {port.setting} in .env to a free port, or end that program."
            )
        else:
            yield (
                f"{name} cannot listen on {port.host} port {port.number} ({error.strerror}): "
                f"see HOST and {port.setting} in .env."
            )


def _refusal(port: Port) -> OSError | None:
    family = socket.AF_INET6 if ":" in port.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as our servers do
        try:
            probe.bind((port.host, port.number))
            probe.listen(1)
        except OSError as error:
            return error
    return None
