"""What a strategy is told of what its account holds already, when it begins."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from bots.answers import AccountAnswer, OrderAnswer, PositionAnswer, accepted, filled
from bots.news import OPEN
from market.clock import Clock
from market.orders import Liquidity, OrderFact, OrderFilled
from market.values import Side, Symbol


def told(account: AccountAnswer, orders: Sequence[OrderAnswer], clock: Clock) -> list[OrderFact]:
    """Return the fills that the positions came from, then the orders that stand in the book.

    Where the orders that are known do not add up to a position, one fill at its average price
    stands for all that led to it.
    """
    fills = _fills(orders)
    facts: list[OrderFact] = []
    for position in account.positions:
        found = _since_flat(fills.get(position.symbol, ()), position.quantity)
        facts += found or [_at_average(account.account, position, clock)]
    return [*facts, *(accepted(order) for order in orders if order.status in OPEN)]


def is_explained(account: AccountAnswer, orders: Sequence[OrderAnswer]) -> bool:
    """Tell whether the fills of ``orders`` add up to every position of the account."""
    fills = _fills(orders)
    return all(_since_flat(fills.get(of.symbol, ()), of.quantity) for of in account.positions)


def _fills(orders: Iterable[OrderAnswer]) -> Mapping[Symbol, list[OrderFilled]]:
    fills = [filled(order, fill) for order in orders for fill in order.fills]
    by_symbol: dict[Symbol, list[OrderFilled]] = {}
    for fill in sorted(fills, key=lambda each: each.trade_id):
        by_symbol.setdefault(fill.symbol, []).append(fill)
    return by_symbol


def _since_flat(fills: Sequence[OrderFilled], held: Decimal) -> Sequence[OrderFilled]:
    """The fills after the last moment at which nothing was held; none when that is not among them.

    ``held`` is the position now: so the fills before that moment need not be known.
    """
    for index in range(len(fills) - 1, -1, -1):
        held -= fills[index].side.sign * fills[index].quantity
        if not held:
            return fills[index:]
    return ()


def _at_average(account: str, position: PositionAnswer, clock: Clock) -> OrderFilled:
    return OrderFilled(
        order_id=0,
        account=account,
        symbol=position.symbol,
        time=clock.now(),
        side=Side.BUY if position.quantity > 0 else Side.SELL,
        price=position.average_price,
        quantity=abs(position.quantity),
        fee=Decimal(0),
        liquidity=Liquidity.TAKER,
        trade_id=0,
    )
