"""What a trader is: facts come in, orders go out, and nothing else happens."""

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from bots.errors import StrategyError
from market.events import Fact
from market.orders import CancelOrder, Command, OrderType, PlaceOrder
from market.values import Side, symbol

__all__ = [
    "Number",
    "Strategy",
    "StrategyError",
    "buy",
    "cancel",
    "sell",
]

Number: TypeAlias = Decimal | int | float | str

_symbol: Final = lru_cache(maxsize=1024)(symbol)  # the same few are asked for at every tick


@runtime_checkable
class Strategy(Protocol):
    """Decides what to order, from the facts of the market and of its own orders alone.

    The facts are ``Tick``, ``Snapshot``, ``SourceState`` and ``Gap`` of the stream, and what
    became of its own orders: ``OrderAccepted``, ``OrderFilled``, ``OrderCancelled``,
    ``OrderExpired``, ``OrderRejected``. No input or output, no clock and no global randomness:
    that is what lets the same object run on the live stream and in a simulation.
    """

    def decide(self, fact: Fact) -> Iterable[Command] | None:
        """Return the orders that ``fact`` calls for; None is as good as no order."""
        ...


def buy(of: str, quantity: Number, *, price: Number | None = None, **more: Any) -> PlaceOrder:
    """Return an order to buy for one's own account: at the market, or a limit at ``price``."""
    return _order(Side.BUY, of, quantity, price, more)


def sell(of: str, quantity: Number, *, price: Number | None = None, **more: Any) -> PlaceOrder:
    """Return an order to sell for one's own account: at the market, or a limit at ``price``."""
    return _order(Side.SELL, of, quantity, price, more)


def cancel(order_id: int) -> CancelOrder:
    """Return the command that takes one's own order back."""
    return CancelOrder(account="", order_id=order_id)


def _order(
    side: Side, of: str, quantity: Number, price: Number | None, more: dict[str, Any]
) -> PlaceOrder:
    if price is not None:
        more.setdefault("type", OrderType.LIMIT)
        more["price"] = _decimal(price)
    return PlaceOrder(
        account="", symbol=_symbol(of), side=side, quantity=_decimal(quantity), **more
    )


def _decimal(value: Number) -> Decimal:
    """Return the number as it is written: 0.1 is 0.1, not the float next to it."""
    return value if isinstance(value, Decimal) else Decimal(str(value))
