"""What the venue takes and what it refuses, before anything changes."""

from decimal import Decimal
from typing import Final

from exchange.accounts import SELL, UNLIMITED, Account
from exchange.commands import Charter, ConfigureAccount
from exchange.funds import Funds
from exchange.matching import MatchingEngine
from exchange.positions import MONEY, ZERO
from exchange.rules import Refusal, misshapen
from exchange.settlement import Settlement
from exchange.statement import Asked, Terms
from exchange.ticket import Ticket
from market.errors import InvalidValueError, OffGridError
from market.orders import AmendOrder, PlaceOrder
from market.values import Symbol

_LEAST_LEVERAGE: Final = Decimal(1)
_MOST_LEVERAGE: Final = Decimal(100)
_MOST_CASH: Final = Decimal(10) ** 15
TERM_CODES: Final = {"leverage": "invalid-leverage", "starting_cash": "invalid-cash"}
"""The code of each term that may be unfit; `unfit_terms` says in what."""

_GRID_CODES: Final = {"price": "tick-size", "quantity": "lot-size"}

_subtract: Final = MONEY.subtract
_multiply: Final = MONEY.multiply
_minus: Final = MONEY.minus


class Admission:
    """The checks of a venue under one charter; each says why something is refused, if it is."""

    def __init__(
        self, charter: Charter, engine: MatchingEngine, settlement: Settlement, fresh: set[Symbol]
    ) -> None:
        self._charter, self._engine, self._fresh = charter, engine, fresh
        self._ledger, self._sourced = settlement.ledger, settlement.sourced
        self._funds = Funds(charter.rules, settlement.marks)
        grids = {each.symbol: engine.grids(each.symbol) for each in charter.instruments}
        self._prices = {symbol: prices for symbol, (prices, _) in grids.items()}
        self._quantities = {symbol: quantities for symbol, (_, quantities) in grids.items()}

    def order(self, order: PlaceOrder, account: Account) -> Refusal | None:
        """Return why an order is refused before it meets the book."""
        return self._unfit(order) or self._unaffordable(order, account)

    def amendment(self, command: AmendOrder, ticket: Ticket) -> Refusal | None:
        """Return why an open order may not be amended so."""
        order = ticket.order
        quantity = ticket.quantity if command.quantity is None else command.quantity
        off = self._off_grid(order, quantity, command.price)
        if off or (command.price is None and quantity <= ticket.quantity):
            return off
        price = command.price or ticket.price or order.stop_price or ZERO
        return self.stale(order.symbol) or self._beyond(ticket, quantity, price)

    def _beyond(self, ticket: Ticket, quantity: Decimal, price: Decimal) -> Refusal | None:
        """Return why the account cannot pay for the order as it would be, if it cannot."""
        order, account, had = ticket.order, self._ledger[ticket.order.account], ticket.remaining
        if account.terms.margin and quantity <= ticket.quantity and not _is_worse(ticket, price):
            return None
        left = max(_subtract(quantity, ticket.filled), ZERO)
        asked = self._funds.at_price(order.symbol, order.side, left, price)
        cash = _multiply(had, ticket.lock)
        account.reserve(order.symbol, order.side, _minus(had), _minus(cash))
        try:  # as if it came in now, in its own place
            return self._funds.refusal(account, asked)
        finally:
            account.reserve(order.symbol, order.side, had, cash)

    def terms(self, account: Account, command: ConfigureAccount, terms: Terms) -> Refusal | None:
        """Return why an account may not have these terms."""
        if account.name in UNLIMITED:
            return Refusal("reserved-account", f"{account.name} is the exchange's own account")
        for field, problem in unfit_terms(terms.leverage, terms.starting_cash).items():
            return Refusal(TERM_CODES[field], f"{field} {problem}")
        if account.traded and command.starting_cash is not None:
            return Refusal("starting-cash-fixed", f"{account.name} has placed its first order")
        return None if account.name in self._ledger else self._full()

    def reference(self, symbol: Symbol, price: Decimal) -> Refusal | None:
        """Return why a source's price cannot be one."""
        try:
            self._prices[symbol].nearest(price)
        except InvalidValueError as error:
            return Refusal("tick-size", str(error))
        return None

    def at_the_market(self, ticket: Ticket) -> Refusal | None:
        """Return why a stop order that was set off cannot be paid for."""
        order, left = ticket.order, ticket.remaining
        unlocked = _multiply(left, ticket.lock) if order.side is not SELL else left
        account = self._ledger[order.account]
        return self._funds.refusal(account, self._sweep(order, left), unlocked)

    def _unfit(self, order: PlaceOrder) -> Refusal | None:
        """Return what is wrong with an order whatever its account can pay."""
        symbol = order.symbol
        if symbol not in self._prices:
            return unknown_symbol(symbol)
        if order.account in UNLIMITED:
            return Refusal("reserved-account", f"{order.account} is the exchange's own account")
        return self._off_grid(order, order.quantity, order.price, order.stop_price) or (
            self.stale(symbol)
        )

    def _off_grid(
        self, of: PlaceOrder, quantity: Decimal, *prices: Decimal | None
    ) -> Refusal | None:
        try:
            self._quantities[of.symbol].whole(quantity)
            for price in prices:
                if price is not None:
                    self._prices[of.symbol].whole(price)
        except OffGridError as error:
            return Refusal(_GRID_CODES[error.what], str(error))
        return None

    def stale(self, symbol: Symbol) -> Refusal | None:
        """Return why no order of a symbol is taken now: its source is not heard."""
        if symbol in self._fresh or symbol not in self._sourced:
            return None
        return Refusal("no-fresh-price", f"the source of {symbol} is not heard")

    def _unaffordable(self, order: PlaceOrder, account: Account) -> Refusal | None:
        if account.name not in self._ledger and (full := self._full()):
            return full
        refusal = self._funds.refusal(account, self._asked(order, account))
        return refusal and (misshapen(order) or refusal)

    def _full(self) -> Refusal | None:
        most = self._charter.max_accounts
        if len(self._ledger.accounts) - len(UNLIMITED) < most:
            return None
        return Refusal("too-many-accounts", f"there are {most} accounts, and no more may open")

    def _asked(self, order: PlaceOrder, account: Account) -> Asked:
        price = order.stop_price if order.price is None else order.price
        if price is not None:
            return self._funds.at_price(order.symbol, order.side, order.quantity, price)
        if order.side is SELL and not account.terms.margin:  # only its holdings count
            return Asked(order.symbol, order.side, order.quantity, ZERO, ZERO)
        return self._sweep(order, order.quantity)

    def _sweep(self, order: PlaceOrder, quantity: Decimal) -> Asked:
        sweep = self._engine.cost_to_take(
            order.symbol,
            order.side,
            quantity,
            account=order.account,
            prevention=order.self_trade_prevention,
        )
        return self._funds.now(order.symbol, order.side, quantity, sweep)


def unfit_terms(leverage: Decimal | None, starting_cash: Decimal | None) -> dict[str, str]:
    """Return each of these terms, as far as they are asked for, that none may have, and why."""
    found: dict[str, str] = {}
    if leverage is not None and not _within(leverage, _LEAST_LEVERAGE, _MOST_LEVERAGE):
        found["leverage"] = "must be in [1, 100], to 12 decimals"
    if starting_cash is not None and not _within(starting_cash, ZERO, _MOST_CASH):
        found["starting_cash"] = "must be in [0, 10^15], to 12 decimals"
    return found


def unknown_symbol(symbol: str) -> Refusal:
    """Return the refusal of a symbol that is not traded."""
    return Refusal("unknown-symbol", f"{symbol} is not traded here")


def unknown_account(name: str) -> Refusal:
    """Return the refusal of an account that was never opened."""
    return Refusal("unknown-account", f"there is no account {name}")


def _is_worse(ticket: Ticket, price: Decimal) -> bool:
    """Whether its owner would have to pay more at ``price``, or get less."""
    now = ticket.price or price
    return price < now if ticket.order.side is SELL else price > now


def _within(value: Decimal, least: Decimal, most: Decimal) -> bool:
    return value.is_finite() and least <= value <= most and int(value.as_tuple().exponent) >= -12
