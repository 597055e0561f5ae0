"""What Binance's market streams say, frame by frame, and the ticks that follow from it; no I/O.

The frames are those of the exchange's documented WebSocket streams ``<symbol>@trade`` and
``<symbol>@kline_1m``, raw or in the envelope of a combined stream.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Raw, Struct

from market.errors import MarketError
from market.events import Tick
from market.values import Instrument
from sources.quoting import LIMIT, rounded

TRADE: Final = "trade"
KLINE: Final = "kline_1m"
STREAMS: Final = (TRADE, KLINE)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
AHEAD: Final = timedelta(days=1)
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_MICROSECONDS_FROM: Final = 10**14  # a time in milliseconds is below, until the year 5138


class FrameError(MarketError):
    """A frame is none that the documents describe, or not of what was asked for."""


class Print(
    Struct,
    frozen=True,
    rename={"symbol": "s", "trade_id": "t", "price": "p", "quantity": "q", "time": "T"},
):
    """A trade, as everyone is told of it."""

    symbol: str
    trade_id: int
    price: Decimal
    quantity: Decimal
    time: int


class Candlestick(Struct, frozen=True, rename={"start": "t", "close": "c", "volume": "v"}):
    """How a candle stands: when it started, the last price, the volume so far."""

    start: int
    close: Decimal
    volume: Decimal


class Kline(Struct, frozen=True, rename={"symbol": "s", "time": "E", "candle": "k"}):
    """A candle of a symbol as of a time."""

    symbol: str
    time: int
    candle: Candlestick


class Closing(Struct, frozen=True):
    """The server will close the connection soon."""


class Reply(Struct, frozen=True):
    """The server answers a request; ``problem`` is empty when it did what it was asked to."""

    problem: str = ""


class _Head(Struct, frozen=True):
    e: str = ""
    data: Raw = Raw()
    event: Raw = Raw()
    error: Raw = Raw()
    result: Raw = Raw()
    code: int = 0
    msg: str = ""


Frame = Print | Kline | Closing | Reply

_HEAD: Final = msgspec.json.Decoder(_Head)
_BODIES: Final[dict[str, msgspec.json.Decoder[Print] | msgspec.json.Decoder[Kline]]] = {
    "trade": msgspec.json.Decoder(Print),
    "kline": msgspec.json.Decoder(Kline),
}


def decode(text: str | bytes) -> Frame:
    """Return what a frame says; raise FrameError when that is nothing we know."""
    if isinstance(text, bytes):
        raise FrameError("it is binary")
    try:
        head, body = _HEAD.decode(text), text.encode()
        for inner in (head.data, head.event):
            if len(bytes(inner)) > 2:
                head, body = _HEAD.decode(inner), bytes(inner)
                break
        return _BODIES[head.e].decode(body) if head.e in _BODIES else _told(head)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise FrameError(str(error)) from error


def _told(head: _Head) -> Closing | Reply:
    """Return what a frame says about the connection."""
    if head.e == "serverShutdown":
        return Closing()
    if bytes(head.error) or head.code:
        return Reply(bytes(head.error).decode()[:200] or f"{head.code} {head.msg}"[:200])
    if bytes(head.result):
        return Reply()
    raise FrameError(f"an unknown event {head.e[:40]!r}")


class Quotes:
    """Turns frames into the ticks of a symbol, numbered from 1.

    A trade makes a tick of its price, quantity and time. Without the trades, a candle makes one
    whenever its volume has grown, of its last price and of the growth. Prices are rounded to the
    instrument's tick grid and quantities to its lot grid, half to even, at least one step each.

    Args:
        instrument: what the ticks are called, and their grids.
        symbol: what Binance calls it.
        of_trades: whether ticks come from trades; else from candles.

    Attributes:
        missed: trades that were numbered and never came.
        repeated: trades that came again, and were left out.
    """

    def __init__(self, instrument: Instrument, symbol: str, *, of_trades: bool = True) -> None:
        self._instrument, self._symbol, self._of_trades = instrument, symbol, of_trades
        self._trade_id: int | None = None
        self._traded_at = _EPOCH
        self._candle: Candlestick | None = None
        self._time = _EPOCH
        self.made, self.missed, self.repeated = 0, 0, 0
        self.gap = 0

    def take(self, frame: Print | Kline, now: datetime = _NEVER) -> Tick | None:
        """Return the tick that a frame makes; None when it makes none.

        ``gap`` is then how many trades are missing right before it. A time that is more than
        ``AHEAD`` of ``now`` is not believed, and ``now`` taken for it: what is kept of a symbol is
        counted back from its newest tick.

        Raises:
            FrameError: it is of another symbol, or its numbers are none.
        """
        self.gap = 0
        if frame.symbol != self._symbol:
            raise FrameError(f"it is of {frame.symbol[:20]!r}")
        time = _moment(frame.time)
        time = now if time - AHEAD > now else time
        if isinstance(frame, Kline):
            return None if self._of_trades else self._of_candle(frame, time)
        return self._of_print(frame, time) if self._of_trades else None

    def _of_print(self, trade: Print, time: datetime) -> Tick | None:
        _check(trade.price, trade.quantity)
        known = self._trade_id
        if known is not None and (
            trade.trade_id == known or (trade.trade_id < known and time <= self._traded_at)
        ):
            self.repeated += 1
            return None
        if known is not None and trade.trade_id > known:
            self.gap = trade.trade_id - known - 1
            self.missed += self.gap
        self._trade_id, self._traded_at = trade.trade_id, time
        return self._tick(trade.price, trade.quantity, time)

    def _of_candle(self, update: Kline, time: datetime) -> Tick | None:
        candle, known = update.candle, self._candle
        _check(candle.close)
        if not candle.volume.is_finite() or not 0 <= candle.volume < LIMIT:
            raise FrameError(f"a volume of {str(candle.volume)[:40]}")
        if known is not None and candle.start < known.start:
            self.repeated += 1
            return None
        goes_on = known is not None and candle.start == known.start
        grown = candle.volume - (known.volume if known is not None and goes_on else 0)
        self._candle = candle
        return self._tick(candle.close, grown, time) if grown > 0 else None

    def _tick(self, price: Decimal, volume: Decimal, time: datetime) -> Tick:
        of = self._instrument
        on_grid = of.price(rounded(price, of.tick_size)), of.quantity(rounded(volume, of.lot_size))
        self.made += 1
        self._time = max(self._time, time)
        return Tick(
            symbol=of.symbol, price=on_grid[0], volume=on_grid[1], time=self._time, seq=self.made
        )


def _check(*numbers: Decimal) -> None:
    for number in numbers:
        if not number.is_finite() or not 0 < number < LIMIT:
            raise FrameError(f"a price or quantity of {str(number)[:40]}")


def _moment(time: int) -> datetime:
    if time <= 0:
        raise FrameError(f"a time of {time}")
    try:
        return _EPOCH + timedelta(microseconds=time if time >= _MICROSECONDS_FROM else time * 1000)
    except OverflowError as error:
        raise FrameError(f"a time of {time}") from error
