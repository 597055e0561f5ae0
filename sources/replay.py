"""A recording as a plan of ticks: what is due when, at a multiple of the recorded speed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from market.errors import InvalidValueError
from market.events import Tick
from market.values import Instrument
from sources.quoting import rounded
from sources.recording import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast a recording goes by.

    Args:
        factor: recorded seconds that pass in one; 0 is as fast as the readers read.
        interval_s: seconds from row to row, for a recording without times.
    """

    factor: float = 1.0
    interval_s: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.factor < float("inf"):
            raise InvalidValueError(f"speed {self.factor:g} must be 0 or more")
        if self.interval_s is not None and not 0 < self.interval_s <= 1e9:
            raise InvalidValueError(f"interval {self.interval_s:g} must be above 0")


def replayed(
    recorded: Iterator[Row], instrument: Instrument, speed: Speed, start: datetime
) -> Iterator[tuple[float, Tick]]:
    """Yield each tick of a recording with the second, from the first, at which it is due.

    Prices are rounded to the tick grid, volumes to the lot grid, half to even; a volume is at least
    one lot, also where none was recorded. A tick carries the time that was recorded, so that risk
    sees the market's time whatever the speed; in a recording without times, the first tick is of
    ``start`` and the others follow by the interval.
    """
    first: datetime | None = None
    for number, row in enumerate(recorded):
        time = row.time or start + timedelta(seconds=number * (speed.interval_s or 0.0))
        first = first or time
        elapsed = (time - first).total_seconds()
        due = elapsed / speed.factor if speed.factor else 0.0
        yield due, _tick(row, instrument, time, number + 1)


def _tick(row: Row, instrument: Instrument, time: datetime, seq: int) -> Tick:
    return Tick(
        symbol=instrument.symbol,
        price=instrument.price(rounded(row.price, instrument.tick_size)),
        volume=instrument.quantity(rounded(row.volume or Decimal(0), instrument.lot_size)),
        time=time,
        seq=seq,
    )
