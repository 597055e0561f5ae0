"""Times as people and programs write them: RFC 3339."""

import re
from datetime import UTC, datetime
from typing import Final

from exchange.candles import microseconds
from market.errors import InvalidValueError

_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+ -]\d\d:\d\d)", re.ASCII
)


def parsed_time(text: str) -> int:
    """Return the whole microseconds since 1970 of a time as RFC 3339 has it.

    Raises:
        InvalidValueError: it is none, or says no zone.
    """
    try:
        if found := _TIME.fullmatch(text):
            date, clock, fraction, zone = found.groups("")
            zone = zone.upper().replace(" ", "+").replace("Z", "+00:00")  # "+" is a space in URLs
            time = datetime.fromisoformat(f"{date}T{clock}.{fraction[:6]:0<6}{zone}")
            return microseconds(time.astimezone(UTC))
    except (ValueError, OverflowError):
        pass  # it looks like a time and is none
    raise InvalidValueError(f"{text[:40]!r} is no time of RFC 3339, such as 2026-11-20T05:00:00Z")
