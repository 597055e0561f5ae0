"""What a bot has earned, from its own fills, to the last digit, by the average-cost method."""

from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from bots.position import EXACT, FLAT, ZERO, Entry, Position, add, multiply, subtract
from market.orders import OrderFilled
from market.values import Symbol

MOST_ENTRIES: Final = 1000  # fills of a symbol that a late one may be put before


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
        self._entries: dict[Symbol, deque[Entry]] = {}

    @property
    def has_traded(self) -> bool:
        """Whether there is anything in the books."""
        return bool(self.positions or self.realized_pnl or self.fees)

    @property
    def unrealized_pnl(self) -> Decimal:
        """What closing every position at its mark would earn."""
        worth = ZERO
        for of in self.positions:
            worth = add(worth, self._unrealized(of))
        return worth

    @property
    def equity(self) -> Decimal:
        """Cash and the positions at their marks."""
        worth = self.cash
        for of, position in self.positions.items():
            mark = self.marks.get(of)
            value = position.cost if mark is None else multiply(position.quantity, mark)
            worth = add(worth, value)
        return worth

    @property
    def drawdown(self) -> Decimal:
        """How far the equity is below its peak, as a share of the peak; the start is a peak."""
        if self._peak <= ZERO:
            return ZERO
        return EXACT.divide(subtract(self._peak, self.equity), self._peak)

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
        return subtract(self.realized_pnl, before)

    def _book(self, fill: OrderFilled) -> Entry:
        quantity, fee = fill.side.sign * fill.quantity, fill.fee
        before = self.positions.pop(fill.symbol, FLAT)
        after, pnl = before.traded(quantity, fill.price)
        if after.quantity:
            self.positions[fill.symbol] = after
        realized = subtract(pnl, fee)
        self.cash = subtract(self.cash, add(multiply(quantity, fill.price), fee))
        self.realized_pnl = add(self.realized_pnl, realized)
        self.fees = add(self.fees, fee)
        return Entry(fill, before, realized)

    def _unbook(self, entry: Entry) -> OrderFilled:
        """Take the newest fill of a symbol out again, and return it."""
        fill = entry.fill
        self.positions.pop(fill.symbol, None)
        if entry.before.quantity:
            self.positions[fill.symbol] = entry.before
        paid = multiply(fill.side.sign * fill.quantity, fill.price)
        self.cash = add(self.cash, add(paid, fill.fee))
        self.realized_pnl = subtract(self.realized_pnl, entry.realized)
        self.fees = subtract(self.fees, fill.fee)
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
        begin = subtract(cash, realized_pnl)
        for position in positions.values():
            begin = add(begin, position.cost)
        self._peak = max(self.equity, begin)

    def _unrealized(self, of: Symbol) -> Decimal:
        mark = self.marks.get(of)
        return ZERO if mark is None else self.positions[of].unrealized_pnl(mark)

    def _remember_peak(self) -> None:
        self._peak = max(self._peak, self.equity)
