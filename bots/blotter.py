"""What a bot has earned, from its own fills, to the last digit, by the average-cost method."""

from collections import deque
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from msgspec import Struct

from market.orders import OrderFilled
from market.values import Symbol

ZERO: Final = Decimal(0)
DECIMALS: Final = 12  # of the cost of a part of a position, as the exchange's ledger has it
MOST_ENTRIES: Final = 1000  # fills of a symbol that a late one may be put before
_EXACT: Final = Context(prec=120, rounding=ROUND_HALF_EVEN)
# a context's own methods, for a local context costs more than several sums
_add, _subtract, _multiply = _EXACT.add, _EXACT.subtract, _EXACT.multiply


class Position(Struct, frozen=True, gc=False):
    """A signed quantity and its signed exact cost, quote currency; never rounded in between."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO

    @classmethod
    def valued(cls, quantity: Decimal, mark: Decimal, unrealized_pnl: Decimal) -> "Position":
        """Return the position of which ``unrealized_pnl`` would be earned at ``mark``."""
        return cls(quantity, _subtract(_multiply(quantity, mark), unrealized_pnl))

    @property
    def average_price(self) -> Decimal:
        """The cost of one unit, derived from the cost and rounded; 0 when there is none."""
        return _EXACT.divide(self.cost, self.quantity) if self.quantity else ZERO

    def unrealized_pnl(self, mark: Decimal) -> Decimal:
        """Return what closing at ``mark`` would earn, before fees."""
        return _subtract(_multiply(self.quantity, mark), self.cost)

    def gains(self, before: Decimal, mark: Decimal) -> bool:
        """Tell whether it is worth more at ``mark`` than it was at ``before``."""
        return mark > before if self.quantity > ZERO else mark < before

    def traded(self, quantity: Decimal, price: Decimal) -> tuple["Position", Decimal]:
        """Return the position with a signed ``quantity`` traded, and the P&L that this realizes.

        Adding averages; reducing realizes against the average cost; crossing zero closes the
        whole position and opens the rest at ``price``. Cost in equals cost out, exactly.
        """
        held, rest = self.quantity, _add(self.quantity, quantity)
        if _multiply(held, quantity) >= ZERO:
            return Position(rest, _add(self.cost, _multiply(quantity, price))), ZERO
        if quantity.copy_abs() >= held.copy_abs():
            pnl = _subtract(_multiply(held, price), self.cost)
            return Position(rest, _multiply(rest, price)), pnl
        part = quantity.copy_negate()
        share = self._cost_of(part)
        pnl = _subtract(_multiply(part, price), share)
        return Position(rest, _subtract(self.cost, share)), pnl

    def _cost_of(self, part: Decimal) -> Decimal:
        """The share of the cost that ``part`` of the quantity has, rounded half to even."""
        exponent = min(-DECIMALS, int(self.cost.as_tuple().exponent))
        share = _EXACT.divide(_multiply(self.cost, part), self.quantity)
        return _EXACT.quantize(share, Decimal(1).scaleb(exponent))


FLAT: Final = Position()


class _Entry(Struct, frozen=True, gc=False):
    """A fill in the books, and what it takes to take it out again."""

    fill: OrderFilled
    before: Position
    realized: Decimal


class Blotter:
    """The books of one bot: cash, positions, P&L, equity and drawdown.

    At all times ``equity = cash + sum(quantity * mark) = starting cash + realized + unrealized``;
    fees are inside the realized P&L. A position that was never marked stands at its cost.
    """

    def __init__(self, starting_cash: Decimal) -> None:
        self.cash = starting_cash
        self.realized_pnl = ZERO
        self.fees = ZERO
        self.positions: dict[Symbol, Position] = {}
        self.marks: dict[Symbol, Decimal] = {}
        self._peak = starting_cash
        self._entries: dict[Symbol, deque[_Entry]] = {}

    @property
    def has_traded(self) -> bool:
        """Whether there is anything in the books."""
        return bool(self.positions or self.realized_pnl or self.fees)

    @property
    def unrealized_pnl(self) -> Decimal:
        """What closing every position at its mark would earn."""
        worth = ZERO
        for of in self.positions:
            worth = _add(worth, self._unrealized(of))
        return worth

    @property
    def equity(self) -> Decimal:
        """Cash and the positions at their marks."""
        worth = self.cash
        for of, position in self.positions.items():
            mark = self.marks.get(of)
            value = position.cost if mark is None else _multiply(position.quantity, mark)
            worth = _add(worth, value)
        return worth

    @property
    def drawdown(self) -> Decimal:
        """How far the equity is below its peak, as a share of the peak; the start is a peak."""
        if self._peak <= ZERO:
            return ZERO
        return _EXACT.divide(_subtract(self._peak, self.equity), self._peak)

    def mark(self, of: Symbol, price: Decimal) -> None:
        """Value the position in a symbol at ``price`` from now on."""
        before, position = self.marks.get(of), self.positions.get(of)
        self.marks[of] = price
        if position is not None and (before is None or position.gains(before, price)):
            self._remember_peak()  # no other mark can make one

    def apply(self, fill: OrderFilled) -> Decimal:
        """Take a fill in; return the P&L that it realizes, its fee included.

        The average cost depends on the order of the trades. A fill that is heard of late is put
        where it belongs, by its trade id, and those after it are booked again.
        """
        before = self.realized_pnl
        entries = self._entries.get(fill.symbol)
        if entries is None:
            entries = self._entries[fill.symbol] = deque(maxlen=MOST_ENTRIES)
        later: list[OrderFilled] = []
        while entries and entries[-1].fill.trade_id > fill.trade_id:
            later.append(self._unbook(entries.pop()))
        for each in (fill, *reversed(later)):
            entries.append(self._book(each))
        self._remember_peak()
        return _subtract(self.realized_pnl, before)

    def _book(self, fill: OrderFilled) -> _Entry:
        quantity, fee = fill.side.sign * fill.quantity, fill.fee
        before = self.positions.pop(fill.symbol, FLAT)
        after, pnl = before.traded(quantity, fill.price)
        if after.quantity:
            self.positions[fill.symbol] = after
        realized = _subtract(pnl, fee)
        self.cash = _subtract(self.cash, _add(_multiply(quantity, fill.price), fee))
        self.realized_pnl = _add(self.realized_pnl, realized)
        self.fees = _add(self.fees, fee)
        return _Entry(fill, before, realized)

    def _unbook(self, entry: _Entry) -> OrderFilled:
        """Take the newest fill of a symbol out again, and return it."""
        fill = entry.fill
        self.positions.pop(fill.symbol, None)
        if entry.before.quantity:
            self.positions[fill.symbol] = entry.before
        paid = _multiply(fill.side.sign * fill.quantity, fill.price)
        self.cash = _add(self.cash, _add(paid, fill.fee))
        self.realized_pnl = _subtract(self.realized_pnl, entry.realized)
        self.fees = _subtract(self.fees, fill.fee)
        return fill

    def adopt(
        self,
        *,
        cash: Decimal,
        realized_pnl: Decimal,
        fees: Decimal,
        positions: Mapping[Symbol, Position],
    ) -> None:
        """Go on from the books of the exchange; the peak before is not known and starts here."""
        self.cash, self.realized_pnl, self.fees = cash, realized_pnl, fees
        self.positions = dict(positions)
        self._entries.clear()
        begin = _subtract(cash, realized_pnl)
        for position in positions.values():
            begin = _add(begin, position.cost)
        self._peak = max(self.equity, begin)

    def _unrealized(self, of: Symbol) -> Decimal:
        mark = self.marks.get(of)
        return ZERO if mark is None else self.positions[of].unrealized_pnl(mark)

    def _remember_peak(self) -> None:
        self._peak = max(self._peak, self.equity)
