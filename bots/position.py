"""A position by the average-cost method, to the last digit, and the entry of a fill in it."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from msgspec import Struct

from market.orders import OrderFilled

ZERO: Final = Decimal(0)
DECIMALS: Final = 12  # of the cost of a part of a position, as the exchange's ledger has it
EXACT: Final = Context(prec=120, rounding=ROUND_HALF_EVEN)
# a context's own methods, for a local context costs more than several sums
add, subtract, multiply = EXACT.add, EXACT.subtract, EXACT.multiply


class Position(Struct, frozen=True, gc=False):
    """A signed quantity and its signed exact cost, quote currency; never rounded in between."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO

    @classmethod
    def valued(cls, quantity: Decimal, mark: Decimal, unrealized_pnl: Decimal) -> "Position":
        """Return the position of which ``unrealized_pnl`` would be earned at ``mark``."""
        return cls(quantity, subtract(multiply(quantity, mark), unrealized_pnl))

    @property
    def average_price(self) -> Decimal:
        """The cost of one unit, derived from the cost and rounded; 0 when there is none."""
        return EXACT.divide(self.cost, self.quantity) if self.quantity else ZERO

    def unrealized_pnl(self, mark: Decimal) -> Decimal:
        """Return what closing at ``mark`` would earn, before fees."""
        return subtract(multiply(self.quantity, mark), self.cost)

    def gains(self, before: Decimal, mark: Decimal) -> bool:
        """Tell whether it is worth more at ``mark`` than it was at ``before``."""
        return mark > before if self.quantity > ZERO else mark < before

    def traded(self, quantity: Decimal, price: Decimal) -> tuple["Position", Decimal]:
        """Return the position with a signed ``quantity`` traded, and the P&L that this realizes.

        Adding averages; reducing realizes against the average cost; crossing zero closes the
        whole position and opens the rest at ``price``. Cost in equals cost out, exactly.
        """
        held, rest = self.quantity, add(self.quantity, quantity)
        if multiply(held, quantity) >= ZERO:
            return Position(rest, add(self.cost, multiply(quantity, price))), ZERO
        if quantity.copy_abs() >= held.copy_abs():
            pnl = subtract(multiply(held, price), self.cost)
            return Position(rest, multiply(rest, price)), pnl
        part = quantity.copy_negate()
        share = self._cost_of(part)
        pnl = subtract(multiply(part, price), share)
        return Position(rest, subtract(self.cost, share)), pnl

    def _cost_of(self, part: Decimal) -> Decimal:
        """The share of the cost that ``part`` of the quantity has, rounded half to even."""
        exponent = min(-DECIMALS, int(self.cost.as_tuple().exponent))
        share = EXACT.divide(multiply(self.cost, part), self.quantity)
        return EXACT.quantize(share, Decimal(1).scaleb(exponent))


FLAT: Final = Position()


class Entry(Struct, frozen=True, gc=False):
    """A fill in the books of its symbol, and what it takes to take it out again."""

    fill: OrderFilled
    before: Position
    realized: Decimal
