"""One client's connection: requests that are bounded in size and time, and refused politely."""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from market.problems import ProblemError, problem

OUTLET: Final = "sandpit.outlet"
"""Where a request has its connection, among the extensions of its scope."""
MAX_URL_BYTES: Final = 16 * 1024
MAX_HEAD_BYTES: Final = 64 * 1024
MAX_PIPELINED: Final = 4
"""Requests that wait behind the one being answered, before the client has to wait."""
LINGER_S: Final = 1.0
SPOKEN: Final = frozenset({"1.0", "1.1"})
_HOST: Final = re.compile(
    rb"(\[[\w.:~%!$&'()*+,;=-]+\]|[\w.~%!$&'()*+,;=-]*)(:[0-9]{0,5})?", re.ASCII
)


class Connection(HttpToolsProtocol):
    """One client's connection: its head is bounded in size and time, its body in time.

    An endless answer may take the connection over as its outlet: it writes on ``transport``
    itself, is told through ``on_pause`` and ``on_resume`` how the client keeps up, and through
    ``on_lost`` when nothing may be written any more.
    """

    request_timeout_s = 10.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_pause: Callable[[], None] | None = None
        self.on_resume: Callable[[], None] | None = None
        self.on_lost: Callable[[], None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes: int | None = 0
        self._answering: RequestResponseCycle | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, though not for ever."""
        super().connection_made(transport)
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and tell the answer that is being given."""
        self._request_is_whole()
        if self.on_lost is not None:
            self.on_lost()
        self.on_pause = self.on_resume = self.on_lost = None
        super().connection_lost(exc)  # it tells the last request, which may be one behind a stream
        if (answering := self._answering) is not None and not answering.response_complete:
            answering.disconnected = True
            answering.message_event.set()
        self._let_go()

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head of the request has become too long."""
        if self._refused:
            return
        super().data_received(data)
        if self._head_bytes is not None and self.parser is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431, "request-header-fields-too-large", "The head is too long.")

    def on_message_begin(self) -> None:
        """Begin a request, and lend its answer this connection."""
        super().on_message_begin()
        if self._deadline is None:
            self._expect_request()
        self._head_bytes = 0
        self.scope["extensions"] = {OUTLET: self}  # type: ignore[dict-item]

    def on_headers_complete(self) -> None:
        """Pass the request on, when its head is of a reasonable size."""
        self._head_bytes = None
        if self._refused:
            return
        if self.parser.get_http_version() not in SPOKEN:
            self._refuse(505, "http-version-not-supported", "HTTP/1.1 is spoken here.")
        elif len(self.url) > MAX_URL_BYTES:
            self._refuse(414, "uri-too-long", f"The URL is over {MAX_URL_BYTES} bytes.")
        elif sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            self._refuse(431, "request-header-fields-too-large", "The head is too long.")
        elif not self._is_addressed():
            self._refuse(400, "bad-request", "It takes one Host field, and a proper one.")
        else:
            super().on_headers_complete()
            if 0 < len(self.pipeline) <= MAX_PIPELINED:
                self.flow.resume_reading()  # or nobody hears that the client has left

    def on_body(self, body: bytes) -> None:
        """Take a part of the body, of a request that was not refused."""
        if not self._refused and not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Stop waiting: the request is there as a whole."""
        if self._refused:
            return
        self._request_is_whole()
        if not self.transport.is_closing():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        if not self._refused:
            self._refuse(400, "bad-request", msg)

    def pause_writing(self) -> None:
        """Hear that the client does not keep up."""
        super().pause_writing()
        if self.on_pause is not None:
            self.on_pause()

    def resume_writing(self) -> None:
        """Hear that the client has caught up."""
        super().resume_writing()
        if self.on_resume is not None:
            self.on_resume()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        if cycle.scope["http_version"] == "1.0":
            app = partial(_without_chunks, app, cycle)
        super()._start_asgi_task(cycle, app)

    def _is_addressed(self) -> bool:
        """Tell whether the request says which host it is for, as RFC 9112, 3.2 asks."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if not hosts:
            return bool(self.parser.get_http_version() == "1.0")
        return len(hosts) == 1 and _HOST.fullmatch(hosts[0]) is not None

    def _let_go(self) -> None:
        """Drop the requests: their scopes hold this connection, and full collections are rare."""
        self.cycle = self.scope = None  # type: ignore[assignment]
        self._answering = None
        self.pipeline.clear()

    def _expect_request(self) -> None:
        self._deadline = self.loop.call_later(self.request_timeout_s, self._too_slow)

    def _request_is_whole(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or not cycle.response_started or cycle.response_complete:
            self._refuse(408, "request-timeout", "The request did not arrive in time.")

    def _refuse(self, status: int, type: str, detail: str) -> None:
        """Answer, and take no more; hang up once the client had a moment to read why."""
        answering, self._refused = self._answering, True
        if answering is not None and not answering.response_complete:
            if answering.response_started:  # nothing else can be said in the middle of an answer
                self.transport.abort()
            answering.disconnected = True
            answering.message_event.set()
        if self.transport.is_closing():
            return
        answer = problem(ProblemError(status, type, detail, headers={"Connection": "close"}))
        lines = [b"%b: %b\r\n" % pair for pair in answer.raw_headers]
        head = b"HTTP/1.1 %d \r\n%b\r\n" % (status, b"".join(lines))
        self.transport.write(head + bytes(answer.body))
        self.transport.write_eof()
        self._request_is_whole()
        self._deadline = self.loop.call_later(LINGER_S, self.transport.abort)


async def _without_chunks(
    app: ASGIApp, cycle: RequestResponseCycle, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer an HTTP/1.0 request, which knows no chunks: the body ends with the connection."""

    async def send_plain(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [each for each in message["headers"] if each[0].lower() != b"connection"]
            names = {name.lower() for name, _ in headers}
            cycle.chunked_encoding = None if b"content-length" in names else False
            await send({**message, "headers": headers})
            return
        if cycle.expected_content_length:
            await send(message)
            return
        cycle.expected_content_length = len(message.get("body", b""))
        await send({**message, "more_body": True})
        if not message.get("more_body", False):
            await send({"type": "http.response.body"})

    await app(scope, receive, send_plain)
