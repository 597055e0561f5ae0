"""Ports that a test may count on for as long as it holds them, with a server there or without.

A port that was found free and let go belongs to whoever asks the kernel next: to another server on
port 0, or to an outgoing connection. Held it is by a socket that is bound there and does not
listen. The kernel then gives the port to nobody by itself, a connection to it is refused, and a
server that sets SO_REUSEADDR, as ours and everybody's do, can still be told to listen there, as
often as it likes and in any process.
"""

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def held_port(host: str = "127.0.0.1") -> Iterator[int]:
    """Give a port that nobody has and nobody gets who does not ask for it by its number."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((host, 0))
        port = holder.getsockname()[1]
        if sys.platform != "linux":  # where a bound port is taken, whatever the server sets
            holder.close()
        yield port


@contextmanager
def held_ports(count: int) -> Iterator[list[int]]:
    """Give as many ports, all of them different and all of them held."""
    with ExitStack() as held:
        yield [held.enter_context(held_port()) for _ in range(count)]
