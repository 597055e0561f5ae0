"""What a strategy holds and the most it paid for it, from its own fills."""

from decimal import Decimal
from typing import Final

from msgspec import Struct

from market.orders import OrderFilled
from market.values import Side, Symbol

NONE: Final = Decimal(0)


class Holding(Struct, frozen=True, gc=False):
    """A quantity, and the highest price that was paid for any of it."""

    quantity: Decimal = NONE
    highest_paid: Decimal = NONE


_NOTHING: Final = Holding()


class Holdings:
    """The holding in each symbol."""

    def __init__(self) -> None:
        self._held: dict[Symbol, Holding] = {}

    def __getitem__(self, of: Symbol) -> Holding:
        return self._held.get(of, _NOTHING)

    def apply(self, fill: OrderFilled) -> None:
        """Take a fill in; the highest price paid is kept until nothing is left."""
        held = self[fill.symbol]
        quantity = held.quantity + fill.side.sign * fill.quantity
        bought = fill.price if fill.side is Side.BUY else NONE
        highest = max(held.highest_paid, bought) if quantity else NONE
        self._held[fill.symbol] = Holding(quantity, highest)
