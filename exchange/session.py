"""What one instrument allows, until when, and the prices it goes by."""

from datetime import datetime, timedelta
from typing import Final

from exchange.floor import REOPENING, Floor
from exchange.teller import Teller
from market.orders import TradingState
from market.values import Symbol

TRADING: Final = TradingState.TRADING
HALTED: Final = TradingState.HALTED
AUCTION: Final = TradingState.AUCTION


class Session:
    """The trading state of one instrument and its prices in ticks, 0 where there is none.

    ``reference`` is the source's price, ``last`` the newest that may have set off stops; those
    since stops were last elected lie in [``low``, ``high``].
    """

    __slots__ = ("_floor", "_teller", "high", "last", "low", "reference", "state", "symbol",
                 "until")  # fmt: skip

    def __init__(self, symbol: Symbol, floor: Floor, teller: Teller) -> None:
        self.symbol = symbol
        self.state = TRADING
        self.until: datetime | None = None
        self.reference = self.last = self.low = self.high = 0
        self._floor, self._teller = floor, teller

    @property
    def quoted(self) -> bool:
        """Whether the house may quote: there is a price, and orders are taken."""
        return self.reference != 0 and (self.state is TRADING or self.state is AUCTION)

    def change(self, state: TradingState, reason: str, lasts_s: float = 0.0) -> None:
        """Allow something else from now on; with ``lasts_s`` the floor will wake us after it."""
        floor = self._floor
        if self.until is not None:
            floor.let_sleep(self.until, REOPENING, 0, self.symbol)
        self.state = state
        self.until = floor.time + timedelta(seconds=lasts_s) if lasts_s else None
        if self.until is not None:
            floor.wake(self.until, REOPENING, 0, self.symbol)
        self._teller.changed(state, reason, self.until)

    def mark(self, price: int) -> None:
        """Note a price that may set off stops."""
        self.last = price
        if not self.high:
            self.low = self.high = price
        elif price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price

    def restore(
        self, state: TradingState, until: datetime | None, reference: int, last: int
    ) -> None:
        """Stand where a snapshot was taken."""
        self.state, self.until, self.reference, self.last = state, until, reference, last
        if until is not None:
            self._floor.wake(until, REOPENING, 0, self.symbol)
