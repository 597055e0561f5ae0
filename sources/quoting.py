"""From the floats of a process to the decimals of the wire: prices and volumes on their grids."""

from datetime import datetime
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from math import isnan, log10
from random import Random
from typing import Final

from market.errors import InvalidValueError
from market.values import Instrument, Ruler
from sources.processes import IntradayProfile

LIMIT: Final = Decimal(10) ** 12  # what the market can hold stays below it
CLIP_VALUE: Final = 100.0  # quote currency: about what the smallest volume of a tick is worth
CLIPS_MAX: Final = 100
DAY_S: Final = 24 * 60 * 60


def quoted(price: float, instrument: Instrument) -> Decimal:
    """Return ``price`` on the tick grid, half to even, never below one tick nor at 10^12.

    Raises:
        InvalidValueError: the price is not a number.
    """
    return Rounding("price", instrument.tick_size).nearest(Decimal(price))


class Rounding(Ruler):
    """Puts numbers on the grid of a step, one after another."""

    __slots__ = ("_most",)

    def __init__(self, what: str, step: Decimal) -> None:
        super().__init__(what, step)
        self._most = LIMIT - step

    def nearest(self, value: Decimal) -> Decimal:
        """Return what is next to ``value`` on the grid, as `rounded` has it.

        Raises:
            InvalidValueError: the value is not a number.
        """
        if self.is_decimal and value.is_finite() and self.step <= value < self._most:
            return value.quantize(self.step, ROUND_HALF_EVEN)
        return self.written(rounded(value, self.step))


def rounded(value: float | Decimal, step: Decimal) -> Decimal:
    """Return the multiple of ``step`` next to ``value``, half to even, within [step, 10^12).

    Raises:
        InvalidValueError: the value is not a number.
    """
    if isnan(value):
        raise InvalidValueError(f"{value} is not a number")
    if value >= LIMIT - step:
        return ((LIMIT / step).to_integral_value(ROUND_CEILING) - 1) * step
    steps = (Decimal(value) / step).to_integral_value(ROUND_HALF_EVEN)
    return max(steps, Decimal(1)) * step


class Volumes:
    """Draws the volume of each tick: 1 to 100 clips, a clip being lots worth about 100 in all.

    A clip is a power of ten of lots, at least one. The generator is the volumes' own, so that no
    draw of theirs moves a price.
    """

    def __init__(
        self,
        instrument: Instrument,
        start: Decimal,
        rng: Random,
        profile: IntradayProfile | None = None,
    ) -> None:
        lot_value = float(start * instrument.lot_size)
        self._clip = 10 ** max(0, round(log10(CLIP_VALUE / lot_value)))
        self._lot, self._rng = instrument.lot_size, rng
        self._grid = Ruler("quantity", instrument.lot_size)
        self._profile = profile if profile is not None and profile.depth else None

    def draw(self, time: datetime) -> Decimal:
        """Return the volume of a tick at ``time``, a positive number of lots."""
        lots = self._clip * (1 + int(self._rng.random() * CLIPS_MAX))
        if self._profile is not None:
            lots = max(1, round(lots * self._profile.weight(_share_of_day(time))))
        return self._grid.written(lots * self._lot)


def _share_of_day(time: datetime) -> float:
    return (time.hour * 3600 + time.minute * 60 + time.second) / DAY_S
