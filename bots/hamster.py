"""The hamster: buys peaks, and sells dips below the most it paid."""

from decimal import Decimal

from bots.turn_trader import TurnTrader
from bots.turns import Turn


class Hamster(TurnTrader):
    """Buys peaks, and sells everything on a dip below the highest price it paid."""

    buys_on = Turn.PEAK
    sells_on = Turn.DIP

    def sells_at(self, price: Decimal, highest_paid: Decimal) -> bool:
        """Return whether ``price`` is below the highest price paid."""
        return price < highest_paid
