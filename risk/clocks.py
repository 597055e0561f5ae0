"""Which prices are of another time than the rest: recorded ones among live ones."""

from typing import Final

OTHER_CLOCK_S: Final = 3600.0
"""How far behind the newest time a tick's own may be: more than an exchange that resumes is late.

A return of such an asset took no time that the others know, so no covariance is to be had of it.
"""

_UNITS: Final = ((31_557_600.0, "year"), (86_400.0, "day"), (3_600.0, "hour"))


def is_other_clock(time_s: float, newest_s: float) -> bool:
    """Tell whether a tick of ``time_s`` is of another clock than the newest one."""
    return newest_s - time_s > OTHER_CLOCK_S


def span(seconds: float) -> str:
    """Return a time of an hour or more in its largest unit, such as ``4 years``."""
    length, unit = next((each for each in _UNITS if seconds >= each[0]), _UNITS[-1])
    count = round(seconds / length)
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
