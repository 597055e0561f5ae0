from itertools import count

from charts.series import COLUMNS, Series
from tests.charts.builders import waves


def a_series(candles: int = 0, *, kept: int = 500) -> Series:
    numbers = count(1)
    return Series(
        "BTC", "1m", stamp=lambda: next(numbers), closed=waves(candles), forming=None, kept=kept
    )


def test_a_chart_begins_with_everything_and_goes_on_with_what_changed() -> None:
    series = a_series(40)
    first = series.since(0)
    assert first is not None
    assert first["all"]
    assert len(first["rows"]) == 40
    assert series.since(1) is None

    series.take(40 * 60, 110.0, 1.0)
    series.take(40 * 60 + 1, 111.0, 1.0)
    news = series.since(1)
    assert news is not None
    assert not news["all"]
    assert [row[:6] for row in news["rows"]] == [[2400, 110.0, 111.0, 110.0, 111.0, 2.0]]


def test_the_close_of_a_candle_is_sent_with_the_one_that_forms() -> None:
    series = a_series(40)
    series.take(2400, 110.0, 1.0)
    series.take(2460, 120.0, 1.0)
    news = series.since(2)
    assert news is not None
    assert [row[0] for row in news["rows"]] == [2400, 2460]


def test_a_forming_candle_has_its_indicators() -> None:
    series = a_series(40)
    series.take(2400, 110.0, 1.0)
    news = series.since(0)
    assert news is not None
    last = dict(zip(COLUMNS, news["rows"][-1], strict=True))
    assert all(last[name] is not None for name in COLUMNS)


def test_a_series_keeps_no_more_than_it_shows() -> None:
    series = a_series(100, kept=30)
    news = series.since(0)
    assert news is not None
    assert len(news["rows"]) == 30


def test_whoever_was_away_longer_than_the_series_remembers_begins_anew() -> None:
    series = a_series(0, kept=3)
    for minute in range(10):
        series.take(60.0 * minute, 100.0, 1.0)
    news = series.since(3)
    assert news is not None
    assert news["all"]
