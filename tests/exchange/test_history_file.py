"""The history on disk: exact, once, within its bounds, and read by pages."""

import sqlite3
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from exchange.archive import Place, SlowQueryError, Span
from exchange.candles import INTERVALS, LENGTHS, SECOND, folded, microseconds, plain
from exchange.history_file import HistoryFile, Keeping
from market.events import Tick, Trade
from market.wire import EventId
from tests.builders import EPOCH, NOON
from tests.exchange.histories import ALL, random_ticks, reading, stored, tick, trade
from tests.exchange.markets import BTC, TCS


def test_what_was_stored_comes_back_to_the_digit(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    ticks, trades = [tick(1), tick(2, after_s=0.1, price="100.50")], [trade(1), trade(2)]
    with HistoryFile(path, ALL) as file, reading(path) as archive:
        stored(file, [*ticks, *trades])
        found = archive.ticks(BTC, Span(), 10).items
        found_trades = archive.trades(BTC, Span(forward=False), 10).items

    assert found == ticks
    assert [str(each.price) for each in found] == ["100", "100.50"]
    assert found_trades == trades[::-1]


@given(cuts=st.lists(st.integers(0, 300), max_size=6), shuffled=st.booleans())
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_kept_candles_are_those_rebuilt_from_kept_ticks(
    tmp_path: Path, cuts: list[int], shuffled: bool
) -> None:
    path = tmp_path / "history.sqlite"
    path.unlink(missing_ok=True)
    ticks = random_ticks(300, gap_s=3.0)
    if shuffled:
        Random(3).shuffle(ticks)
    ends = [*sorted(cuts), len(ticks)]
    with HistoryFile(path, ALL) as file, reading(path) as archive:
        for begin, end in zip([0, *ends], ends, strict=False):
            stored(file, list(ticks[begin:end]))
        for symbol in (BTC, TCS):
            kept = archive.ticks(symbol, Span(), 1000).items
            rebuilt = folded(map(plain, kept))
            for length in LENGTHS:
                bars = {(length, bar.time): bar for bar in file.bars(symbol, length, 0, 2**60)}
                assert bars == {key: bar for key, bar in rebuilt.items() if key[0] == length}


def test_an_event_is_in_there_once_however_often_the_process_dies(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    with HistoryFile(path, ALL) as file:
        stored(file, [tick(1)], 7)
    with HistoryFile(path, ALL) as file:
        file._connection.execute("DROP TABLE candles")
        with pytest.raises(sqlite3.Error):
            stored(file, [tick(2, after_s=1)], 9)
    with HistoryFile(path, ALL) as file, reading(path) as archive:
        assert file.progress == EventId(EPOCH, 7)
        assert [each.seq for each in archive.ticks(BTC, Span(), 10).items] == [1]


def test_a_damaged_history_is_put_aside_and_a_new_one_begins(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    path.write_bytes(b"this is no database, whatever its name says" * 100)
    with capture_logs() as logs, HistoryFile(path, ALL) as file:
        stored(file, [tick(1)])

    assert path.with_suffix(".damaged").read_bytes().startswith(b"this is no database")
    assert [log["event"] for log in logs] == ["history_damaged"]


@pytest.mark.no_cover
def test_a_day_at_full_speed_stays_within_its_bounds(tmp_path: Path) -> None:
    """24 h of two markets that tick every second: rows, ages and the file itself are bounded."""
    keeping = Keeping(ticks_hours=2, trades=1000, trades_hours=12, candles=600)
    path = tmp_path / "history.sqlite"
    with HistoryFile(path, keeping) as file, reading(path) as archive:
        sizes = []
        for minutes in range(0, 24 * 60, 10):
            stored(file, [*ticks_of(minutes * 60, 600), *trades_of(minutes * 60, 600)])
            while file.trim(1.0):
                pass
            sizes.append(path.stat().st_size)
            assert file.rows("ticks") <= 2 * (7200 * 1.01 + 600)
            assert file.rows("trades") <= 1000 + 100 + 60
        kept = archive.ticks(BTC, Span(), 10_000).items
        trades = archive.trades(BTC, Span(), 2000).items
        day = archive.candles(BTC, INTERVALS["1d"], Span(), 10).items
        minute = archive.candles(BTC, INTERVALS["1m"], Span(forward=False), 1000).items
        rebuilt = folded(map(plain, kept))
        whole = {key for key in rebuilt if key[1] > microseconds(kept[0].time)}
        bars = {(of, bar.time): bar for of in LENGTHS for bar in file.bars(BTC, of, 0, 2**60)}

    assert timedelta(hours=2) <= kept[-1].time - kept[0].time <= timedelta(hours=2, minutes=3)
    assert [trade.trade_id for trade in trades] == [*range(8641 - len(trades), 8641)]
    assert 1000 <= len(trades) <= 1100
    assert 600 <= len(minute) <= 700
    assert sum(each.trades for each in day) == 86_400
    assert {key: bars[key] for key in whole if key in bars} == {
        key: rebuilt[key] for key in whole if key in bars
    }
    assert len(whole & bars.keys()) > 700
    assert max(sizes[-20:]) <= max(sizes[30:50]) * 1.1


def ticks_of(since: int, seconds: int) -> list[Tick | Trade]:
    return [
        tick(n, after_s=n, price=str(100 + n % 7), symbol=symbol)
        for n in range(since + 1, since + seconds + 1)
        for symbol in (BTC, TCS)
    ]


def trades_of(since: int, seconds: int) -> list[Tick | Trade]:
    return [trade(n // 10, after_s=n) for n in range(since + 10, since + seconds + 1, 10)]


def test_what_is_trimmed_goes_in_chunks_the_oldest_first(tmp_path: Path) -> None:
    with HistoryFile(tmp_path / "history.sqlite", Keeping(ticks=100)) as file:
        stored(file, [tick(n, after_s=n / 1000) for n in range(1, 9001)])
        gone = file.trim(0.0)
        left = 9000 - gone
        assert gone == 2000
        assert file.rows("ticks") == left
        while file.trim(0.0):
            pass
        assert file.rows("ticks") == 100
        assert file._connection.execute("SELECT min(seq) FROM ticks").fetchone() == (8901,)


@pytest.mark.parametrize("forward", [True, False])
def test_pages_of_any_size_make_the_whole(tmp_path: Path, forward: bool) -> None:
    path = tmp_path / "history.sqlite"
    ticks = [tick(n, after_s=n // 5) for n in range(1, 101)]  # several of one time
    with HistoryFile(path, ALL) as file, reading(path) as archive:
        stored(file, list(ticks))
        for limit in (1, 3, 7, 100, 200):
            found: list[Tick] = []
            last: Place | None = None
            while last is not None or not found:
                page = archive.ticks(BTC, Span(forward=forward, after=last), limit)
                found, last = found + page.items, page.last
            assert found == (ticks if forward else ticks[::-1])


def test_only_the_newest_candle_is_not_closed(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    with HistoryFile(path, ALL) as file, reading(path) as archive:
        stored(file, [tick(n, after_s=n) for n in range(1, 5)])
        page = archive.candles(BTC, SECOND, Span(), 10)

    assert [candle.closed for candle in page.items] == [True, True, True, False]


def test_a_query_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    with HistoryFile(path, ALL) as file, reading(path, query_s=-1.0) as archive:
        stored(file, [tick(n, after_s=n / 1000) for n in range(1, 4001)])
        with pytest.raises(SlowQueryError):
            archive._run("SELECT count(*) FROM ticks a, ticks b", ())


def test_times_on_disk_are_whole_microseconds(tmp_path: Path) -> None:
    with HistoryFile(tmp_path / "history.sqlite", ALL) as file:
        stored(file, [tick(1)])
        found = file._connection.execute("SELECT time, price FROM ticks").fetchone()

    assert found == (microseconds(NOON), "100")
