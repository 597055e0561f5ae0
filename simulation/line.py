"""The prices of one symbol on their way to the exchange: a source, live or recorded."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from market.errors import SettingsError
from market.events import Tick
from market.settings import Environment, instrument
from market.values import Instrument, Symbol
from simulation.config import RecordingConfig, RunConfig
from simulation.distortion import Distortion
from simulation.errors import ConfigError
from simulation.event_loop import TICK, EventLoop
from simulation.trading_floor import TradingFloor
from sources.app import dues, ticker
from sources.recording import Columns, heading, rows
from sources.replay import Speed, recorded_ticks
from sources.settings import Settings

_MICROSECOND: Final = timedelta(microseconds=1)


class Line:
    """Ticks of one symbol, each when it is due, as the scenario lets them pass.

    Attributes:
        made: how many ticks the source has made so far.
    """

    def __init__(
        self,
        config: RunConfig,
        env: Environment,
        of: Instrument,
        seed: int,
        loop: EventLoop,
        floor: TradingFloor,
    ) -> None:
        self.symbol, self.made = of.symbol, 0
        self.distortion = Distortion(of)
        self._loop, self._floor = loop, floor
        self._triggers: dict[int, list[Callable[[], None]]] = {}
        self._next: Tick | Make
        self._plan: Plan
        recording = config.recordings.get(of.symbol)
        if recording is not None:
            self._plan = _recorded_plan(recorded(recording, of, loop.start), loop.start)
        elif config.recordings:
            self._plan = iter(())  # a backtest has no prices but the recorded ones
        else:
            self._plan = _live_plan(Settings.from_env(env, of.symbol), seed, loop)

    def at_tick(self, number: int, action: Callable[[], None]) -> None:
        """Let something happen just before the source makes that tick."""
        self._triggers.setdefault(number, []).append(action)

    @property
    def awaited(self) -> list[int]:
        """The ticks that something is to happen at, and that have not come."""
        return sorted(self._triggers)

    def begin(self) -> None:
        """Let the first tick come when it is due."""
        self._await_next()

    def _await_next(self) -> None:
        found = next(self._plan, None)
        if found is not None:
            due, self._next = found
            self._loop.at(due, TICK, self._emit)

    def _emit(self) -> None:
        self.made += 1
        if self._triggers:
            for action in self._triggers.pop(self.made, ()):
                action()
        tick = self._next if isinstance(self._next, Tick) else self._next()
        told = self.distortion.applied(tick, self._loop.now / 1e6)
        if told is not None:
            self._floor.hear(self.symbol, told)
        self._await_next()


Make = Callable[[], Tick]
Plan = Iterator[tuple[int, Tick | Make]]
"""When each tick is due, in microseconds from the start, and the tick, or what makes it then."""


def _live_plan(settings: Settings, seed: int, loop: EventLoop) -> Plan:
    return _made(dues(settings, seed), ticker(settings, seed, loop.clock).tick)


def _made(due_s: Iterator[float], make: Make) -> Plan:
    for due in due_s:
        yield round(due * 1e6), make


def _recorded_plan(ticks: Iterator[Tick], start: datetime) -> Plan:
    for tick in ticks:
        yield (tick.time - start) // _MICROSECOND, tick


def recorded(config: RecordingConfig, of: Instrument, start: datetime) -> Iterator[Tick]:
    """Yield the ticks of a recording, each with its recorded time.

    Raises:
        RecordingError: the file is no recording, or a row of it is wrong.
    """
    path = Path(config.file)
    names = heading(path)
    time = config.time_column or ("timestamp" if "timestamp" in names else None)
    if time is None and config.interval_s is None:
        raise ConfigError(f"{path}: no column 'timestamp': give a time column or an interval")
    volume = config.volume_column or ("volume" if "volume" in names else None)
    columns = Columns(price=config.column, time=time, volume=volume)
    found = rows(path, columns, lowest=of.tick_size / 2)
    speed = Speed(interval_s=config.interval_s)
    return recorded_ticks(found, of, start, speed.interval_s or 0.0)


def first_time(config: RunConfig) -> datetime:
    """Return the time at which a run begins: the earliest recorded, else the configured one."""
    try:
        start = datetime.fromisoformat(config.start)
    except ValueError as error:
        raise ConfigError(f"start: {error}") from error
    if start.tzinfo is None:
        raise ConfigError(f"start: {config.start} has no time zone")
    env = config.environment
    times = []
    for name, recording in config.recordings.items():
        first = next(recorded(recording, _instrument(env, name), start), None)
        if first is None:
            raise ConfigError(f"{recording.file}: has no rows")
        times.append(first.time)
    return min(times, default=start)


def recorded_days(config: RunConfig, start: datetime) -> float:
    """Return the days that the recordings last from ``start``, and a second more."""
    env, last = config.environment, start
    for name, recording in config.recordings.items():
        for tick in recorded(recording, _instrument(env, name), start):
            last = max(last, tick.time)
    return (last - start + timedelta(seconds=1)).total_seconds() / 86_400


def _instrument(env: Environment, name: str) -> Instrument:
    try:
        return instrument(env, Symbol(name))
    except SettingsError as error:
        raise ConfigError(f"recordings.{name}: {error}") from error
