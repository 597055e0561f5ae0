"""A hub to thousands of readers: one write a reader and wake-up, of bytes that all of them share.

sse-starlette spends four tasks, a generator and a cancel scope on each reader, and wakes them one
by one. Here the hub drives: after a burst of events each reader that keeps up is handed the same
chunk, straight on its connection's transport. A reader that does not keep up is left alone until
its connection has room again, and costs no more than one batch of bytes meanwhile. What many get is
not copied for each of them, when it is more than a few events; see `market.spool`.

What that is worth, the same hub behind both, in one run of `benchmarks/fanout.py` on one core:

                                          sse-starlette        here
    deliveries/s sustained, 100 readers      8 500 000   20 200 000
    deliveries/s sustained, 1 000 readers      950 000   28 300 000
    100 readers x 200/s, p50                    2.3 ms       0.8 ms
    100 readers x 200/s, p99                    6.8 ms       2.2 ms
    100 readers x 200/s, CPU                      88 %         26 %
    1 000 readers x 50/s, p99                    64 ms        13 ms
    memory of an idle reader                    44 KiB       17 KiB

The manners are those of `market.streaming`, whose endpoint this is; it also falls back to it where
there is no such connection (another server, HTTP/1.0).
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from itertools import chain
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from market.batch import Batch
from market.connection import OUTLET, Connection
from market.filter import Filter
from market.reader import Reader
from market.spool import PIECE_EVENTS, Spool
from market.streaming import HEADERS, MEDIA_TYPE, StreamEndpoint
from market.wire import chunk, comment

SWEEP_S: Final = 0.5
BATCHES_A_TURN: Final = 8
MANY: Final = 8
"""Readers with one filter, from whom on what they get is lent to them."""
PLACES: Final = 64
"""Of readers with one filter, whose batch is kept at hand through a turn."""


class Outlet:
    """One reader on its connection."""

    __slots__ = ("blocked_since", "connection", "fd", "reader", "transport", "write")

    def __init__(self, reader: Reader, connection: Connection) -> None:
        self.reader, self.connection = reader, connection
        self.transport = connection.transport
        self.write = self.transport.write
        self.fd: int = self.transport.get_extra_info("socket").fileno()
        self.blocked_since: float | None = None

    @property
    def group(self) -> Filter | int:
        """What it has in common with others: its filter, or the window it wants the latest of."""
        wishes = self.reader.wishes
        return wishes if wishes.conflate_ms is None else wishes.conflate_ms

    @property
    def is_direct(self) -> bool:
        """Whether what is sent on the socket itself follows all that was written, and goes to it.

        Once a transport is closing, the number of its socket may be another client's.
        """
        return not self.transport.is_closing() and self.transport.get_write_buffer_size() == 0

    def end(self) -> None:
        """Finish the answer, and hang up when all of it is sent."""
        self.write(b"0\r\n\r\n")
        self.transport.close()


class Broadcast(StreamEndpoint):
    """``GET /stream`` of a hub with many readers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._groups: defaultdict[Filter | int, set[Outlet]] = defaultdict(set)
        self._windows: set[int] = set()
        self._flush_is_due = False
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._spool = Spool(self.hub.ring)
        self.hub.listen(self._wake)

    async def respond(self, reader: Reader, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream to one reader until it leaves or the hub is closed."""
        connection = (scope.get("extensions") or {}).get(OUTLET)
        if connection is None or scope["http_version"] != "1.1":
            await super().respond(reader, scope, receive, send)
            return
        headers = {**HEADERS, "Content-Type": MEDIA_TYPE, "Connection": "keep-alive"}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        outlet = Outlet(reader, connection)
        if not connection.transport.is_closing():
            self._attach(outlet)
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self._detach(outlet)

    # -- readers come and go -------------------------------------------------------------------

    def _attach(self, outlet: Outlet) -> None:
        connection = outlet.connection
        connection.on_pause = lambda: self._blocked(outlet)
        connection.on_resume = lambda: self._unblocked(outlet)
        connection.on_lost = lambda: self._detach(outlet)  # uvloop refuses what is written later
        connection.transport.set_write_buffer_limits(high=0)
        self._groups[outlet.group].add(outlet)
        if not self._timers:
            self._sweep()
            self._beat(first=True)
        self._write(outlet)  # the greeting
        self._catch_up(outlet)

    def _detach(self, outlet: Outlet) -> None:
        connection = outlet.connection
        if connection.on_lost is None:  # it has left already, or was never there
            return
        connection.on_pause = connection.on_resume = connection.on_lost = None
        group = self._groups[outlet.group]
        group.discard(outlet)
        if not group:
            del self._groups[outlet.group]
        if not self._groups:
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()
            self._spool.close()

    def _blocked(self, outlet: Outlet) -> None:
        outlet.blocked_since = asyncio.get_running_loop().time()

    def _unblocked(self, outlet: Outlet) -> None:
        outlet.blocked_since = None
        self._catch_up(outlet)

    def _catch_up(self, outlet: Outlet) -> None:
        """Write what is due now, or when its window ends: no reader gets two ticks in one."""
        if outlet.reader.wishes.conflate_ms is None or outlet.reader.is_due:
            self._push(outlet)
        else:
            self._wake()

    # -- events go out -------------------------------------------------------------------------

    def _wake(self) -> None:
        if not self._flush_is_due:
            self._flush_is_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Give every reader that keeps up what is new."""
        self._flush_is_due = False
        self.hub.commit()
        for group, outlets in tuple(self._groups.items()):
            if isinstance(group, int):
                self._open_window(group)
                continue
            shared: dict[int, Batch | None] = {}
            for outlet in tuple(outlets):
                if outlet.blocked_since is None:
                    self._hand(outlet, shared)

    def _hand(self, outlet: Outlet, shared: dict[int, Batch | None]) -> None:
        """Write to one reader what those at its place get too, or else what is due to it."""
        reader = outlet.reader
        if self._lend(outlet):
            if reader.is_due:
                self._push(outlet)
            return
        place = reader.cursor
        if place not in shared:
            if len(shared) >= PLACES:
                shared.clear()
            shared[place] = self.hub.burst(reader.wishes, place)
        batch = shared[place]
        if batch is None or not reader.follow(batch):
            self._push(outlet)
        elif batch.data:
            self.bytes_sent += len(batch.chunk)
            outlet.write(batch.chunk)

    def _lend(self, outlet: Outlet) -> bool:
        """Send what many get without a copy for this reader; tell whether that could be done."""
        reader = outlet.reader
        if reader.lag < PIECE_EVENTS or len(self._groups.get(reader.wishes, ())) < MANY:
            return False
        if self.hub.closed or not (reader.is_level and outlet.is_direct):
            return False
        self.hub.commit()
        lent = self._spool.send(reader.wishes, reader.cursor, outlet.fd)
        if lent is None:
            return False
        reader.go_on(lent.upto, lent.events)
        self.bytes_sent += lent.sent + len(lent.rest)
        if lent.rest:
            outlet.write(lent.rest)
        return True

    def _open_window(self, window: int) -> None:
        """Let what is new be collected, for the readers that want the latest alone."""
        if self.hub.closed:
            self._end_window(window)
        elif window not in self._windows:
            self._windows.add(window)
            asyncio.get_running_loop().call_later(window / 1000, self._end_window, window)

    def _end_window(self, window: int) -> None:
        self._windows.discard(window)
        for outlet in tuple(self._groups.get(window, ())):
            self._push(outlet)

    def _push(self, outlet: Outlet) -> None:
        """Write what is due to one reader, as far as its connection takes it."""
        reader = outlet.reader
        for _ in range(BATCHES_A_TURN):
            if outlet.blocked_since is not None or reader.ended:
                return
            if not self._lend(outlet):
                self._write(outlet)
            if not reader.is_due:
                break
        if not reader.ended and (reader.is_due or reader.cursor < self.hub.head):
            self._wake()

    def _write(self, outlet: Outlet) -> None:
        """Write one batch to a reader whose connection has room, and the end when it is due."""
        batch = outlet.reader.take_batch()
        if batch.data:
            self.bytes_sent += len(batch.chunk)
            outlet.write(batch.chunk)
        if outlet.reader.ended:
            outlet.end()

    # -- time passes ---------------------------------------------------------------------------

    def _beat(self, *, first: bool = False) -> None:
        """Let every reader that keeps up know that the line is alive, and where the head is."""
        if not first and not self.hub.closed:
            beat = chunk(comment(self.heartbeat()))
            for outlet in chain(*self._groups.values()):
                if outlet.blocked_since is None:
                    outlet.write(beat)
        self._again("beat", self.settings.heartbeat_s, self._beat)

    def _sweep(self) -> None:
        """Hang up on the readers that have taken nothing for too long."""
        now = asyncio.get_running_loop().time()
        for outlet in tuple(chain(*self._groups.values())):
            since = outlet.blocked_since
            if since is not None and now - since > self.settings.send_timeout_s:
                self.admission.evicted += 1
                outlet.transport.abort()
        self._again("sweep", min(SWEEP_S, self.settings.send_timeout_s / 2), self._sweep)

    def _again(self, name: str, after_s: float, step: Callable[[], None]) -> None:
        self._timers[name] = asyncio.get_running_loop().call_later(after_s, step)
