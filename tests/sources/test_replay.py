from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from market.errors import InvalidValueError
from market.values import Instrument, Symbol
from sources.recording import Row
from sources.replay import Speed, replayed

START = datetime(2026, 1, 1, tzinfo=UTC)
TCS = Instrument(symbol=Symbol("TCS"), name="T", tick_size=Decimal("0.01"), lot_size=Decimal(10))


def minutes(*prices: str, volume: str | None = None) -> Iterator[Row]:
    for number, price in enumerate(prices):
        yield Row(
            line=number + 2,
            price=Decimal(price),
            volume=None if volume is None else Decimal(volume),
            time=START + timedelta(minutes=number),
        )


def test_ticks_are_due_at_the_recorded_pace_times_the_speed() -> None:
    plan = replayed(minutes("1", "2", "3"), TCS, Speed(factor=60), datetime.now(UTC))

    assert [due for due, _ in plan] == [0.0, 1.0, 2.0]


def test_at_full_speed_everything_is_due_at_once() -> None:
    plan = replayed(minutes("1", "2", "3"), TCS, Speed(factor=0), datetime.now(UTC))

    assert [due for due, _ in plan] == [0.0, 0.0, 0.0]


def test_a_tick_carries_the_recorded_time_whatever_the_speed() -> None:
    plan = replayed(minutes("1", "2"), TCS, Speed(factor=1000), datetime.now(UTC))

    assert [tick.time for _, tick in plan] == [START, START + timedelta(minutes=1)]


def test_a_recording_without_times_goes_by_an_interval_from_now() -> None:
    untimed = (Row(line=2 + n, price=Decimal(5)) for n in range(3))

    plan = list(replayed(untimed, TCS, Speed(factor=2, interval_s=60), START))

    assert [due for due, _ in plan] == [0.0, 30.0, 60.0]
    assert plan[2][1].time == START + timedelta(minutes=2)


@pytest.mark.parametrize(
    ("price", "volume", "written"),
    [
        ("33.954", "14", ("33.95", "10")),
        ("33.955", "15", ("33.96", "20")),
        ("33.945", "0", ("33.94", "10")),
        ("33.9", None, ("33.90", "10")),
    ],
)
def test_prices_and_volumes_are_rounded_to_their_grids(
    price: str, volume: str | None, written: tuple[str, str]
) -> None:
    plan = replayed(minutes(price, volume=volume), TCS, Speed(), START)

    [(_, tick)] = plan
    assert (str(tick.price), str(tick.volume)) == written


def test_ticks_are_numbered_densely() -> None:
    plan = replayed(minutes("1", "2", "3"), TCS, Speed(), START)

    assert [tick.seq for _, tick in plan] == [1, 2, 3]


@pytest.mark.parametrize(
    ("factor", "interval"), [(-1.0, None), (float("nan"), None), (float("inf"), None), (1.0, 0.0)]
)
def test_a_speed_that_is_none_is_refused(factor: float, interval: float | None) -> None:
    with pytest.raises(InvalidValueError):
        Speed(factor=factor, interval_s=interval)
