"""What all traders of the population share: they see prices, act now and then, and clear up."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from math import inf
from random import Random
from typing import ClassVar, Final

from bots.holdings import Holdings
from bots.resting import Resting
from bots.strategy import StrategyError, buy, cancel, sell
from market.events import Fact, Snapshot, Tick, Trade
from market.orders import Command, OrderFact, OrderFilled, PlaceOrder
from market.values import Instrument, Side, Symbol

ONE: Final = Decimal(1)
MOST: Final = 10.0  # amounts an order
SPANS: Final = ("memory", "horizon", "fast", "slow", "window")  # habits in ticks, 1 at least
PARETO: Final = 2.5  # tail of order sizes; trade sizes have one of about 1.5 to 3


class Trader(ABC):
    """Acts on a share of the ticks; its price is that of the last trade, its value the tick's.

    Where nobody has traded yet the tick's price stands in. Order sizes have a heavy tail: the
    amount times a Pareto variable, at most ``most_amounts`` of it.

    What a kind of trader can be told is in its ``usual`` habits: ``chance`` is the probability of
    acting at a tick, ``most`` the orders that may rest, ``limit`` how many amounts it may be long
    or short.

    Args:
        habits: those of this trader that are not the usual ones of its kind.

    Raises:
        StrategyError: its kind has no such habit, or a habit will not do.
    """

    usual: ClassVar[Mapping[str, float]] = {"chance": 0.1, "most": 3, "limit": 50}

    def __init__(
        self,
        *,
        amounts: Mapping[Symbol, Decimal],
        instruments: Mapping[Symbol, Instrument],
        rng: Random,
        habits: Mapping[str, float] | None = None,
    ) -> None:
        self.amounts, self.instruments, self.rng = amounts, instruments, rng
        known = {**Trader.usual, **self.usual}
        if unknown := sorted(set(habits or {}) - set(known)):
            raise StrategyError(f"{type(self).__name__} has no habit {unknown[0]!r}")
        self.habits = known | dict(habits or {})
        _check(self.habits)
        self.chance, self.limit = self.habits["chance"], self.habits["limit"]
        self.last: dict[Symbol, float] = {}
        self.holdings, self.resting = Holdings(), Resting()
        self.begin()

    def begin(self) -> None:  # noqa: B027  most have nothing to make ready
        """Make ready, the habits being known."""

    def decide(self, fact: Fact) -> Sequence[Command]:
        """Return orders and cancels when its turn has come."""
        match fact:
            case Tick():
                return self._turn(fact) if fact.symbol in self.amounts else ()
            case Trade():
                self.last[fact.symbol] = float(fact.price)
                self.traded(fact)
            case Snapshot():
                for tick in fact.ticks:
                    self.last.setdefault(tick.symbol, float(tick.price))
            case OrderFact():
                self.resting.apply(fact)
                if isinstance(fact, OrderFilled):
                    self.holdings.apply(fact)
        return ()

    @abstractmethod
    def act(self, of: Symbol, tick: Tick) -> PlaceOrder | None:
        """Return the order that its view calls for, if any."""

    def traded(self, trade: Trade) -> None:
        """Take note of a trade."""
        del trade

    def ticked(self, tick: Tick) -> None:
        """Take note of a tick, before it may act on it."""
        del tick

    def activity(self, of: Symbol) -> float:
        """Return how many times as likely it is to act as usual."""
        del of
        return 1.0

    # -- orders ----------------------------------------------------------------------------------

    def at_market(self, of: Symbol, side: Side, share: float = 1.0) -> PlaceOrder | None:
        """Return an order at the market, None where its limit forbids more."""
        quantity = self._quantity(of, side, share)
        return None if quantity is None else (buy if side is Side.BUY else sell)(of, quantity)

    def at_limit(self, of: Symbol, side: Side, price: float) -> PlaceOrder | None:
        """Return an order at a price, put on the grid; None where its limit forbids more."""
        quantity = self._quantity(of, side, 1.0)
        if quantity is None:
            return None
        step = self.instruments[of].tick_size
        ticks = (Decimal(price) / step).quantize(ONE, rounding=ROUND_HALF_EVEN)
        return (buy if side is Side.BUY else sell)(of, quantity, price=max(ticks, ONE) * step)

    def _quantity(self, of: Symbol, side: Side, share: float) -> Decimal | None:
        amount, lot = self.amounts[of], self.instruments[of].lot_size
        held = float(self.holdings[of].quantity / amount) * side.sign
        if held >= self.limit:
            return None
        wanted = min(share * self.rng.paretovariate(PARETO), self.limit - held, MOST)
        lots = (amount * Decimal(wanted) / lot).quantize(ONE, rounding=ROUND_HALF_EVEN)
        return max(lots, ONE) * lot

    def _turn(self, tick: Tick) -> Sequence[Command]:
        of = tick.symbol
        self.last.setdefault(of, float(tick.price))
        self.ticked(tick)
        if self.rng.random() >= self.chance * self.activity(of):
            return ()
        order = self.act(of, tick)
        resting = self.resting.of(of)
        too_many = max(0, len(resting) - int(self.habits["most"]) + 1)
        commands: list[Command] = [cancel(old.order_id) for old in resting[:too_many]]
        return commands if order is None else [*commands, order]


def _check(habits: Mapping[str, object]) -> None:
    for name, value in habits.items():
        least = 1 if name in SPANS else 0
        if not isinstance(value, int | float) or not least <= value < inf:
            raise StrategyError(f"habit {name!r} is a number from {least} up, not {value!r}")
