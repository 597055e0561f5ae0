"""The ledger: double entry over cash and positions, exact to the last digit.

Every fill moves cash one way and a quantity the other, and its fee goes to the fee account; the
other party's fill does the reverse. So the cash of all accounts together, the house's and the fee
account's included, is the cash that they were opened with, and the quantities of each symbol add
up to zero. The house and the fee account have unlimited means.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from msgspec import structs

from exchange.positions import MONEY, NOTHING, ZERO, Position, plain, total
from exchange.statement import AccountState, AccountView, PositionView, Terms, Totals
from market.orders import OrderFilled
from market.values import Side, Symbol

HOUSE: Final = "house"
FEES: Final = "fees"
UNLIMITED: Final = frozenset((HOUSE, FEES))
"""Names that no customer may take."""

SELL: Final = Side.SELL

_add: Final = MONEY.add
_subtract: Final = MONEY.subtract
_multiply: Final = MONEY.multiply


class Account:
    """The cash and the positions of one customer, and what its open orders lock of them."""

    __slots__ = (
        "cash",
        "fees",
        "locked_cash",
        "name",
        "positions",
        "realized",
        "realized_fifo",
        "terms",
        "traded",
    )

    def __init__(self, name: str, terms: Terms) -> None:
        self.name, self.terms = name, terms
        self.cash = terms.starting_cash
        self.realized = self.realized_fifo = self.fees = self.locked_cash = ZERO
        self.traded = False
        self.positions: dict[Symbol, Position] = {}

    def position(self, symbol: Symbol) -> Position:
        """Return its position in a symbol, a flat one at first."""
        found = self.positions.get(symbol)
        if found is None:
            found = self.positions[symbol] = Position(symbol)
        return found

    @property
    def free_cash(self) -> Decimal:
        """The cash that no open order locks."""
        return _subtract(self.cash, self.locked_cash)

    def free_quantity(self, symbol: Symbol) -> Decimal:
        """Return what may still be sold out of the holdings."""
        found = self.positions.get(symbol)
        return _subtract(found.quantity, found.selling) if found else ZERO

    def reserve(self, symbol: Symbol, side: Side, quantity: Decimal, cash: Decimal) -> None:
        """Lock what an open order may still trade; negative numbers unlock it."""
        position = self.positions.get(symbol) or self.position(symbol)
        if side is SELL:
            position.selling = _add(position.selling, quantity)
            return
        position.buying = _add(position.buying, quantity)
        if cash:
            self.locked_cash = _add(self.locked_cash, cash)

    def apply(self, fill: OrderFilled) -> None:
        """Take in its own part of a trade; the exchange's own accounts realize nothing."""
        signed = fill.quantity.copy_negate() if fill.side is SELL else fill.quantity
        notional = _multiply(signed, fill.price)
        self.cash = _subtract(self.cash, notional)
        position = self.positions.get(fill.symbol) or self.position(fill.symbol)
        if self.name in UNLIMITED:
            position.gather(signed, notional)
        else:
            realized = position.apply(signed, fill.price, notional)
            if realized is not NOTHING:
                self.realized = _add(self.realized, realized.average)
                self.realized_fifo = _add(self.realized_fifo, realized.fifo)
        if fill.fee:
            self.charge(fill.fee)

    def charge(self, fee: Decimal) -> None:
        """Take a fee out of the cash; a negative one is a rebate."""
        self.cash = _subtract(self.cash, fee)
        self.fees = _add(self.fees, fee)
        self.realized = _subtract(self.realized, fee)
        self.realized_fifo = _subtract(self.realized_fifo, fee)

    def equity(self, marks: Mapping[Symbol, Decimal]) -> Decimal:
        """Return cash + sum(quantity * mark); raise KeyError when a held symbol has no mark."""
        worth = self.cash
        for position in self.positions.values():
            if position.quantity:
                worth = _add(worth, _multiply(position.quantity, marks[position.symbol]))
        return worth

    def exposure(self, marks: Mapping[Symbol, Decimal]) -> Decimal:
        """Return the largest sum(abs(quantity) * mark) that its open orders may lead to."""
        found = ZERO
        for position in self.positions.values():
            if exposure := position.exposure:
                found = _add(found, _multiply(exposure, marks[position.symbol]))
        return found

    def view(self, marks: Mapping[Symbol, Decimal]) -> AccountView:
        """Return what its owner may see, valued at ``marks``."""
        held = [p for _, p in sorted(self.positions.items()) if p.quantity]
        positions = tuple(_position_view(p, marks[p.symbol]) for p in held)
        return AccountView(
            account=self.name,
            cash=plain(self.cash),
            equity=plain(self.equity(marks)),
            realized_pnl=plain(self.realized),
            unrealized_pnl=plain(total([p.unrealized(marks[p.symbol]) for p in held])),
            fees=plain(self.fees),
            positions=positions,
            locked_cash=plain(self.locked_cash),
            realized_pnl_fifo=plain(self.realized_fifo),
            starting_cash=plain(self.terms.starting_cash),
            short_selling=self.terms.short_selling,
            leverage=plain(self.terms.leverage),
            self_trade_prevention=self.terms.self_trade_prevention,
        )

    def state(self) -> AccountState:
        """Return everything that `restored` needs."""
        return AccountState(
            name=self.name,
            terms=self.terms,
            cash=self.cash,
            realized=self.realized,
            realized_fifo=self.realized_fifo,
            fees=self.fees,
            locked_cash=self.locked_cash,
            traded=self.traded,
            positions=tuple(p.state() for p in self.positions.values()),
        )

    @classmethod
    def restored(cls, state: AccountState) -> "Account":
        """Return the account whose `state` was kept."""
        account = cls(state.name, state.terms)
        account.cash, account.locked_cash = state.cash, state.locked_cash
        account.realized, account.realized_fifo = state.realized, state.realized_fifo
        account.fees, account.traded = state.fees, state.traded
        account.positions = {p.symbol: Position.restored(p) for p in state.positions}
        return account


class Ledger:
    """Every account by name, the house's and the fee account's among them."""

    def __init__(self) -> None:
        nothing = Terms(starting_cash=ZERO)
        self.accounts = {name: Account(name, nothing) for name in sorted(UNLIMITED)}

    def __contains__(self, name: str) -> bool:
        return name in self.accounts

    def __getitem__(self, name: str) -> Account:
        return self.accounts[name]

    def find(self, name: str) -> Account | None:
        """Return the account, or None when it was never opened."""
        return self.accounts.get(name)

    def add(self, account: Account) -> None:
        """Open an account."""
        self.accounts[account.name] = account

    def configure(self, name: str, terms: Terms) -> None:
        """Give an account new terms; its cash changes only before its first order."""
        account = self.accounts.get(name)
        if account is None or not account.traded:
            self.accounts[name] = Account(name, terms)
        else:
            cash = account.terms.starting_cash
            account.terms = structs.replace(terms, starting_cash=cash)

    def settle(self, fill: OrderFilled) -> Account:
        """Book one side of a trade, and its fee to the fee account; return whose side it was."""
        account = self.accounts[fill.account]
        account.apply(fill)
        if fill.fee:
            self.accounts[FEES].charge(fill.fee.copy_negate())
        return account

    def customers(self) -> list[Account]:
        """Return all accounts but the house's and the fee account, by name."""
        return [self.accounts[name] for name in sorted(self.accounts.keys() - UNLIMITED)]

    def totals(self) -> Totals:
        """Return the sums that no trade may change."""
        quantities: dict[Symbol, Decimal] = {}
        for account in self.accounts.values():
            for symbol, position in account.positions.items():
                held = quantities.get(symbol, ZERO)
                quantities[symbol] = _add(held, position.quantity)
        return Totals(total([a.cash for a in self.accounts.values()]), quantities)

    def state(self) -> tuple[AccountState, ...]:
        """Return everything that `restored` needs."""
        return tuple(account.state() for account in self.accounts.values())

    @classmethod
    def restored(cls, states: Iterable[AccountState]) -> "Ledger":
        """Return the ledger whose `state` was kept."""
        ledger = cls()
        ledger.accounts = {state.name: Account.restored(state) for state in states}
        return ledger


def exposed(account: Account, symbol: Symbol, side: Side, quantity: Decimal) -> Decimal:
    """Return by how much an order would raise the largest quantity that may come to be held."""
    position = account.positions.get(symbol)
    if position is None:
        return quantity
    now = position.exposure
    if side is SELL:
        reached = _subtract(_subtract(position.quantity, position.selling), quantity)
    else:
        reached = _add(_add(position.quantity, position.buying), quantity)
    return max(_subtract(reached.copy_abs(), now), ZERO)


def _position_view(position: Position, mark: Decimal) -> PositionView:
    return PositionView(
        symbol=position.symbol,
        quantity=plain(position.quantity),
        average_price=plain(position.average_price),
        mark=plain(mark),
        unrealized_pnl=plain(position.unrealized(mark)),
        locked=plain(position.selling),
    )
