"""What can go wrong with a strategy."""

from market.errors import MarketError


class StrategyError(MarketError):
    """A strategy that cannot be found or built, or that answers what is no order."""


class StrategyBrokenError(MarketError):
    """The strategy failed on so many facts in a row that it is no use to go on."""
