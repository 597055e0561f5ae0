"""A recording as a plan of ticks: what is due when, at a multiple of the recorded speed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from market.errors import InvalidValueError
from market.events import Tick
from market.values import Instrument
from sources.quoting import Rounding
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
    """Yield each of the `recorded_ticks` with the second, from the first, at which it is due."""
    first: datetime | None = None
    for tick in recorded_ticks(recorded, instrument, start, speed.interval_s or 0.0):
        first = first or tick.time
        elapsed = (tick.time - first).total_seconds()
        yield elapsed / speed.factor if speed.factor else 0.0, tick


def recorded_ticks(
    recorded: Iterator[Row], instrument: Instrument, start: datetime, interval_s: float
) -> Iterator[Tick]:
    """Yield the ticks of a recording.

    Prices are rounded to the tick grid, volumes to the lot grid, half to even; a volume is at least
    one lot, also where none was recorded. A tick carries the time that was recorded, so that risk
    sees the market's time whatever the speed; in a recording without times, the first tick is of
    ``start`` and the others follow by ``interval_s``.
    """
    price = Rounding("price", instrument.tick_size).nearest
    volume = Rounding("quantity", instrument.lot_size).nearest
    least = volume(Decimal(0))
    for seq, row in enumerate(recorded, 1):
        yield Tick(
            symbol=instrument.symbol,
            price=price(row.price),
            volume=least if row.volume is None else volume(row.volume),
            time=row.time or start + timedelta(seconds=(seq - 1) * interval_s),
            seq=seq,
        )
