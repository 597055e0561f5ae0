from hypothesis import given, settings
from hypothesis import strategies as st

from charts.candles import INTERVALS, Candle, CandleBuilder

TICKS = st.lists(
    st.tuples(st.integers(0, 50), st.floats(1, 1000).map(lambda x: round(x, 2)), st.integers(1, 9)),
    min_size=1,
    max_size=60,
)


def built(ticks: list[tuple[float, float, float]], interval_s: int) -> list[Candle]:
    builder = CandleBuilder(interval_s)
    closed = [builder.take(*tick) for tick in ticks]
    return [each for each in (*closed, builder.forming) if each is not None]


@given(TICKS, st.sampled_from([1, 5, 15]))
@settings(max_examples=60)
def test_a_candle_is_the_first_the_extremes_and_the_last_of_its_ticks(
    gaps: list[tuple[int, float, int]], interval_s: int
) -> None:
    now, ticks = 1000.0, []
    for gap, price, volume in gaps:
        now += gap / 10
        ticks.append((now, price, float(volume)))

    groups: dict[int, list[tuple[float, float, float]]] = {}
    for tick in ticks:
        groups.setdefault(int(tick[0] // interval_s) * interval_s, []).append(tick)
    expected = [
        Candle(
            began,
            of[0][1],
            max(price for _, price, _ in of),
            min(price for _, price, _ in of),
            of[-1][1],
            sum(volume for _, _, volume in of),
            len(of),
        )
        for began, of in groups.items()
    ]
    assert built(ticks, interval_s) == expected


def test_a_tick_on_the_edge_opens_the_next_candle() -> None:
    builder = CandleBuilder(5)
    builder.take(4.999, 10, 1)
    closed = builder.take(5.0, 11, 1)
    assert closed == Candle(0, 10, 10, 10, 10, 1, 1)
    assert builder.forming == Candle(5, 11, 11, 11, 11, 1, 1)


def test_an_interval_without_a_tick_has_no_candle() -> None:
    assert [candle.time for candle in built([(0, 1, 1), (30, 2, 1)], 5)] == [0, 30]


def test_a_tick_that_is_late_changes_nothing_and_is_counted() -> None:
    builder = CandleBuilder(5)
    builder.take(10, 10, 1)
    assert builder.take(9.9, 99, 1) is None
    assert builder.forming == Candle(10, 10, 10, 10, 10, 1, 1)
    assert builder.late == 1


def test_every_interval_divides_a_day() -> None:
    assert all(86_400 % seconds == 0 for seconds in INTERVALS.values())
