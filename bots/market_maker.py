"""The market maker: a bid and an ask around the price, both moved against what it holds."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal

from bots.holdings import Holdings
from bots.resting import Resting
from bots.strategy import buy, cancel, sell
from market.events import Fact, Tick
from market.orders import (
    Command,
    OrderAccepted,
    OrderFact,
    OrderFilled,
    OrderRejected,
    PlaceOrder,
)
from market.values import Instrument, Symbol


class MarketMaker:
    """Quotes a bid and an ask around each tick, and leans against its inventory.

    The quotes stand ``half_spread`` ticks away. With a full inventory (``depth`` amounts) both
    stand ``half_spread`` ticks lower, so that the ask is at the price; it never bids for more,
    and never asks for more than it holds.
    Source of the lean: Avellaneda and Stoikov (2008), High-frequency trading in a limit order
    book, Quantitative Finance 8, 217-224, with a linear reservation price.
    """

    def __init__(
        self,
        *,
        amounts: Mapping[Symbol, Decimal],
        instruments: Mapping[Symbol, Instrument],
        half_spread: int = 3,
        depth: int = 10,
    ) -> None:
        self._amounts, self._instruments = amounts, instruments
        self._half_spread, self._depth = half_spread, depth
        self._holdings = Holdings()
        self._resting = Resting()
        self._leaving: set[int] = set()  # orders whose cancel is on its way
        self._unanswered: dict[Symbol, int] = {}  # orders sent and not heard of

    def decide(self, fact: Fact) -> Sequence[Command]:
        """Return the cancels and orders that bring the quotes to a new tick."""
        if isinstance(fact, OrderFact):
            self._book(fact)
        if not isinstance(fact, Tick) or fact.symbol not in self._amounts:
            return ()
        if self._unanswered.get(fact.symbol) or self._is_leaving(fact.symbol):
            return ()
        return self._move(fact.symbol, list(self._quotes(fact)))

    def _quotes(self, tick: Tick) -> Iterator[PlaceOrder]:
        """The bid and the ask that should stand after ``tick``."""
        of, amount = tick.symbol, self._amounts[tick.symbol]
        held = self._holdings[of].quantity
        full = amount * self._depth
        lean = (held / full * self._half_spread).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
        step = self._instruments[of].tick_size
        bid, ask = (tick.price + (way * self._half_spread - lean) * step for way in (-1, 1))
        if held + amount <= full and bid > 0:
            yield buy(of, amount, price=bid, post_only=True)
        if held > 0 and ask > 0:
            yield sell(of, min(amount, held), price=ask, post_only=True)

    def _move(self, of: Symbol, wanted: list[PlaceOrder]) -> list[Command]:
        """Cancel what is not wanted any more, and place what does not stand yet."""
        quotes = {(each.side, each.price): each for each in wanted}
        commands: list[Command] = []
        for order in self._resting.of(of):
            if quotes.pop((order.side, order.price), None) is None:
                self._leaving.add(order.order_id)
                commands.append(cancel(order.order_id))
        self._unanswered[of] = len(quotes)
        return [*commands, *quotes.values()]

    def _is_leaving(self, of: Symbol) -> bool:
        return any(order.order_id in self._leaving for order in self._resting.of(of))

    def _book(self, fact: OrderFact) -> None:
        known = fact.order_id in self._resting
        self._resting.apply(fact)
        if fact.order_id not in self._resting:
            self._leaving.discard(fact.order_id)
        if isinstance(fact, OrderFilled):
            self._holdings.apply(fact)
        elif isinstance(fact, OrderAccepted | OrderRejected) and not known:
            self._unanswered[fact.symbol] = max(0, self._unanswered.get(fact.symbol, 0) - 1)
