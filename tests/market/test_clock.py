from datetime import UTC, datetime, timedelta

import pytest

from market.clock import ManualClock, SystemClock


def test_the_system_clock_tells_the_time_in_utc() -> None:
    before = datetime.now(UTC)
    now = SystemClock().now()

    assert before <= now <= datetime.now(UTC)
    assert now.utcoffset() == timedelta(0)


def test_a_manual_clock_stands_still_until_it_is_moved() -> None:
    clock = ManualClock()
    start = clock.now()

    clock.advance(timedelta(seconds=3))

    assert clock.now() - start == timedelta(seconds=3)


def test_a_manual_clock_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        ManualClock().advance(timedelta(microseconds=-1))


def test_a_manual_clock_counts_microseconds_and_spans_together() -> None:
    clock = ManualClock()
    start = clock.now()

    clock.advance_us(1_500_000)
    clock.advance(timedelta(seconds=1))
    clock.advance_us(1)

    assert clock.now() - start == timedelta(seconds=2, microseconds=500_001)
