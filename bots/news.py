"""What is new in an answer of the exchange: each fact is told once, however often it is read."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from bots.answers import OrderAnswer, accepted, ended, filled
from market.orders import OrderFact, Status

MOST_REMEMBERED: Final = 100_000  # orders; those that rest are not forgotten
OPEN: Final = frozenset({Status.OPEN, Status.PARTIALLY_FILLED})


@dataclass(slots=True)
class _Told:
    """What was told about one order."""

    trades: set[int] = field(default_factory=set)
    over: bool = False


class News:
    """Turns the answers about orders into facts that were not told before."""

    def __init__(self) -> None:
        self._told: OrderedDict[int, _Told] = OrderedDict()
        self.newest = 0
        """The highest number of an order so far."""
        self.resting: dict[int, OrderAnswer] = {}

    def read(self, answer: OrderAnswer, *, price: Decimal | None = None) -> list[OrderFact]:
        """Return what is new in ``answer``, in order; ``price`` is the limit, if it has none."""
        self.newest = max(self.newest, answer.order_id)
        known = self.resting.get(answer.order_id)
        limit = answer.price or price or (known.price if known else None)
        return list(self._facts(replace(answer, price=limit)))

    def is_over(self, order_id: int) -> bool:
        """Tell whether it was told how the order ended."""
        told = self._told.get(order_id)
        return told is not None and told.over

    def _facts(self, answer: OrderAnswer) -> Iterator[OrderFact]:
        told = self._told.get(answer.order_id)
        if told is None:
            told = self._remember(answer.order_id)
            if answer.status is not Status.REJECTED:
                yield accepted(answer)
        for fill in answer.fills:
            if fill.trade_id not in told.trades:
                told.trades.add(fill.trade_id)
                yield filled(answer, fill)
        if told.over:
            return
        if answer.status in OPEN:
            self.resting[answer.order_id] = answer
            return
        told.over = True
        self.resting.pop(answer.order_id, None)
        yield from ended(answer)

    def _remember(self, order_id: int) -> _Told:
        told = self._told[order_id] = _Told()
        if len(self._told) > MOST_REMEMBERED:
            oldest = next((each for each in self._told if each not in self.resting), order_id)
            del self._told[oldest]
        return told
