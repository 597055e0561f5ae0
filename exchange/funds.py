"""Whether an account can pay for what it asks: cash and holdings, or margin where it has it.

A spot account buys with the cash that no open order locks (a limit order locks its own price and
the dearer fee) and sells what no open order may still sell. With leverage or short selling, the
exposure that all its open orders may lead to must stay within leverage x equity; what makes the
exposure smaller is always allowed.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from exchange.accounts import SELL, Account, exposed
from exchange.matching import Sweep
from exchange.positions import MONEY, ZERO, ratio
from exchange.rules import Refusal, Rules
from exchange.statement import Asked
from market.values import Side, Symbol

_add: Final = MONEY.add
_subtract: Final = MONEY.subtract
_multiply: Final = MONEY.multiply


class Funds:
    """The checks of one exchange, at its fees and marks."""

    def __init__(self, rules: Rules, marks: Mapping[Symbol, Decimal]) -> None:
        dearer = max(rules.maker_fee_bps, rules.taker_fee_bps, ZERO)
        self._rate = dearer.scaleb(-4, MONEY)
        self._with_fee = _add(Decimal(1), self._rate)
        self._marks = marks

    def lock(self, side: Side, price: Decimal | None) -> Decimal:
        """Return the cash that each unit of an open order locks."""
        if price is None or side is SELL:
            return ZERO
        return _multiply(price, self._with_fee) if self._rate else price

    def at_price(self, symbol: Symbol, side: Side, quantity: Decimal, price: Decimal) -> Asked:
        """Return what an order at a price asks."""
        value = _multiply(quantity, price)
        return Asked(symbol, side, quantity, value, _multiply(value, self._rate))

    def now(self, symbol: Symbol, side: Side, quantity: Decimal, sweep: Sweep) -> Asked:
        """Return what an order that takes at once asks; it may not find all that it would sell."""
        fee = max(sweep.fee, ZERO)
        if side is not SELL:
            return Asked(symbol, side, sweep.quantity, sweep.notional, fee)
        rest = _multiply(_subtract(quantity, sweep.quantity), self._marks.get(symbol, ZERO))
        return Asked(symbol, side, quantity, _add(sweep.notional, rest), fee)

    def refusal(self, account: Account, asked: Asked, unlocked: Decimal = ZERO) -> Refusal | None:
        """Return why the account cannot have this, if it cannot.

        ``unlocked`` is what the order itself has locked already: cash to buy, quantity to sell.
        """
        if asked.side is SELL and not account.terms.short_selling:
            free = _add(account.free_quantity(asked.symbol), unlocked)
            if asked.quantity > free:
                return Refusal(
                    "insufficient-position",
                    f"{account.name} can sell {free} {asked.symbol}, not {asked.quantity}",
                )
        if account.terms.margin:
            return self._over_margin(account, asked, unlocked)
        return _over_cash(account, asked, unlocked) if asked.side is not SELL else None

    def _over_margin(self, account: Account, asked: Asked, unlocked: Decimal) -> Refusal | None:
        if not asked.quantity or unlocked:  # an order that is open is in the exposure already
            return None
        mark = self._marks.get(asked.symbol) or ratio(asked.value, asked.quantity)
        more = _multiply(exposed(account, asked.symbol, asked.side, asked.quantity), mark)
        if more <= 0:
            return None
        at_mark = _multiply(asked.quantity, mark)
        worse = (
            _subtract(asked.value, at_mark)
            if asked.side is not SELL
            else _subtract(at_mark, asked.value)
        )
        left = _subtract(account.equity(self._marks), _add(max(worse, ZERO), asked.fee))
        exposure = _add(account.exposure(self._marks), more)
        if exposure <= _multiply(left, account.terms.leverage):
            return None
        return Refusal(
            "insufficient-funds",
            f"{account.name} would be exposed to {exposure:f}, above {account.terms.leverage:f} x"
            f" its equity of {left:f}",
        )


def _over_cash(account: Account, asked: Asked, unlocked: Decimal) -> Refusal | None:
    needed, free = _add(asked.value, asked.fee), _add(account.free_cash, unlocked)
    if needed <= free:
        return None
    return Refusal(
        "insufficient-funds", f"{account.name} has {free:f} free, the order needs {needed:f}"
    )
