"""A live source on a string: its own prices, told as a scenario has it."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import repeat

from starlette.applications import Starlette

from market.clock import SystemClock
from market.events import Tick
from market.server import ServerSettings, serving
from simulation.distortion import Distortion
from sources.app import create_app, create_hub, dues, ticker
from sources.settings import Settings
from sources.source import Source


class PuppetSource(Source):
    """A source whose ticks pass a distortion first, and who tells how many it has made."""

    def __init__(
        self, settings: Settings, seed: int, distortion: Distortion, before: Callable[[], float]
    ) -> None:
        make = ticker(settings, seed, SystemClock()).tick
        of = settings.source.instrument
        hub = create_hub(settings.source.history)
        plan = zip(dues(settings, seed), repeat(make))
        super().__init__(of.symbol, "scenario", hub, plan)
        self._distortion, self._before = distortion, before

    def _publish(self, make: Callable[[], Tick]) -> None:
        seconds = self._before()
        told = self._distortion.applied(make(), seconds)
        if told is not None:
            self.hub.publish(told)


class Puppet:
    """Serves a symbol where the exchange looks for its source; it may die and come back.

    Args:
        before: called before each tick; it returns the seconds since the scenario began.
    """

    def __init__(
        self, settings: Settings, seed: int, distortion: Distortion, before: Callable[[], float]
    ) -> None:
        self._settings, self._seed = settings, seed
        self._distortion, self._before = distortion, before
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._killed = asyncio.Event()
        self.up = asyncio.Event()

    def kill(self) -> None:
        """Stop serving at once, until `revive`."""
        self._wanted.clear()
        self._killed.set()

    def revive(self) -> None:
        """Serve again, as a new process would: with a new history."""
        self._wanted.set()

    async def run(self) -> None:
        """Serve until cancelled; raise PortTakenError when another program has the port."""
        while True:
            await self._wanted.wait()
            self._killed.clear()
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(serving(self._app(), self._server))
                self.up.set()
                await self._killed.wait()

    @property
    def _server(self) -> ServerSettings:
        return self._settings.source.server

    def _app(self) -> Starlette:
        source = PuppetSource(self._settings, self._seed, self._distortion, self._before)
        return create_app(source, self._settings.source.stream)
