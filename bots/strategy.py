"""What a trader is: facts come in, orders go out, and nothing else happens."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Protocol, TypeAlias, runtime_checkable

from msgspec import ValidationError, convert, to_builtins
from msgspec.structs import replace

from market.errors import MarketError
from market.events import Fact
from market.orders import AmendOrder, CancelOrder, Command, OrderType, PlaceOrder
from market.values import Side, symbol

Number: TypeAlias = Decimal | int | float | str


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


class StrategyError(MarketError):
    """A strategy that cannot be found or built, or that answers what is no order."""


def buy(of: str, quantity: Number, *, price: Number | None = None, **more: Any) -> PlaceOrder:
    """Return an order to buy for one's own account: at the market, or a limit at ``price``."""
    return _order(Side.BUY, of, quantity, price, more)


def sell(of: str, quantity: Number, *, price: Number | None = None, **more: Any) -> PlaceOrder:
    """Return an order to sell for one's own account: at the market, or a limit at ``price``."""
    return _order(Side.SELL, of, quantity, price, more)


def cancel(order_id: int) -> CancelOrder:
    """Return the command that takes one's own order back."""
    return CancelOrder(account="", order_id=order_id)


def commands(strategy: Strategy, fact: Fact, account: str) -> tuple[Command, ...]:
    """Return what the strategy orders on ``fact``, for ``account`` where it names none.

    Raises:
        StrategyError: it answers what is no order; its own exceptions pass.
    """
    answer = strategy.decide(fact)
    if answer is None or (isinstance(answer, tuple | list) and not answer):
        return ()
    if isinstance(answer, Command) or not isinstance(answer, Iterable):
        raise StrategyError(f"decide answers a list of orders, not {answer!r:.80}")
    return tuple(_addressed(command, account) for command in answer)


def _order(
    side: Side, of: str, quantity: Number, price: Number | None, more: dict[str, Any]
) -> PlaceOrder:
    if price is not None:
        more = {"type": OrderType.LIMIT, "price": _decimal(price)} | more
    return PlaceOrder(account="", symbol=symbol(of), side=side, quantity=_decimal(quantity), **more)


def _decimal(value: Number) -> Decimal:
    """Return the number as it is written: 0.1 is 0.1, not the float next to it."""
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _addressed(command: object, account: str) -> Command:
    """The command for an account, its numbers decimals whatever they were written as."""
    if not isinstance(command, PlaceOrder | CancelOrder | AmendOrder):
        raise StrategyError(f"this is no order: {command!r:.80}")
    try:
        clean = convert(to_builtins(command), type=type(command))
    except (TypeError, ValidationError) as error:
        raise StrategyError(f"this order makes no sense: {command!r:.200}: {error}") from error
    numbers = (getattr(clean, name) for name in clean.__struct_fields__)
    if not all(each.is_finite() for each in numbers if isinstance(each, Decimal)):
        raise StrategyError(f"this order has no finite numbers: {command!r:.200}")
    return clean if clean.account else replace(clean, account=account)
