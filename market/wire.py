"""Event <-> server-sent event frame: numbers stay exact decimals, and a frame is encoded once."""

import re
from collections.abc import Iterable, Sequence
from typing import Final, Self

import msgspec

from market.errors import GarbledEventError
from market.events import (
    BookUpdate,
    Candle,
    Fact,
    Gap,
    Lagging,
    Shutdown,
    Snapshot,
    SourceState,
    Tick,
    Trade,
)

FACTS: Final = (Tick, Trade, BookUpdate, Candle, SourceState, Snapshot, Gap, Lagging, Shutdown)

_ID: Final = re.compile(r"([0-9a-f]{8})-(0|[1-9][0-9]{0,18})", re.ASCII)
_WHOLE_SECOND: Final = re.compile(rb'("(?:time|expire_time|since)":"[^"]{19})Z"')
_WHOLE_SECOND_END: Final = re.compile(  # the same, for many: it begins with what is looked for
    rb'Z"(?:(?<="time":"[^"]{19}Z")|(?<="since":"[^"]{19}Z")|(?<="expire_time":"[^"]{19}Z"))'
)
_COLON: Final = ord(":")
_TIME: Final = b'"time":"'
_SECONDS_LENGTH: Final = len("2026-01-01T00:00:00")
_TIME_LENGTH: Final = len(_TIME) + _SECONDS_LENGTH
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


class EventId(msgspec.Struct, frozen=True):
    """The place of an event: the life of one history, and its number in it."""

    epoch: str
    n: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.n}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the id that ``text`` spells, or None when it spells none."""
        found = _ID.fullmatch(text)
        return cls(found[1], int(found[2])) if found else None


def encode(value: object) -> bytes:
    """Return ``value`` as JSON: decimals as exact numbers, times in UTC to the microsecond."""
    data = _ENCODER.encode(value)
    if type(value) is Tick and value.time.microsecond:  # nearly all of what is ever encoded
        return data
    at = data.find(b'Z"')
    while at >= 0:
        if data[at - 3] == _COLON:  # the encoder leaves the microseconds out when they are zero
            if _is_only_time(data, at):
                return b"%b.000000%b" % (data[:at], data[at:])
            return _WHOLE_SECOND.sub(rb'\1.000000Z"', data)
        at = data.find(b'Z"', at + 1)
    return data


def encode_many(values: Sequence[object]) -> list[bytes]:
    """Return each of the values as `encode` has it; many at once cost less."""
    lines = _WHOLE_SECOND_END.sub(b'.000000Z"', _ENCODER.encode_lines(values)).split(b"\n")
    del lines[-1]
    return lines


def _is_only_time(data: bytes, at: int) -> bool:
    """Tell whether the time that ends at ``at`` is the only one, as in most facts."""
    return (
        at >= _TIME_LENGTH
        and data.startswith(_TIME, at - _TIME_LENGTH)
        and data.find(b'"', at - _SECONDS_LENGTH, at) < 0
        and data.find(b'Z"', at + 1) < 0
    )


class Decoder:
    """Turns the data of events back into facts."""

    def __init__(self, facts: Iterable[type[Fact]] = FACTS) -> None:
        self._decoders = {fact.kind: msgspec.json.Decoder(fact) for fact in facts}

    def decode(self, kind: str, data: bytes | str) -> Fact | None:
        """Return the fact in the ``data`` of an event, or None for a kind that we do not know.

        Raises:
            GarbledEventError: the data is not what the kind says.
        """
        decoder = self._decoders.get(kind)
        if decoder is None:
            return None
        try:
            return decoder.decode(data)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise GarbledEventError(kind, str(error)) from error


def frame(
    kind: str, data: bytes, *, id: EventId | None = None, retry_ms: int | None = None
) -> bytes:
    """Return one whole frame; ``data`` is a single line."""
    head = b"" if id is None else b"id: %b\n" % str(id).encode()
    retry = b"" if retry_ms is None else b"retry: %d\n" % retry_ms
    return b"%b%bevent: %b\ndata: %b\n\n" % (head, retry, kind.encode(), data)


def comment(text: str) -> bytes:
    """Return ``text`` as a comment: it keeps a line alive and dispatches nothing."""
    return b": %b\n\n" % text.encode()


def chunk(data: bytes) -> bytes:
    """Return ``data`` as a chunk of an HTTP body."""
    return b"%x\r\n%b\r\n" % (len(data), data)
