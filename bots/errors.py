"""What can go wrong with a strategy that runs."""

from market.errors import MarketError


class StrategyBrokenError(MarketError):
    """The strategy failed on so many facts in a row that it is no use to go on."""
