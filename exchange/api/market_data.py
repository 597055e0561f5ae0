"""What everyone may know: instruments, books, the latest prices, who is ahead."""

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from exchange.api.answers import json
from exchange.api.requests import Symbols, count
from exchange.desk import Desk
from exchange.leaderboard import standings
from exchange.merging import Merging
from market.orders import TradingState
from market.problems import ProblemError
from market.values import Instrument, Symbol


class InstrumentView(Struct, frozen=True, kw_only=True):
    """An instrument, and whether it trades."""

    symbol: Symbol
    name: str
    quote: str
    tick_size: Decimal
    lot_size: Decimal
    trading_state: TradingState

    @classmethod
    def of(cls, instrument: Instrument, state: TradingState) -> "InstrumentView":
        """Return how an instrument in a state is told."""
        return cls(
            symbol=instrument.symbol,
            name=instrument.name,
            quote=instrument.quote,
            tick_size=instrument.tick_size,
            lot_size=instrument.lot_size,
            trading_state=state,
        )


class MarketData:
    """The handlers of the public routes."""

    def __init__(
        self,
        desk: Desk,
        merging: Merging,
        instruments: Mapping[Symbol, Instrument],
        symbols: Symbols,
    ) -> None:
        self._desk, self._merging = desk, merging
        self._instruments, self._symbols = instruments, symbols

    async def instruments(self, _: Request) -> Response:
        """Return every instrument."""
        state_of = self._desk.venue.trading_state
        found = [InstrumentView.of(i, state_of(i.symbol)) for i in self._instruments.values()]
        await self._desk.settled()
        return json(found)

    async def book(self, request: Request) -> Response:
        """Return the best levels of a book."""
        symbol = self._symbols.find(str(request.path_params["symbol"]))
        book = self._desk.book(symbol, count(request, "depth", 10, 1000))
        await self._desk.settled()
        return json(book)

    async def market_data(self, request: Request) -> Response:
        """Return the latest price of a symbol."""
        symbol = self._symbols.find(str(request.path_params["symbol"]))
        tick = self._merging.sources[symbol].tick
        if tick is None:
            raise ProblemError(404, "no-price-yet", f"{symbol} has had no price yet.")
        return json(tick)

    async def leaderboard(self, _: Request) -> Response:
        """Return all accounts, the one that has won the most first."""
        found = standings(self._desk.venue.accounts())
        await self._desk.settled()
        return json(found)
