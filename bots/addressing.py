"""What a strategy answers, looked through: commands for its account, their members in order."""

from collections.abc import Iterable
from decimal import Decimal
from itertools import islice, product
from typing import Any, Final, get_args, get_type_hints

from msgspec import ValidationError, convert, to_builtins
from msgspec.structs import astuple, replace

from bots.errors import StrategyError
from market.orders import AmendOrder, CancelOrder, Command, PlaceOrder

MOST_ORDERS: Final = 10_000  # at one fact

_LISTS: Final = (tuple, list)


def addressed(answer: Any, account: str) -> tuple[Command, ...]:
    """Return the commands that a strategy has answered, for ``account``.

    Raises:
        StrategyError: there is what is no order, or one for another account, or more than
            MOST_ORDERS of them.
    """
    if answer is None:
        return ()
    if not isinstance(answer, _LISTS):
        if isinstance(answer, Command) or not isinstance(answer, Iterable):
            raise StrategyError(f"decide answers a list of orders, not {answer!r:.80}")
        answer = tuple(islice(answer, MOST_ORDERS + 1))
    if len(answer) > MOST_ORDERS:
        raise StrategyError(f"decide answers {MOST_ORDERS} orders at most, not more at once")
    return tuple([_of(command, account) for command in answer]) if answer else ()


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


def _of(command: Any, account: str) -> Command:
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
    ours: Command = command if command.account else replace(command, account=account)
    return ours


def _clean(command: Any) -> Any:
    """The same command, each member of the type that it is to have."""
    try:
        return convert(to_builtins(command), type=type(command))
    except (TypeError, ValidationError) as error:
        raise StrategyError(f"this order makes no sense: {command!r:.200}: {error}") from error
