"""What a trader is: facts come in, orders go out, and nothing else happens."""

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from itertools import islice, product
from typing import (
    Any,
    Final,
    Protocol,
    TypeAlias,
    get_args,
    get_type_hints,
    runtime_checkable,
)

from msgspec import ValidationError, convert, to_builtins
from msgspec.structs import astuple, replace

from market.errors import MarketError
from market.events import Fact
from market.orders import AmendOrder, CancelOrder, Command, OrderType, PlaceOrder
from market.values import Side, symbol

Number: TypeAlias = Decimal | int | float | str

MOST_ORDERS: Final = 10_000  # at one fact

_LISTS: Final = (tuple, list)
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
    """Return what the strategy orders on ``fact``, for ``account``, which is all it may trade for.

    Raises:
        StrategyError: it answers what is no order, or one for another account, or more than
            MOST_ORDERS of them; its own exceptions pass.
    """
    answer = strategy.decide(fact)
    if answer is None:
        return ()
    if not isinstance(answer, _LISTS):
        if isinstance(answer, Command) or not isinstance(answer, Iterable):
            raise StrategyError(f"decide answers a list of orders, not {answer!r:.80}")
        answer = tuple(islice(answer, MOST_ORDERS + 1))
    if len(answer) > MOST_ORDERS:
        raise StrategyError(f"decide answers {MOST_ORDERS} orders at most, not more at once")
    return tuple([_addressed(command, account) for command in answer]) if answer else ()


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


class _Form:
    """What the members of a kind of command look like where nothing needs to be put right."""

    def __init__(self, kind: type[Command]) -> None:
        hints = get_type_hints(kind)
        choices = [get_args(hints[name]) or (hints[name],) for name in kind.__struct_fields__]
        plain = [
            tuple(getattr(each, "__supertype__", each) for each in any_of) for any_of in choices
        ]
        self.types = frozenset(product(*plain))
        self.numbers = [at for at, any_of in enumerate(plain) if Decimal in any_of]


_ORDERS: Final = (PlaceOrder, CancelOrder, AmendOrder)
_FORMS: Final = {kind: _Form(kind) for kind in _ORDERS}


def _addressed(command: Any, account: str) -> Command:
    """The command for the bot's account, its numbers decimals whatever they were written as."""
    form = _FORMS.get(type(command))
    if form is None:
        if not isinstance(command, _ORDERS):
            raise StrategyError(f"this is no order: {command!r:.80}")
        form = _Form(type(command))
    values = astuple(command)
    if tuple(map(type, values)) not in form.types:
        command = _clean(command)
        values = astuple(command)
    for at in form.numbers:
        if values[at] is not None and not values[at].is_finite():
            raise StrategyError(f"this order has no finite numbers: {command!r:.200}")
    if command.account and command.account != account:
        named = command.account
        raise StrategyError(f"this order is for {named!r:.80}; a bot trades for itself, {account}")
    addressed: Command = command if command.account else replace(command, account=account)
    return addressed


def _clean(command: Any) -> Any:
    """The same command, each member of the type that it is to have."""
    try:
        return convert(to_builtins(command), type=type(command))
    except (TypeError, ValidationError) as error:
        raise StrategyError(f"this order makes no sense: {command!r:.200}: {error}") from error
