"""What can go wrong with a simulation, beside what can go wrong with a market."""

from market.errors import MarketError


class ConfigError(MarketError):
    """A configuration, a scenario or an assertion makes no sense; the message says where."""


class StuckError(MarketError):
    """So much happened at one instant that time would never go on."""
