"""The real market as a source: trades of Binance's WebSocket streams, as ticks of ours.

The connection is made again for ever: after it was cut, when the server says that it will close,
before the day ends after which it always does, and when nothing has come for too long although the
line is alive. What was missed in between shows in the trades' own numbers, is logged and counted.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Final, Self
from urllib.parse import urlsplit

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from market.clock import Clock, SystemClock
from market.errors import SettingsError
from market.events import Tick
from market.settings import Environment, real, words
from market.values import Symbol
from sources.binance_frames import (
    KLINE,
    STREAMS,
    TRADE,
    Closing,
    Frame,
    FrameError,
    Quotes,
    Reply,
    decode,
)
from sources.settings import SourceSettings

log = structlog.get_logger("sources.binance")

LIFE_S: Final = 23.5 * 3600  # the server closes every connection after 24 hours
PING_S: Final = 30.0
MOST_BYTES: Final = 256 * 1024  # a frame of ours has a few hundred


@dataclass(frozen=True, slots=True, kw_only=True)
class BinanceSettings:
    """Which stream of which server makes the ticks of a symbol.

    ``url`` is where the server's streams begin; ``name`` is its name of the symbol. ``retry_s`` is
    the shortest and the longest wait before it is connected to again.
    """

    source: SourceSettings
    url: str
    name: str
    streams: tuple[str, ...] = (TRADE,)
    api_key: str = ""
    stall_s: float = 30.0
    retry_s: tuple[float, float] = (1.0, 30.0)
    life_s: float = LIFE_S

    @property
    def address(self) -> str:
        """The url of the stream, or of the combined stream."""
        names = [f"{self.name.lower()}@{stream}" for stream in self.streams]
        if len(names) == 1:
            return f"{self.url}/ws/{names[0]}"
        return f"{self.url}/stream?streams={'/'.join(names)}"

    @classmethod
    def from_env(cls, env: Environment, of: Symbol) -> Self:
        """Read the settings of a symbol; raise SettingsError that names the wrong one."""
        source = SourceSettings.from_env(env, of)
        url = env.optional("BINANCE_WS_URL", _url)
        if url is None:
            raise SettingsError(
                "BINANCE_WS_URL",
                f"is empty, but {of}_PROCESS=binance reads from there: say what it may reach",
            )
        return cls(
            source=source,
            url=url,
            name=env.read(f"{of}_BINANCE_SYMBOL", _name, default=f"{of}{source.instrument.quote}"),
            streams=env.read(f"{of}_BINANCE_STREAMS", _streams, default=(TRADE,)),
            api_key=env.read("BINANCE_API_KEY", str, default=""),
            stall_s=env.read("BINANCE_STALL_S", real(0.05, 86400)),
        )


class BinanceFeed:
    """Reads a symbol's stream for ever.

    Attributes:
        quotes: makes the ticks, and counts the trades that were missed.
        connections: how often it was connected.
        garbled: frames that said nothing we know.
        stalls: how often nothing came for too long.
        is_live: whether it is connected and has had a tick not too long ago.
    """

    def __init__(
        self, settings: BinanceSettings, rng: Random | None = None, clock: Clock | None = None
    ) -> None:
        self._settings, self._rng = settings, rng or Random()
        self._clock = clock or SystemClock()
        self.quotes = Quotes(
            settings.source.instrument, settings.name, of_trades=TRADE in settings.streams
        )
        self.connections, self.garbled, self.stalls, self._failures = 0, 0, 0, 0
        self.is_live = False
        self._heard = 0.0

    async def run(self, publish: Callable[[Tick], object]) -> None:
        """Publish each tick as it comes, until cancelled."""
        while True:
            wait_s = self._wait_s()
            try:
                await self._session(publish)
                wait_s = self._settings.retry_s[0] * self._rng.uniform(0, 0.5)
            except InvalidStatus as error:
                after = error.response.headers.get("Retry-After", "")
                wait_s = max(wait_s, float(after) if after.isdigit() and len(after) < 6 else 0.0)
                self._lost(f"refused with {error.response.status_code}", wait_s)
            except (OSError, TimeoutError, WebSocketException) as error:
                self._lost(f"{type(error).__name__}: {error}"[:200], wait_s)
            self.is_live = False
            await asyncio.sleep(wait_s)

    async def _session(self, publish: Callable[[Tick], object]) -> None:
        """Read one connection until it is time for another one.

        Raises:
            OSError, TimeoutError, WebSocketException: it was lost, or never made.
        """
        settings = self._settings
        self._failures += 1
        async with connect(
            settings.address,
            additional_headers={"X-MBX-APIKEY": settings.api_key} if settings.api_key else None,
            max_size=MOST_BYTES,
            compression=None,
            proxy=None,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            close_timeout=1.0,
        ) as socket:
            self.connections += 1
            log.info("feed_opened", url=settings.address, connections=self.connections)
            with suppress(TimeoutError):
                async with asyncio.timeout(settings.life_s * self._rng.uniform(0.98, 1.0)):
                    await self._follow(socket, publish)
        log.info("feed_changes_connection", url=settings.address)

    async def _follow(self, socket: ClientConnection, publish: Callable[[Tick], object]) -> None:
        """Publish the ticks of a connection until the server says that it will close it.

        Raises:
            ConnectionError: nothing came, not even when it was asked for once more.
        """
        loop, patience = asyncio.get_running_loop(), self._settings.stall_s
        self._heard, asked_again = loop.time(), False
        while True:
            try:
                async with asyncio.timeout_at(self._heard + patience * (2 if asked_again else 1)):
                    message = await socket.recv()
            except TimeoutError:
                if asked_again:
                    raise ConnectionError(f"no tick for {2 * patience:g} s") from None
                await self._ask_again(socket)
                asked_again = True
                continue
            frame = self._decoded(message)
            if isinstance(frame, Closing):
                return
            if self._published(frame, publish):
                self._heard, asked_again = loop.time(), False

    async def _ask_again(self, socket: ClientConnection) -> None:
        """Subscribe once more: the line is alive, but the symbol is silent."""
        self.stalls += 1
        self.is_live = False
        settings = self._settings
        log.warning("feed_stalled", symbol=settings.name, seconds=settings.stall_s)
        names = [f"{settings.name.lower()}@{stream}" for stream in settings.streams]
        request = {"method": "SUBSCRIBE", "params": names, "id": self.stalls}
        await socket.send(json.dumps(request))

    def _decoded(self, message: str | bytes) -> Frame | None:
        try:
            return decode(message)
        except FrameError as error:
            self._garbled(error)
            return None

    def _published(self, frame: Frame | None, publish: Callable[[Tick], object]) -> bool:
        """Publish the tick of a frame; tell whether it had one."""
        if isinstance(frame, Reply) and frame.problem:
            log.warning("feed_request_refused", problem=frame.problem)
        if frame is None or isinstance(frame, Reply | Closing):
            return False
        try:
            tick = self.quotes.take(frame, self._clock.now())
        except FrameError as error:
            self._garbled(error)
            return False
        if self.quotes.gap:
            log.warning("trades_missed", missing=self.quotes.gap, total=self.quotes.missed)
        if tick is None:
            return False
        self.is_live, self._failures = True, 0
        publish(tick)
        return True

    def _garbled(self, error: FrameError) -> None:
        """Count a bad frame; a server that sends nothing else is quoted less and less often."""
        self.garbled += 1
        if self.garbled < 10 or self.garbled & (self.garbled - 1) == 0:
            log.warning("frame_garbled", problem=str(error)[:200], garbled=self.garbled)

    def _lost(self, reason: str, wait_s: float) -> None:
        log.warning("feed_lost", reason=reason, again_in_s=round(wait_s, 1))

    def _wait_s(self) -> float:
        """Return how long to wait after a failure: longer each time, never the same for two."""
        least, most = self._settings.retry_s
        wait_s = min(most, least * 2.0 ** min(self._failures, 30))
        return wait_s * self._rng.uniform(0.5, 1.0)


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError("it must be ws:// or wss://, and a host")
    return text.rstrip("/").removesuffix("/ws").removesuffix("/stream")


def _name(text: str) -> str:
    if not (text.isascii() and text.isalnum() and len(text) <= 20):
        raise ValueError("it must be letters and digits")
    return text.upper()


def _streams(text: str) -> tuple[str, ...]:
    found = words(text)
    if not found or set(found) - set(STREAMS) or len(set(found)) != len(found):
        raise ValueError(f"it must be {TRADE}, {KLINE} or both")
    return found
