"""What a price may be: symbols, sides, and the grid of an instrument."""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final, NewType

from market.errors import InvalidSymbolError, InvalidValueError, OffGridError

Symbol = NewType("Symbol", str)

_SYMBOL: Final = re.compile(r"[A-Z0-9]{1,10}", re.ASCII)
LIMIT: Final = Decimal(10) ** 12  # with 12 decimals: products stay exact in 50 digits
_ZERO: Final = Decimal(0)
_WHOLE: Final = Decimal(0)  # what is added to it has no positive exponent: 10, not 1E+1


def symbol(text: str) -> Symbol:
    """Return ``text`` as a symbol; raise InvalidSymbolError when it is none."""
    if not _SYMBOL.fullmatch(text):
        raise InvalidSymbolError(text)
    return Symbol(text)


class Side(StrEnum):
    """Which way an order trades."""

    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> "Side":
        """The side that this one trades with."""
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """+1 when the position grows, -1 when it shrinks."""
        return 1 if self is Side.BUY else -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """What is traded under a symbol, and the grids its prices and quantities stand on."""

    symbol: Symbol
    name: str
    tick_size: Decimal
    lot_size: Decimal
    quote: str = "USDT"

    def __post_init__(self) -> None:
        for what, size in (("tick_size", self.tick_size), ("lot_size", self.lot_size)):
            try:
                step(size)
            except InvalidValueError as error:
                raise InvalidValueError(f"{self.symbol}: {what} {error}") from None

    def price(self, value: Decimal) -> Decimal:
        """Return ``value`` written on the tick grid; raise OffGridError when it is not on it."""
        return on_grid("price", value, self.tick_size)

    def quantity(self, value: Decimal) -> Decimal:
        """Return ``value`` written on the lot grid; raise OffGridError when it is not on it."""
        return on_grid("quantity", value, self.lot_size)

    def ticks(self, price: Decimal) -> int:
        """Return the whole number of ticks in ``price``."""
        return int(self.price(price) / self.tick_size)

    def lots(self, quantity: Decimal) -> int:
        """Return the whole number of lots in ``quantity``."""
        return int(self.quantity(quantity) / self.lot_size)


def step(size: Decimal) -> Decimal:
    """Return ``size`` as the step of a grid; raise InvalidValueError when it can be none."""
    exponent = size.as_tuple().exponent
    if not size.is_finite() or size <= 0 or size >= LIMIT or int(exponent) < -12:
        raise InvalidValueError(f"{size} must be in [10^-12, 10^12)")
    return size


class Ruler:
    """The grid of a step, for numbers that come one after another and mostly stand on it.

    Most steps are a power of ten of at most 1 (``is_decimal``): what has as many decimals stands
    on the grid as it is written.
    """

    __slots__ = ("_what", "is_decimal", "step")

    def __init__(self, what: str, size: Decimal) -> None:
        _, digits, exponent = size.as_tuple()
        self._what, self.step = what, size
        self.is_decimal = digits == (1,) and int(exponent) <= 0

    def written(self, value: Decimal) -> Decimal:
        """Return ``value`` written on the grid; raise OffGridError when it is not on it."""
        if self.is_decimal and value.same_quantum(self.step) and _ZERO < value < LIMIT:
            return value
        return on_grid(self._what, value, self.step)


def on_grid(what: str, value: Decimal, step: Decimal) -> Decimal:
    """Return ``value`` with the decimals of ``step``.

    Raises:
        OffGridError: it is not a positive multiple of ``step``, or not below 10^12.
    """
    try:
        if 0 < value < LIMIT:
            written = value.quantize(step) + _WHOLE
            if written == value and not written % step:
                return written
    except InvalidOperation:  # not a number, or its exponent is out of all reason
        pass
    raise OffGridError(what, value, step)
