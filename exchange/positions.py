"""A position: signed quantity, its exact cost, and what closing parts of it realizes."""

from collections import deque
from collections.abc import Sequence
from decimal import (
    ROUND_05UP,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)
from typing import Final

from exchange.statement import Lot, PositionState, Realized
from market.values import Symbol

MONEY: Final = Context(prec=100, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
"""The arithmetic of money: what is not exact in 100 digits raises ``decimal.Inexact``."""

DECIMALS: Final = 12
"""Decimals of a division: an average price, and the cost of a part of a position."""

LOTS: Final = 1_000
"""FIFO lots kept for one position; beyond it the two newest become one, at their summed cost."""

ZERO: Final = Decimal(0)

_QUOTIENT: Final = Context(prec=80, rounding=ROUND_05UP)  # may be rounded once more, truthfully
_ROUNDED: Final = Context(prec=100)
_TWELFTH: Final = Decimal((0, (1,), -DECIMALS))
_add: Final = MONEY.add
_subtract: Final = MONEY.subtract
_multiply: Final = MONEY.multiply
_minus: Final = MONEY.minus  # a bare ``-x`` would round to the digits of the thread's own context

NOTHING: Final = Realized(ZERO, ZERO)


class Position:
    """What an account holds of one symbol; short when ``quantity`` is negative.

    ``cost`` is exact and has the sign of ``quantity``. Closing a part of the position takes the
    same part of ``cost`` out of it, rounded half to even at 12 decimals (or at those of ``cost``
    where it has more); what the rounding leaves stays in the cost of what is still held, so that
    cash + cost - realized never changes by a digit.
    ``buying`` and ``selling`` are the quantities that open orders may still trade.
    """

    __slots__ = ("buying", "cost", "lots", "quantity", "selling", "symbol")

    def __init__(self, symbol: Symbol) -> None:
        self.symbol = symbol
        self.quantity = self.cost = self.buying = self.selling = ZERO
        self.lots: deque[Lot] = deque()

    def apply(self, signed: Decimal, price: Decimal, notional: Decimal) -> Realized:
        """Take in a fill, ``notional = signed * price``, and return what it realized."""
        held = self.quantity
        if not held or (held > 0) is (signed > 0):
            self._open(signed, price, notional)
            return NOTHING
        left = _add(held, signed)
        if not left or (left > 0) is (held > 0):
            return self._close(signed, notional, left)
        back = _minus(held)
        closing = _multiply(back, price)
        realized = self._close(back, closing, ZERO)
        self._open(left, price, _subtract(notional, closing))
        return realized

    def gather(self, signed: Decimal, notional: Decimal) -> None:
        """Take in a fill and realize nothing: its cost is all that was ever paid for it."""
        self.quantity = _add(self.quantity, signed)
        self.cost = _add(self.cost, notional)

    def _open(self, signed: Decimal, price: Decimal, notional: Decimal) -> None:
        self.quantity = _add(self.quantity, signed)
        self.cost = _add(self.cost, notional)
        lots = self.lots
        lots.append((signed, notional, price))
        if len(lots) > LOTS:
            (one, cost, _), (other, more, _) = lots.pop(), lots.pop()
            lots.append((_add(one, other), _add(cost, more), None))

    def _close(self, signed: Decimal, notional: Decimal, left: Decimal) -> Realized:
        closed, received = _minus(signed), _minus(notional)
        released = share(self.cost, closed, self.quantity) if left else self.cost
        oldest = self._oldest(closed)
        self.quantity = left
        self.cost = _subtract(self.cost, released)
        return Realized(_subtract(received, released), _subtract(received, oldest))

    def _oldest(self, wanted: Decimal) -> Decimal:
        """Take the ``wanted`` quantity out of the oldest lots and return its cost."""
        found, lots = ZERO, self.lots
        while wanted:
            quantity, cost, price = lots[0]
            if quantity.copy_abs() <= wanted.copy_abs():
                lots.popleft()
                part, wanted = cost, _subtract(wanted, quantity)
            else:
                part = share(cost, wanted, quantity) if price is None else _multiply(wanted, price)
                lots[0] = (_subtract(quantity, wanted), _subtract(cost, part), price)
                wanted = ZERO
            found = _add(found, part)
        return found

    @property
    def exposure(self) -> Decimal:
        """The largest quantity, long or short, that its open orders may lead to."""
        bought, sold = _add(self.quantity, self.buying), _subtract(self.quantity, self.selling)
        return max(bought.copy_abs(), sold.copy_abs())

    def unrealized(self, mark: Decimal) -> Decimal:
        """Return what closing at ``mark`` would realize, before fees, by average cost."""
        return _subtract(_multiply(self.quantity, mark), self.cost)

    @property
    def average_price(self) -> Decimal:
        """The cost of one unit, rounded to 12 decimals; zero when nothing is held."""
        return ratio(self.cost, self.quantity) if self.quantity else ZERO

    def state(self) -> PositionState:
        """Return everything that `restored` needs."""
        return PositionState(
            symbol=self.symbol,
            quantity=self.quantity,
            cost=self.cost,
            lots=tuple(self.lots),
            buying=self.buying,
            selling=self.selling,
        )

    @classmethod
    def restored(cls, state: PositionState) -> "Position":
        """Return the position whose `state` was kept."""
        position = cls(state.symbol)
        position.quantity, position.cost = state.quantity, state.cost
        position.buying, position.selling = state.buying, state.selling
        position.lots = deque(state.lots)
        return position


def share(cost: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """Return ``cost * part / whole``: all of it for the whole, else rounded as `Position` says."""
    if part == whole:
        return cost
    exponent = int(cost.as_tuple().exponent)
    unit = _TWELFTH if exponent >= -DECIMALS else Decimal((0, (1,), exponent))
    return _QUOTIENT.divide(_multiply(cost, part), whole).quantize(unit, context=_ROUNDED)


def ratio(value: Decimal, by: Decimal) -> Decimal:
    """Return ``value / by``, rounded half to even at 12 decimals; raise when ``by`` is zero."""
    return _QUOTIENT.divide(value, by).quantize(_TWELFTH, context=_ROUNDED)


def plain(value: Decimal) -> Decimal:
    """Return the same number as people write it: no exponent, no zeros at the end."""
    if not value:
        return ZERO
    short = value.normalize(MONEY)
    whole = int(short.as_tuple().exponent) > 0
    return short.quantize(Decimal(1), context=MONEY) if whole else short


def total(values: Sequence[Decimal]) -> Decimal:
    """Return the exact sum."""
    found = ZERO
    for value in values:
        found = _add(found, value)
    return found
