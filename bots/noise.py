"""The noise trader: random limit orders near the price, from its own generator."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_DOWN, Decimal
from random import Random

from bots.holdings import Holdings
from bots.resting import Resting
from bots.strategy import buy, cancel, sell
from market.events import Fact, Tick
from market.orders import Command, OrderFilled, PlaceOrder
from market.values import Instrument, Side, Symbol


class Noise:
    """Places a limit order on a share of the ticks and takes its oldest back when it has many.

    The price is up to ``reach`` ticks off on either side, the quantity a tenth to the whole of
    the amount; it sells only what it holds and has not offered yet.
    """

    def __init__(
        self,
        *,
        amounts: Mapping[Symbol, Decimal],
        instruments: Mapping[Symbol, Instrument],
        rng: Random,
        chance: float = 0.25,
        reach: int = 10,
        most: int = 5,
    ) -> None:
        self._amounts, self._instruments, self._rng = amounts, instruments, rng
        self._chance, self._reach, self._most = chance, reach, most
        self._holdings = Holdings()
        self._resting = Resting()

    def decide(self, fact: Fact) -> Sequence[Command]:
        """Return now and then an order, and the cancel of the oldest one."""
        self._resting.apply(fact)
        if isinstance(fact, OrderFilled):
            self._holdings.apply(fact)
        if not isinstance(fact, Tick) or fact.symbol not in self._amounts:
            return ()
        if self._rng.random() >= self._chance:
            return ()
        order = self._order(fact)
        return [*self._cancels(fact.symbol), *([order] if order else [])]

    def _cancels(self, of: Symbol) -> list[Command]:
        resting = self._resting.of(of)
        return [cancel(resting[0].order_id)] if len(resting) >= self._most else []

    def _order(self, tick: Tick) -> PlaceOrder | None:
        """A random order, or None where the dice ask for more than there is to sell."""
        of, instrument = tick.symbol, self._instruments[tick.symbol]
        side = self._rng.choice((Side.BUY, Side.SELL))
        price = tick.price + self._rng.randint(-self._reach, self._reach) * instrument.tick_size
        quantity = self._quantity(of)
        free = self._holdings[of].quantity - self._resting.asked(of, Side.SELL)
        if price <= 0 or quantity <= 0 or (side is Side.SELL and quantity > free):
            return None
        return (buy if side is Side.BUY else sell)(of, quantity, price=price)

    def _quantity(self, of: Symbol) -> Decimal:
        lot = self._instruments[of].lot_size
        wanted = self._amounts[of] * self._rng.randint(1, 10) / 10
        lots = (wanted / lot).to_integral_value(rounding=ROUND_DOWN)
        return max(lots, Decimal(1)) * lot
