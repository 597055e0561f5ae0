"""The tree of what can go wrong; each error carries its data and is caught once, at an edge.

MarketError
├── SettingsError           a setting is missing or wrong
├── InvalidValueError       a value that the market cannot hold
│   ├── InvalidSymbolError  not ``[A-Z0-9]{1,10}``
│   └── OffGridError        a price or quantity that is not a positive multiple of its step
├── GarbledEventError       bytes that are not the event they claim to be
└── StreamError             a stream that can never be read (wrong type, refused for good)
"""

from decimal import Decimal


class MarketError(Exception):
    """Whatever we raise on purpose."""


class SettingsError(MarketError):
    """A setting is missing or wrong; the message names the variable."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name, self.problem = name, problem


class InvalidValueError(MarketError, ValueError):
    """A value that the market cannot hold."""


class InvalidSymbolError(InvalidValueError):
    """The text is not a symbol."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text[:40]!r} is not a symbol: 1 to 10 of A-Z and 0-9")
        self.text = text


class OffGridError(InvalidValueError):
    """The number is not a positive multiple of its step, or is too large to be kept exactly."""

    def __init__(self, what: str, value: Decimal, step: Decimal) -> None:
        shown = f"{value:.12g}" if value.is_finite() else str(value)
        super().__init__(f"{what} {shown} is not a positive multiple of {step} below 10^12")
        self.what, self.value, self.step = what, value, step


class GarbledEventError(MarketError, ValueError):
    """The data of a frame is not the event that it claims to be."""

    def __init__(self, kind: str, problem: str) -> None:
        super().__init__(f"{kind}: {problem}")
        self.kind, self.problem = kind, problem


class StreamError(MarketError):
    """The address answers, but not with a stream that can be read; trying again will not help."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"{url}: {problem}")
        self.url, self.problem = url, problem
