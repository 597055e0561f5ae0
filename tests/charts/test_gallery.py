import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count

import pytest

from charts import gallery as module
from charts.candles import Candle
from charts.exchange_client import Archive, History
from charts.gallery import AGAIN_S, LATE_S, Gallery
from market.events import Tick
from market.values import Symbol


class Past(Archive):
    """What an exchange keeps: the same candle always, and how often it was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    async def history(self, symbol: str, interval: str, count: int) -> History:
        self.asked += 1
        return History([Candle(0, 1.0, 1.0, 1.0, 1.0, 1.0)], None, 0)


class Gone:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def a_tick_at(second: float, seq: int) -> Tick:
    time = datetime.fromtimestamp(second, UTC)
    return Tick(symbol=Symbol("BTC"), price=Decimal(1), volume=Decimal(1), time=time, seq=seq)


async def test_a_series_that_missed_a_late_tick_is_filled_anew_but_not_all_the_time() -> None:
    past, clock, numbers = Past(), Gone(), count(1)
    gallery = Gallery(past, stamp=lambda: next(numbers), kept=10, most=2, now=clock)
    first = await gallery.ready("BTC", "1s", 1.0)
    assert first is not None
    gallery.take(a_tick_at(5, 1))
    gallery.take(a_tick_at(3, 2))
    assert first.late == 1
    assert gallery.want("BTC", "1s") is first
    clock.now = LATE_S + 1
    gallery.take(a_tick_at(5, 3))
    second = await gallery.ready("BTC", "1s", 1.0)
    assert second is not None
    assert second is not first
    assert (past.asked, second.late) == (2, 0)
    gallery.drop()
    await asyncio.sleep(0)


class Waited(Past):
    """A past that is told when the test lets it be, and goes up to a tick."""

    def __init__(self, seq: int) -> None:
        super().__init__()
        self.seq, self.gate = seq, asyncio.Event()

    async def history(self, symbol: str, interval: str, count: int) -> History:
        self.asked += 1
        await self.gate.wait()
        return History([], Candle(0, 1.0, 1.0, 1.0, 1.0, volume=float(self.seq)), self.seq)


async def test_a_tick_that_the_past_holds_already_does_not_count_twice() -> None:
    past, numbers = Waited(seq=3), count(1)
    gallery = Gallery(past, stamp=lambda: next(numbers), kept=10, most=2)
    gallery.want("BTC", "1m")
    gallery.take(a_tick_at(2, 2))
    past.gate.set()
    series = await gallery.ready("BTC", "1m", 1.0)
    assert series is not None
    for seq in (3, 4):  # the stream may be behind the answer
        gallery.take(a_tick_at(seq, seq))
    assert series.forming is not None
    assert series.forming.volume == 4
    gallery.drop()


async def test_ticks_without_room_to_wait_are_asked_for_and_not_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    past, clock, numbers = Waited(seq=0), Gone(), count(1)
    gallery = Gallery(past, stamp=lambda: next(numbers), kept=10, most=2, now=clock)
    gallery.want("BTC", "1m")
    for seq in (1, 2, 3):
        gallery.take(a_tick_at(seq, seq))
    past.gate.set()
    assert await gallery.ready("BTC", "1m", 1.0) is None
    past.seq, clock.now = 3, AGAIN_S + 1
    series = await gallery.ready("BTC", "1m", 1.0)
    assert series is not None
    assert series.forming is not None
    assert series.forming.volume == 3
    gallery.drop()
