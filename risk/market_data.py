"""What the market says of one asset, in the words of this context, and the event that it arrived.

The anti-corruption layer: exact decimals of the wire become floats here, and nowhere else in risk.
"""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, Protocol

from msgspec import Struct

from market.errors import InvalidValueError
from market.events import Tick
from market.values import Symbol, symbol
from risk.portfolio import Asset

_MOST: Final = 1e15  # far above any grid; squares and sums of it stay finite


class Price(Struct, frozen=True):
    """What one unit costs, in the quote currency; it may be negative, and is below 10^15."""

    value: float

    def __post_init__(self) -> None:
        if not abs(self.value) < _MOST:
            raise InvalidValueError(f"{self.value} is not a price")


class Volume(Struct, frozen=True):
    """How many units were traded; zero or more, below 10^15."""

    value: float

    def __post_init__(self) -> None:
        if not 0 <= self.value < _MOST:
            raise InvalidValueError(f"{self.value} is not a volume")


class MarketData(Struct, frozen=True):
    """Symbol, price and volume of one asset, at one time."""

    symbol: Symbol
    price: Price
    volume: Volume
    time: datetime


class MarketDataFetched(Struct, frozen=True):
    """Market data of an asset arrived, by stream or by request."""

    symbol: Symbol
    price: Price
    volume: Volume
    timestamp: float


class MarketDataFactory:
    """Makes market data of what others say."""

    @classmethod
    def create_market_data(
        cls, symbol: str, price: float, volume: float, time: datetime | None = None
    ) -> MarketData:
        """Return market data of raw values; raise InvalidValueError when one of them is wrong."""
        when = datetime.fromtimestamp(0, UTC) if time is None else time
        return MarketData(_symbol(symbol), Price(float(price)), Volume(float(volume)), when)

    @classmethod
    def of_tick(cls, tick: Tick) -> MarketData:
        """Return the market data of a tick; raise InvalidValueError when a value is wrong."""
        return MarketData(
            tick.symbol, Price(float(tick.price)), Volume(float(tick.volume)), tick.time
        )


_symbol = symbol


class MarketDataSource(Protocol):
    """Where market data is asked for, one symbol at a time."""

    async def get_market_data(self, symbol: Symbol) -> MarketData:
        """Return the latest of ``symbol``; raise MarketError when there is none."""
        ...


class MarketDataService:
    """Asks for the market data of many assets at once."""

    def __init__(self, repository: MarketDataSource, *, at_once: int = 16) -> None:
        self._repository, self._room = repository, asyncio.Semaphore(at_once)

    async def get_market_data(self, symbol: Symbol) -> MarketData:
        """Return the latest of ``symbol``; raise MarketError when there is none."""
        async with self._room:
            return await self._repository.get_market_data(symbol)

    async def get_market_data_for_assets(self, assets: Iterable[Asset]) -> list[MarketData]:
        """Return the latest of each asset, in their order; the first failure ends the others."""
        asked = [asyncio.ensure_future(self.get_market_data(asset.symbol)) for asset in assets]
        try:
            return list(await asyncio.gather(*asked))
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
