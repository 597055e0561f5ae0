"""What an operator may do over HTTP: stop the trading of an instrument, and open it again."""

import structlog
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from exchange.api.answers import json, refused
from exchange.api.keys import Keys
from exchange.api.market_data import InstrumentView
from exchange.api.requests import Symbols
from exchange.commands import AnyCommand
from exchange.desk import Desk
from market.bodies import read_body
from market.orders import HaltTrading, ResumeTrading, TradingState
from market.values import Symbol

log = structlog.get_logger("exchange.api")


class TradingWish(Struct, frozen=True, kw_only=True):
    """The body of ``PUT /instruments/{symbol}/state``: what the instrument is to allow.

    ``halted`` and ``cancel_only`` take cancels alone, ``auction`` collects orders; each lasts until
    ``trading`` is wished for, which uncrosses first what an auction collected.
    """

    state: TradingState


class TradingApi:
    """The handler of the trading states; with keys set they need an operator's."""

    def __init__(self, desk: Desk, symbols: Symbols, keys: Keys) -> None:
        self._desk, self._symbols, self._keys = desk, symbols, keys

    async def change(self, request: Request) -> Response:
        """Halt or resume an instrument; return it once the journal has that."""
        self._keys.admit_operator(request)
        symbol = self._symbols.find(str(request.path_params["symbol"]))
        asked = await read_body(request, TradingWish)
        answer = await self._desk.execute(_command(symbol, asked.state))
        if answer.refusal is not None:
            raise refused(answer.refusal)
        log.warning("trading_state_by_hand", symbol=symbol, state=str(asked.state))
        venue = self._desk.venue
        return json(InstrumentView.of(venue.instruments[symbol], venue.trading_state(symbol)))


def _command(symbol: Symbol, state: TradingState) -> AnyCommand:
    if state is TradingState.TRADING:
        return ResumeTrading(symbol=symbol)
    return HaltTrading(symbol=symbol, state=state)
