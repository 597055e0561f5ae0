"""What a scenario does to the ticks of a source: shocks, regimes, lies, silence and death.

The same object stands behind the ticks of a simulation and those of a live source.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from math import exp, log
from typing import Final

from msgspec import structs

from market.events import Tick
from market.values import Instrument, Symbol
from sources.quoting import quoted

NEVER: Final = float("inf")
MOST_LEVEL: Final = 60.0  # of logarithms: any price times exp(60) is off the market's range


class Lie(StrEnum):
    """How a source may lie: off its grid, of another symbol, always the same, or far off."""

    OFF_GRID = "off_grid"
    FOREIGN = "foreign"
    STUCK = "stuck"
    FAR = "far"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shock:
    """The price is multiplied: by ``1 + move`` from ``over_s`` after ``start`` on.

    It gets there in a straight line of logarithms; with ``recover_s`` it returns the same way,
    after it has held for ``hold_s``; without, the move is for good.
    """

    start: float
    move: float
    over_s: float = 0.0
    hold_s: float = 0.0
    recover_s: float | None = None

    def factor(self, time: float) -> float:
        """Return what the price is multiplied by at ``time``."""
        return exp(log(1 + self.move) * self._share(time - self.start))

    def _share(self, elapsed: float) -> float:
        if elapsed < 0:
            return 0.0
        if elapsed < self.over_s:
            return elapsed / self.over_s
        back = elapsed - self.over_s - self.hold_s
        if self.recover_s is None or back < 0:
            return 1.0
        return max(0.0, 1 - back / self.recover_s) if self.recover_s else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """Something that lasts from ``start`` to ``end``, in seconds."""

    start: float
    end: float = NEVER
    factor: float = 1.0
    lie: Lie | None = None

    def holds(self, time: float) -> bool:
        """Whether it lasts at ``time``."""
        return self.start <= time < self.end


class Distortion:
    """Changes the ticks of one symbol; without shocks and spells it changes nothing."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._shocks: list[Shock] = []
        self._volatility: list[Spell] = []
        self._silences: list[Spell] = []
        self._deaths: list[Spell] = []
        self._lies: list[Spell] = []
        self._level = 0.0  # what volatility has added to the logarithm of the price
        self._last: Decimal | None = None
        self._stuck: Decimal | None = None  # the first price of a lie
        self._is_idle = True

    def shock(self, shock: Shock) -> None:
        """Multiply the price from now on, as ``shock`` says."""
        self._shocks.append(shock)
        self._is_idle = False

    def stir(self, spell: Spell) -> None:
        """Make every return ``factor`` times as large while ``spell`` lasts."""
        self._volatility.append(spell)
        self._is_idle = False

    def silence(self, spell: Spell) -> None:
        """Hold every tick back while ``spell`` lasts."""
        self._silences.append(spell)
        self._is_idle = False

    def kill(self, spell: Spell) -> None:
        """Lose the source while ``spell`` lasts."""
        self._deaths.append(spell)
        self._is_idle = False

    def lie(self, spell: Spell) -> None:
        """Tell lies while ``spell`` lasts."""
        self._lies.append(spell)
        self._is_idle = False

    def is_dead(self, time: float) -> bool:
        """Whether the source is lost at ``time``."""
        return any(spell.holds(time) for spell in self._deaths)

    def applied(self, tick: Tick, time: float) -> Tick | None:
        """Return what the source tells instead of ``tick``; None when it says nothing.

        ``time`` is in seconds since the scenario began.
        """
        if self._is_idle:
            return tick
        self._stir(tick, time)
        if self.is_dead(time) or any(spell.holds(time) for spell in self._silences):
            return None
        told = structs.replace(tick, price=self._price(tick, time))
        lies = [spell for spell in self._lies if spell.holds(time)]
        if not lies:
            self._stuck = None
            return told
        self._stuck = self._stuck or told.price
        return _lied(told, lies[-1], self._instrument, self._stuck)

    def _stir(self, tick: Tick, time: float) -> None:
        if self._last is not None:
            change = log(float(tick.price)) - log(float(self._last))
            for spell in self._volatility:
                if spell.holds(time):
                    level = self._level + (spell.factor - 1) * change
                    self._level = max(-MOST_LEVEL, min(MOST_LEVEL, level))
        self._last = tick.price

    def _price(self, tick: Tick, time: float) -> Decimal:
        factor = exp(self._level)
        for shock in self._shocks:
            factor *= shock.factor(time)
        if factor == 1.0:
            return tick.price
        return quoted(float(tick.price) * factor, self._instrument)


def _lied(tick: Tick, spell: Spell, of: Instrument, stuck: Decimal) -> Tick:
    match spell.lie:
        case Lie.OFF_GRID:
            return structs.replace(tick, price=tick.price + of.tick_size / 3)
        case Lie.FOREIGN:
            return structs.replace(tick, symbol=Symbol(f"{tick.symbol[:9]}X"))
        case Lie.FAR:
            price = quoted(float(tick.price) * spell.factor, of)
            return structs.replace(tick, price=price)
        case _:
            return structs.replace(tick, price=stuck)
