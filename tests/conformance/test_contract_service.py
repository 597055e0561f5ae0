"""The contract service, spoken to as LaunchDarkly's harness speaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from market.server import ServerSettings, serving
from tests.conformance.contract_service import CAPABILITIES, create_app
from tests.streams import a_client, eventually

QUICK = ServerSettings(farewell_s=0.1)


class Harness:
    """Makes a stream, has the service read it, and keeps what it is called back with."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.calls: list[tuple[int, dict[str, Any]]] = []
        self.answers: asyncio.Queue[Response] = asyncio.Queue()
        self._line: asyncio.Queue[bytes] = asyncio.Queue()
        self.service = a_client()
        self.own_url = self.stream = ""

    async def begin(self, **parameters: Any) -> None:
        """Have the service read our stream."""
        urls = {"streamUrl": f"{self.own_url}/stream", "callbackUrl": f"{self.own_url}/callback"}
        made = await self.service.post("/", json={**urls, "initialDelayMs": 10, **parameters})
        assert made.status_code == 201
        self.stream = made.headers["location"]

    def send(self, *chunks: bytes) -> None:
        for chunk in chunks:
            self._line.put_nowait(chunk)

    def hang_up(self) -> None:
        self._line.put_nowait(b"")

    async def heard(self, count: int) -> list[dict[str, Any]]:
        """Return the first reports, once there are so many; they come numbered from 1."""
        await eventually(lambda: len(self.calls) >= count)
        assert [number for number, _ in self.calls] == list(range(1, len(self.calls) + 1))
        return [report for _, report in self.calls][:count]

    async def give(self, request: Request) -> Response:
        self.asked.append(dict(request.headers))
        if not self.answers.empty():
            return self.answers.get_nowait()
        return StreamingResponse(self._chunks(), media_type="text/event-stream")

    async def take(self, request: Request) -> Response:
        self.calls.append((request.path_params["number"], await request.json()))
        return Response(status_code=202)

    async def _chunks(self) -> AsyncIterator[bytes]:
        while chunk := await self._line.get():
            yield chunk


def event(type: str, data: str, id: str = "") -> dict[str, Any]:
    return {"kind": "event", "event": {"type": type, "data": data, "id": id}}


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    harness = Harness()
    own = Starlette(
        routes=[
            Route("/stream", harness.give),
            Route("/callback/{number:int}", harness.take, methods=["POST"]),
        ]
    )
    async with AsyncExitStack() as open_ones:
        harness.own_url = await open_ones.enter_async_context(serving(own, QUICK))
        url = await open_ones.enter_async_context(serving(create_app(), QUICK))
        harness.service = await open_ones.enter_async_context(a_client(url))
        yield harness


async def test_it_says_what_the_client_can_do(harness: Harness) -> None:
    described = (await harness.service.get("/")).json()

    assert set(described["capabilities"]) == set(CAPABILITIES)


async def test_events_and_comments_are_called_back_in_order(harness: Harness) -> None:
    await harness.begin()
    harness.send("\ufeffdata: a\n\n".encode(), b"event: put\rid: 1\rdata: b\rdata: c\r\r")
    assert await harness.heard(2) == [event("message", "a"), event("put", "b\nc", "1")]

    harness.send(b":hello\ndata\n\n")
    assert (await harness.heard(4))[2:] == [
        {"kind": "comment", "comment": "hello"},
        event("message", "", "1"),
    ]


async def test_a_lost_line_is_an_error_and_is_resumed_with_the_id(harness: Harness) -> None:
    await harness.begin(lastEventId="7", headers={"x-mine": "yes"})
    harness.send(b"retry: 5\nid: 8\ndata: a\n\n", b"id: 9\ndata: cut")
    harness.hang_up()
    harness.send(b"data: b\n\n")

    first, lost, second = await harness.heard(3)

    assert (first, second) == (event("message", "a", "8"), event("message", "b", "8"))
    assert lost["kind"] == "error"
    assert [asked.get("last-event-id") for asked in harness.asked] == ["7", "8"]
    assert {asked["x-mine"] for asked in harness.asked} == {"yes"}
    assert {asked["cache-control"] for asked in harness.asked} == {"no-cache"}


async def test_a_restart_comes_back_from_the_last_id(harness: Harness) -> None:
    await harness.begin()
    harness.send(b"id: 1\ndata: a\n\n")
    await harness.heard(1)

    answered = await harness.service.post(harness.stream, json={"command": "restart"})
    await eventually(lambda: len(harness.asked) == 2)
    harness.send(b"data: lost with the first line\n\n", b"data: b\n\n")

    assert answered.status_code == 202
    assert harness.asked[1]["last-event-id"] == "1"


async def test_silence_is_an_error_after_the_read_timeout(harness: Harness) -> None:
    await harness.begin(readTimeoutMs=100)

    (lost,) = await harness.heard(1)

    assert "ReadTimeout" in lost["comment"]
    await eventually(lambda: len(harness.asked) >= 2)


async def test_a_204_or_a_wrong_type_ends_it(harness: Harness) -> None:
    for answer in (Response(status_code=204), Response("data: a\n\n", media_type="text/plain")):
        harness.asked.clear()
        harness.answers.put_nowait(answer)
        await harness.begin()
        await eventually(lambda: len(harness.asked) == 1)
        await asyncio.sleep(0.05)

        assert len(harness.asked) == 1
        harness.calls.clear()


async def test_a_deleted_stream_is_read_no_more(harness: Harness) -> None:
    await harness.begin()
    await eventually(lambda: len(harness.asked) == 1)

    assert (await harness.service.delete(harness.stream)).status_code == 204
    assert (await harness.service.delete(harness.stream)).status_code == 404


@pytest.mark.parametrize("body", [b"", b"{}", b'{"streamUrl":1,"callbackUrl":""}', b"[]"])
async def test_a_bad_request_is_refused(harness: Harness, body: bytes) -> None:
    assert (await harness.service.post("/", content=body)).status_code == 400


async def test_an_unknown_command_is_refused(harness: Harness) -> None:
    await harness.begin()

    assert (await harness.service.post(harness.stream, json={"command": "x"})).status_code == 400
