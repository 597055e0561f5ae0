"""Bytes of an event stream -> messages, as the HTML standard says (section 9.2.6).

httpx-sse opens our connections, but its decoder falls short of the standard where it hurts a
stream that never ends: after an ``id:`` every heartbeat comment comes out as an empty event, an
event that ends in CR CR waits for the next byte, a byte order mark spoils the first line, other
charsets are obeyed, ``retry: 1_000`` is taken for a number. So the bytes are decoded here.
"""

import re
from typing import Final

from msgspec import Struct

from market.errors import MarketError

MAX_EVENT_BYTES: Final = 8 * 1024 * 1024

_END: Final = re.compile(rb"\r\n|\n|\r")
_BOM: Final = b"\xef\xbb\xbf"


class OversizedEventError(MarketError):
    """An event, or a line of it, is longer than anything we would keep."""

    def __init__(self) -> None:
        super().__init__(f"an event of more than {MAX_EVENT_BYTES} bytes")


class Message(Struct, frozen=True):
    """One dispatched event; ``id`` is the last id of the stream so far, "" when there is none.

    ``is_numbered`` tells whether the event itself brought the id, and not one before it.
    """

    event: str
    data: str
    id: str
    is_numbered: bool = False


class EventDecoder:
    """Decodes one connection; begin a new one for the next, with the last id of this one.

    Attributes:
        last_id: of the last block that ended; what ``Last-Event-ID`` must say.
        retry_ms: the last reconnection time that the server asked for, None if it never did.
        comments: of the bytes fed last, in order.
    """

    def __init__(self, last_id: str = "") -> None:
        self.last_id, self.retry_ms = last_id, None  # type: tuple[str, int | None]
        self.comments: list[str] = []
        self._id = last_id
        self._event, self._data = "", list[bytes]()
        self._size, self._rest, self._is_numbered = 0, b"", False
        self._begun, self._after_cr = False, False

    def feed(self, chunk: bytes) -> list[Message]:
        """Return the events that ``chunk`` completes, in order.

        Raises:
            OversizedEventError: what is pending has outgrown MAX_EVENT_BYTES.
        """
        self.comments = []
        messages: list[Message] = []
        for line in self._lines(chunk):
            if line:
                self._field(line)
            elif (message := self._dispatch()) is not None:
                messages.append(message)
        if self._size + len(self._rest) > MAX_EVENT_BYTES:
            raise OversizedEventError
        return messages

    def _lines(self, chunk: bytes) -> list[bytes]:
        """Return the lines that ``chunk`` ends; a CR ends one at once, its LF is then skipped."""
        if chunk and self._after_cr:
            chunk, self._after_cr = chunk.removeprefix(b"\n"), False
        self._after_cr = chunk.endswith(b"\r")
        text = self._rest + chunk
        if not self._begun:
            if len(text) < len(_BOM) and _BOM.startswith(text):
                self._rest = text
                return []
            text, self._begun = text.removeprefix(_BOM), True
        lines = _END.split(text) if b"\r" in text else text.split(b"\n")
        self._rest = lines.pop()
        return lines

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value) + 1
        elif name == b"event":
            self._event = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value:
            self._id, self._is_numbered = value.decode(errors="replace"), True
        elif name == b"retry" and value.isdigit() and len(value) < 10:
            self.retry_ms = int(value)
        elif not name:
            self.comments.append(value.decode(errors="replace"))

    def _dispatch(self) -> Message | None:
        self.last_id = self._id
        event, data, is_numbered = self._event, self._data, self._is_numbered
        self._event, self._data, self._size, self._is_numbered = "", [], 0, False
        if not data:
            return None
        text = b"\n".join(data) if len(data) > 1 else data[0]
        return Message(event or "message", text.decode(errors="replace"), self._id, is_numbered)
