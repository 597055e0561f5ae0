"""The customers: strategies that decide, and the runner that carries their orders."""

from bots.blotter import Blotter
from bots.hamster import Hamster
from bots.investor import Investor
from bots.market_maker import MarketMaker
from bots.noise import Noise
from bots.position import Position
from bots.strategy import Strategy, StrategyError, buy, cancel, sell

__all__ = [
    "Blotter",
    "Hamster",
    "Investor",
    "MarketMaker",
    "Noise",
    "Position",
    "Strategy",
    "StrategyError",
    "buy",
    "cancel",
    "sell",
]
