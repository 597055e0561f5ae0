"""Order entry over HTTP with the journal on: answered orders/s, and how late they are answered.

    python benchmarks/orders.py [--quick] [--json FILE]

The server runs alone on the first core and the load on the second: connections that stay open, each
sends its next order when the last one is answered (no pipelining). First as fast as they can, then
paced at half of that, where an order counts from the moment when it was due. Every order is a
market order that fills, buys and sells in turn; the exchange journals it, books it, and tells the
streams before it answers. No package of the index that matches orders takes them over HTTP; the
named baseline is an endpoint of the same server that only reads an order and answers at the same
length: what is left of it is the price of the exchange. The journal is in TMPDIR: a disk that takes
long over its checkpoints shows in the p99.
"""

import argparse
import asyncio
import json
import os
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final, cast

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.peers.server import Peer, Server, cores, on_core, python

CONNECTIONS: Final = 32
REST_S: Final = 1.5
PEERS: Final = {
    "sandpit": (),
    "sandpit, synchronous=full": ("--synchronous", "full"),
    "bare endpoint": ("--echo",),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One server's result."""

    name: str
    per_second: float
    half_rate: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    server_us: float
    load_cpu: float


class Trader(asyncio.Protocol):
    """One connection of one account: it buys, then sells, then buys."""

    def __init__(self, account: str, load: "Load") -> None:
        self._load, self._number = load, 0
        body = json.dumps({"account": account, "symbol": "TCS", "quantity": 1}).encode()
        tail = b"Host: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        self._requests = [b"POST /%b HTTP/1.1\r\n%b" % (side, tail) for side in (b"buy", b"sell")]
        self._buffer, self._due = b"", 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin idle."""
        self.transport = cast("asyncio.Transport", transport)

    def send(self, due: float) -> None:
        """Send the next order, which was due then."""
        self._due = due
        self.transport.write(self._requests[self._number % 2])
        self._number += 1

    def data_received(self, data: bytes) -> None:
        """Take in what came; an answer that is whole is counted."""
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
        if len(body) >= length:
            assert head.startswith(b"HTTP/1.1 200"), self._buffer
            self._buffer = b""
            self._load.answered(self, perf_counter() - self._due)


class Load:
    """All the connections, and what they measured."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self._idle: deque[Trader] = deque()
        self._late: deque[float] = deque()
        self._flat_out = False

    async def connect(self, port: int) -> None:
        """Open the connections."""
        loop = asyncio.get_running_loop()
        for n in range(CONNECTIONS):
            made = partial(Trader, f"bot{n}", self)
            _, trader = await loop.create_connection(made, "127.0.0.1", port)
            self._idle.append(trader)

    def answered(self, trader: Trader, latency: float) -> None:
        """Count an answer, and go on."""
        self.latencies.append(latency)
        if self._flat_out:
            trader.send(perf_counter())
        elif self._late:
            trader.send(self._late.popleft())
        else:
            self._idle.append(trader)

    async def flat_out(self, seconds: float) -> float:
        """Send as fast as answers come; return the orders answered a second."""
        self.latencies, self._flat_out = [], True
        begun = perf_counter()
        while self._idle:
            self._idle.popleft().send(perf_counter())
        await asyncio.sleep(seconds)
        rate = len(self.latencies) / (perf_counter() - begun)
        self._flat_out = False
        await self._rest()
        return rate

    async def paced(self, rate: float, seconds: float) -> Sequence[float]:
        """Send at ``rate``; return how long each took from when it was due, sorted."""
        self.latencies = []
        begun, sent = perf_counter(), 0
        while (now := perf_counter()) < begun + seconds:
            while begun + sent / rate <= now:
                self._one(begun + sent / rate)
                sent += 1
            await asyncio.sleep(0.0005)
        await self._rest()
        return sorted(self.latencies)

    def _one(self, due: float) -> None:
        if self._idle:
            self._idle.popleft().send(due)
        else:
            self._late.append(due)

    async def _rest(self) -> None:
        while len(self._idle) < CONNECTIONS:  # noqa: ASYNC110  no one else waits for this
            await asyncio.sleep(0.001)


async def measured(name: str, server: Server, seconds: float) -> Row:
    """Return the result of one server."""
    load = Load()
    await load.connect(server.port)
    await load.flat_out(seconds / 4)
    cpu, used, begun = sum(os.times()[:2]), server.cpu_s(), perf_counter()
    best = await load.flat_out(seconds)
    busy = (sum(os.times()[:2]) - cpu) / (perf_counter() - begun)
    used = (server.cpu_s() - used) / len(load.latencies)
    await asyncio.sleep(REST_S)  # so that what was put off is not counted in the next figure
    late = await load.paced(best / 2, seconds)
    return Row(
        name=name,
        per_second=best,
        half_rate=best / 2,
        p50_ms=late[len(late) // 2] * 1000,
        p99_ms=late[len(late) * 99 // 100] * 1000,
        max_ms=late[-1] * 1000,
        server_us=used * 1e6,
        load_cpu=busy,
    )


def main() -> int:
    """Measure every server and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    apart = cores()
    rows = [
        _row(name, options, apart, 1.0 if asked.quick else 5.0) for name, options in PEERS.items()
    ]
    print(
        f"{'':28}{'orders/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}"
        f"{'us/order':>10}{'load CPU':>10}"
    )
    for row in rows:
        print(
            f"{row.name:28}{row.per_second:10.0f}{row.p50_ms:9.2f}{row.p99_ms:9.2f}"
            f"{row.max_ms:9.2f}{row.server_us:10.0f}{row.load_cpu:10.0%}"
        )
    print("p50, p99, max: of the answers at half the rate; us/order: CPU time of the server")
    if asked.json:
        asked.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    return 0


def _row(name: str, options: tuple[str, ...], apart: tuple[int, int] | None, seconds: float) -> Row:
    server = Server(Peer(name, python("order_entry", *options), {}, cores=apart))
    try:
        with on_core(apart and apart[1]):
            return uvloop.run(measured(name, server, seconds))
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(main())
