"""The history of a stream: all of it, whatever happens in between, and its candles."""

import asyncio
import sqlite3
from decimal import Decimal
from pathlib import Path

from structlog.testing import capture_logs

from exchange.archive import Span
from exchange.candle_stream import CandleStream
from exchange.candles import LENGTHS, folded, plain
from exchange.history import History
from exchange.streams import Taped
from market.events import Candle, Fact, Tick, Trade
from tests.exchange.histories import ALL, FACTS, random_ticks, tick
from tests.exchange.markets import BTC, TCS
from tests.streams import eventually


class Life:
    """One process's stream with its history."""

    def __init__(self, folder: Path, most_pending: int = 1000, history: int = 1000) -> None:
        self.market = Taped(folder / "stream", history, facts=FACTS, snapshot=None)
        self.history = History(folder / "history.sqlite", ALL, self.market, most_pending)
        self.candles = CandleStream((BTC, TCS), self.market.hub.publish, self.market.hub.is_wanted)
        self.market.begin(str)
        for candle in self.history.restore(self.candles, (BTC, TCS)):
            self.market.publish(candle)

    def publish(self, fact: Tick | Trade) -> None:
        self.market.publish(fact)
        late = self.candles.take(fact) if isinstance(fact, Tick) else ()
        self.history.take(fact, late)

    @property
    def told(self) -> list[Fact]:
        """The candles on the tape."""
        self.market.commit()
        return [kept.fact for kept in self.market.following(0) if kept.fact.kind == "candle"]

    async def ticks(self) -> list[int]:
        page = await self.history.read(lambda archive: archive.ticks(BTC, Span(), 10_000))
        return [each.seq for each in page.items]

    def killed(self) -> None:
        """End without writing what waits."""
        self.history._pending.clear()
        self.history.close()
        self.market.close()

    async def ended(self) -> None:
        async with self.history.running():
            pass
        self.market.close()


async def test_whoever_asks_sees_all_that_was_published_before(tmp_path: Path) -> None:
    life = Life(tmp_path)
    for n in range(1, 11):
        life.publish(tick(n, after_s=n))
        assert await life.ticks() == list(range(1, n + 1))
    await life.ended()


async def test_after_a_kill_the_history_fills_up_from_the_tape(tmp_path: Path) -> None:
    life = Life(tmp_path)
    for n in range(1, 11):
        life.publish(tick(n, after_s=n))
    await life.history.flush()
    for n in range(11, 31):
        life.publish(tick(n, after_s=n))
    life.killed()

    again = Life(tmp_path)
    assert await again.ticks() == list(range(1, 31))
    again.publish(tick(31, after_s=31))
    assert await again.ticks() == list(range(1, 32))
    await again.ended()


async def test_what_there_is_no_room_for_is_read_from_the_tape(tmp_path: Path) -> None:
    life = Life(tmp_path, most_pending=10)
    with capture_logs() as logs:
        for n in range(1, 101):
            life.publish(tick(n, after_s=n))
        await life.history.flush()  # what waited
        await life.history.flush()  # what did not fit
        life.publish(tick(101, after_s=101))
        found = await life.ticks()
    await life.ended()

    assert found == list(range(1, 102))
    assert life.history.overflows == 1
    assert life.history.lost == 0
    assert [log["event"] for log in logs] == ["history_behind"]


async def test_a_write_that_fails_leaves_no_hole(tmp_path: Path) -> None:
    life = Life(tmp_path)
    blocker = sqlite3.connect(tmp_path / "history.sqlite", isolation_level=None)
    life.history._file._connection.execute("PRAGMA busy_timeout = 10")
    life.publish(tick(1))
    await life.history.flush()
    blocker.execute("BEGIN IMMEDIATE")
    life.publish(tick(2, after_s=1))
    flushing = asyncio.create_task(life.history.flush())
    await eventually(lambda: life.history.overflows == 1)
    blocker.execute("ROLLBACK")
    blocker.close()
    life.publish(tick(3, after_s=2))
    await flushing
    await life.history.flush()

    assert await life.ticks() == [1, 2, 3]
    await life.ended()


async def test_whoever_asks_while_a_write_is_on_its_way_sees_what_it_writes(tmp_path: Path) -> None:
    life = Life(tmp_path)
    assert await life.ticks() == []
    blocker = sqlite3.connect(tmp_path / "history.sqlite", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    life.publish(tick(1))
    flushing = asyncio.create_task(life.history.flush())
    await eventually(lambda: not life.history._pending)
    asking = asyncio.create_task(life.ticks())
    await asyncio.wait({asking}, timeout=0.1)
    blocker.execute("ROLLBACK")
    blocker.close()

    assert await asking == [1]
    await flushing
    await life.ended()


async def test_what_is_not_even_on_the_tape_is_counted(tmp_path: Path) -> None:
    life = Life(tmp_path, most_pending=1, history=100)
    with capture_logs() as logs:
        for n in range(1, 401):
            life.publish(tick(n, after_s=n / 1000))
            life.market.commit()
        await life.history.flush()
        await life.history.flush()
        found = await life.ticks()
    await life.ended()

    assert life.history.lost == 400 - len(found) > 0
    assert found[1:] == list(range(found[1], 401))
    assert "history_lost" in {log["event"] for log in logs}


async def test_candles_go_on_after_a_restart_and_close_once(tmp_path: Path) -> None:
    ticks, lives = random_ticks(400, gap_s=2.0, seed=5), 8
    for n in range(lives):
        life = Life(tmp_path, history=10_000)
        for each in ticks[n * 50 : (n + 1) * 50]:
            life.publish(each)
        if n % 2:
            await life.history.flush()
            life.killed()
        else:
            await life.ended()

    last = Life(tmp_path, history=10_000)
    told = last.told
    await last.ended()
    for symbol in (BTC, TCS):
        rebuilt = folded(plain(each) for each in ticks if each.symbol == symbol)
        newest = {of: max(t for le, t in rebuilt if le == of) for of in LENGTHS}
        expected = [
            bar.candle(symbol, length, closed=True)
            for (length, time), bar in rebuilt.items()
            if time < newest[length]
        ]
        found = [candle for candle in told if candle.subject == symbol]
        key = "{0.interval} {0.time}".format
        assert sorted(found, key=key) == sorted(expected, key=key)


async def test_a_close_that_a_kill_cut_off_is_told_after_it(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.publish(tick(1))
    await life.history.flush()
    life.market.publish(tick(2, after_s=61))  # killed before what it closes was told
    life.killed()

    again = Life(tmp_path)
    told = [(fact.interval, fact.closed) for fact in again.told if isinstance(fact, Candle)]
    await again.ended()
    thrice = Life(tmp_path)
    count = len(thrice.told)
    await thrice.ended()

    assert told == [(interval, True) for interval in ("1s", "5s", "15s", "1m")]
    assert count == len(told)


async def test_a_late_tick_that_is_read_from_the_tape_amends_what_was_closed(
    tmp_path: Path,
) -> None:
    life = Life(tmp_path, most_pending=1)
    life.publish(tick(1))
    life.publish(tick(2, after_s=1.5))  # there is no room for this one
    life.publish(tick(3, after_s=0.2, price="150"))
    await life.history.flush()
    assert not [fact for fact in life.told if isinstance(fact, Candle) and fact.amended]
    await life.history.flush()
    told = [fact for fact in life.told if isinstance(fact, Candle) and fact.amended]
    life.publish(tick(4, after_s=0.3, price="160"))
    life.killed()

    again = Life(tmp_path)
    then = [fact for fact in again.told if isinstance(fact, Candle) and fact.amended]
    await again.ended()
    assert [(fact.interval, fact.trades, fact.high) for fact in told] == [("1s", 2, Decimal(150))]
    assert then[:-1] == told
    assert [(fact.interval, fact.trades, fact.high) for fact in then[-1:]] == [
        ("1s", 3, Decimal(160))
    ]


async def test_a_tick_that_comes_late_amends_what_was_closed(tmp_path: Path) -> None:
    life = Life(tmp_path)
    for n, after_s in enumerate((0.0, 0.5, 1.5, 62.0), start=1):
        life.publish(tick(n, after_s=after_s))
    life.publish(tick(5, after_s=0.2, price="150"))
    await life.history.flush()
    told = [fact for fact in life.told if isinstance(fact, Candle) and fact.amended]
    await life.ended()

    assert [(fact.interval, fact.trades, fact.closed) for fact in told] == [
        ("1s", 3, True),
        ("5s", 4, True),
        ("15s", 4, True),
        ("1m", 4, True),
    ]
    assert {fact.high for fact in told} == {Decimal(150)}
    assert {fact.close for fact in told} == {Decimal(100)}


def test_what_forms_is_told_only_to_those_who_look_and_a_minute_longer() -> None:
    told: list[Fact] = []
    wanted = {("candle:1m", "BTC")}
    stream = CandleStream((BTC, TCS), told.append, lambda topic: topic in wanted)
    stream.take(tick(1))
    stream.take(tick(1, symbol=TCS))
    stream.beat(0.0)
    assert [(fact.topic, fact.closed) for fact in told if isinstance(fact, Candle)] == [
        (("candle:1m", "BTC"), False)
    ]

    stream.beat(0.25)
    assert len(told) == 1, "nothing has changed"

    wanted.clear()
    stream.take(tick(2, after_s=0.1))
    stream.beat(60.0)
    assert len(told) == 2, "who lost the connection shall find it when it is back"

    stream.take(tick(3, after_s=0.2))
    stream.beat(61.0)
    assert len(told) == 2


def test_whoever_begins_to_look_is_told_at_the_next_beat_how_it_stands() -> None:
    told: list[Fact] = []
    wanted: set[tuple[str, str]] = set()
    stream = CandleStream((BTC,), told.append, lambda topic: topic in wanted)
    stream.take(tick(1))
    stream.beat(0.0)
    wanted.add(("candle:1h", "BTC"))
    stream.beat(0.25)
    stream.beat(0.5)

    (candle,) = told
    assert candle.topic == ("candle:1h", "BTC")
