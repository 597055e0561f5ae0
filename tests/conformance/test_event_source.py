"""Other people's EventSource as judge: of our server, and of our decoder."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from market.broadcast import Broadcast
from market.hub import Hub
from market.server import ServerSettings
from market.sse import EventDecoder
from market.streaming import StreamEndpoint
from tests.builders import EPOCH, KINDS, Market, a_snapshot
from tests.conformance.oracles import a_desk, chromium, node
from tests.streams import eventually, number, served

Oracle = partial[Any]
FAREWELL_MS = 600


@pytest.fixture(params=["chromium", "node"])
def oracle(request: pytest.FixtureRequest, program: Callable[..., str], tmp_path: Path) -> Oracle:
    if request.param == "node":
        return partial(node, program("node"))
    return partial(chromium, program("chromium", "chromium-browser"), profile=tmp_path)


class Fixed(Random):
    """Gives every reader the same moment to come back."""

    def randint(self, a: int, b: int) -> int:
        return FAREWELL_MS


@dataclass(slots=True)
class Journal:
    """When a stream was asked for, from which id, and when its end began."""

    asked: list[float] = field(default_factory=list)
    last_ids: list[str] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)

    def of(self, kind: type[StreamEndpoint]) -> type[StreamEndpoint]:
        """Return an endpoint of this kind that keeps the journal."""
        respond = kind.__call__

        async def call(self_: StreamEndpoint, scope: Scope, receive: Receive, send: Send) -> None:
            self.asked.append(asyncio.get_running_loop().time())
            self.last_ids.append(dict(scope["headers"]).get(b"last-event-id", b"").decode())
            await respond(self_, scope, receive, send)

        return type("Noted", (kind,), {"__call__": call})

    def has_more_than(self, count: int) -> Callable[[], bool]:
        return lambda: len(self.asked) > count


def life_after(hub: Hub | None) -> Hub:
    """Return a hub that goes on where the last process ended."""
    new = Hub(epoch=EPOCH, history=1000, kinds=KINDS, snapshot=a_snapshot, rng=Fixed())
    if hub is not None:
        hub.commit()
        for n in range(1, hub.head + 1):
            new.restore(hub.ring.topics[n], hub.ring.frames[n])
    return new


@pytest.mark.parametrize("kind", [StreamEndpoint, Broadcast], ids=["streaming", "broadcast"])
async def test_each_event_comes_once_over_restarts_retry_is_honored_and_204_is_the_end(
    oracle: Oracle, kind: type[StreamEndpoint], port: int
) -> None:
    journal, market = Journal(), Market(life_after(None))
    limits = ServerSettings(port=port, farewell_s=0.3)
    async with a_desk() as desk, AsyncExitStack() as reading:
        for life in range(3):
            async with served(market.hub, journal.of(kind), server=limits) as on:
                if not life:
                    desk.asks([on.url()], for_good=True)
                    await reading.enter_async_context(oracle(desk))
                await eventually(journal.has_more_than(life), within_s=30)
                market.run(30)
                await asyncio.sleep(0.05)
                market.run(3)
                journal.ended.append(asyncio.get_running_loop().time())  # no reader sees it sooner
                if life == 2:
                    market.hub.close("end of recording")
                    await desk.findings()
            market.hub = life_after(market.hub)
        (seen,) = await desk.findings()

    numbers = [number(last_id) for event, _, last_id in seen if event == "tick"]
    events = [event for event, _, _ in seen if event != "tick"]
    assert numbers == list(range(1, 100))
    assert events == ["snapshot", "shutdown", "shutdown", "shutdown"]
    assert journal.last_ids == ["", *(f"{EPOCH}-{n}" for n in (33, 66, 99))]
    waits = [back - end for end, back in zip(journal.ended, journal.asked[1:], strict=False)]
    assert all(wait > FAREWELL_MS / 1000 - 0.05 for wait in waits)


LINES = [
    b"data: a", b"data:b", b"data:  c", b"data", b"data:", b"data: \xff\xfe", b"data: a\0b",
    "data: ß€🙂\u2028\u0085\ufeff".encode(), b"data: x\vy\fz", b"Data: no", b" data: no",
    b"id: 1", b"id: \xc3\xa9", b"id", b"id: 2\0", b"id:  3 ", b"event: open-house", b"event",
    b"event: \xc3\xa9", b"event:message", b"retry: 1", b"retry: 1x", b": comment", b":",
    b"foo: bar", "\ufeffdata: no".encode(), b"", b"", b"", b"", b"",
]  # fmt: skip
ENDS = [b"\n", b"\n", b"\r\n", b"\r"]


NODE_PASSES_OVER = (b"id", b"event")  # where the standard says that a field without value is empty


def corpus(seed: int, without: Collection[bytes]) -> bytes:
    """Return a stream of the standard's odd corners, in a random order.

    An empty line right behind a byte order mark is left out: Chromium 150 takes it for no line.
    """
    rng, chosen = Random(seed), [line for line in LINES if line not in without]
    lines = [rng.choice(chosen) + rng.choice(ENDS) for _ in range(rng.randint(1, 40))]
    start = rng.choice([b"", b"", "\ufeff:\n".encode(), "\ufeff\ufeffdata: no\n".encode()])
    return start + b"".join(lines)


async def test_our_decoder_finds_what_they_find(oracle: Oracle) -> None:
    without = NODE_PASSES_OVER if oracle.func is node else ()
    streams = {f"{seed}": corpus(seed, without) for seed in range(100)}
    async with a_desk(streams) as desk:
        desk.asks([f"{desk.url}streams/{name}" for name in streams], for_good=False)
        async with oracle(desk):
            found = await desk.findings()

    for stream, theirs in zip(streams.values(), found, strict=True):
        ours = [
            [message.event, message.data, message.id] for message in EventDecoder().feed(stream)
        ]
        assert ours == theirs, stream
