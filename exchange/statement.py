"""Accounts and positions as plain data: as their owner sees them, and as a snapshot keeps them.

And what one asks of the other: the terms of an account, what it realized, what it would trade.
"""

from decimal import Decimal

from msgspec import Struct, field

from market.orders import SelfTradePrevention
from market.values import Side, Symbol

Lot = tuple[Decimal, Decimal, Decimal | None]
"""A signed quantity, its signed cost, and its price if it has a single one."""


class Realized(Struct, frozen=True):
    """What a fill realized, before fees, by average cost and by first in, first out."""

    average: Decimal
    fifo: Decimal


class Asked(Struct, frozen=True, gc=False):
    """What an account would trade, at most: a quantity, its value and the fee on it."""

    symbol: Symbol
    side: Side
    quantity: Decimal
    value: Decimal
    fee: Decimal


class PositionState(Struct, frozen=True, kw_only=True):
    """A position as a snapshot keeps it; ``lots`` stand oldest first."""

    symbol: Symbol
    quantity: Decimal
    cost: Decimal
    lots: tuple[Lot, ...]
    buying: Decimal
    selling: Decimal


class PositionView(Struct, frozen=True, kw_only=True):
    """A position as its owner sees it; ``locked`` is what its open sell orders may still sell."""

    symbol: Symbol
    quantity: Decimal
    average_price: Decimal
    mark: Decimal
    unrealized_pnl: Decimal
    locked: Decimal


class Terms(Struct, frozen=True, kw_only=True):
    """What an account may do; a spot account may neither borrow nor sell what it does not hold."""

    starting_cash: Decimal
    short_selling: bool = False
    leverage: Decimal = Decimal(1)
    self_trade_prevention: SelfTradePrevention = SelfTradePrevention.EXPIRE_TAKER

    @property
    def margin(self) -> bool:
        """Whether its orders are checked against equity instead of cash and holdings."""
        return self.short_selling or self.leverage > 1


class AccountView(Struct, frozen=True, kw_only=True):
    """An account as its owner sees it.

    ``equity = cash + sum(quantity * mark) = starting_cash + realized_pnl + unrealized_pnl``, to
    the last digit; fees are inside ``realized_pnl``, which goes by average cost.
    """

    account: str
    cash: Decimal
    equity: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees: Decimal
    positions: tuple[PositionView, ...]
    locked_cash: Decimal
    realized_pnl_fifo: Decimal
    starting_cash: Decimal
    short_selling: bool
    leverage: Decimal
    self_trade_prevention: SelfTradePrevention


class AccountState(Struct, frozen=True, kw_only=True):
    """An account as a snapshot keeps it."""

    name: str
    terms: Terms
    cash: Decimal
    realized: Decimal
    realized_fifo: Decimal
    fees: Decimal
    locked_cash: Decimal
    traded: bool
    positions: tuple[PositionState, ...] = field(default_factory=tuple)


class Totals(Struct, frozen=True):
    """What all accounts hold together: never more or less than what they were opened with."""

    cash: Decimal
    quantities: dict[Symbol, Decimal]
