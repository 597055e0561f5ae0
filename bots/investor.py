"""The investor: buys dips, and sells peaks above the most it paid."""

from decimal import Decimal

from bots.turn_trader import TurnTrader
from bots.turns import Turn


class Investor(TurnTrader):
    """Buys dips, and sells everything on a peak above the highest price it paid."""

    buys_on = Turn.DIP
    sells_on = Turn.PEAK

    def sells_at(self, price: Decimal, highest_paid: Decimal) -> bool:
        """Return whether ``price`` is above the highest price paid."""
        return price > highest_paid
