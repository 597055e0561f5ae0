"""Candles: whatever order the ticks come in, and however they are cut up, the same to the digit."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from exchange.candle_stream import CandleStream
from exchange.candles import (
    INTERVALS,
    LENGTHS,
    SECOND,
    Bar,
    CandleBuilder,
    bars_of,
    folded,
    microseconds,
    moment,
    parts_of,
    plain,
)
from market.events import Fact, Tick
from market.values import Symbol
from tests.builders import a_tick

NOON = 1_767_355_200 * SECOND  # 2026-01-02T12:00:00Z
Plain = tuple[int, Decimal, Decimal]

prices = st.integers(1, 10_000).map(lambda n: Decimal(n).scaleb(-2))
volumes = st.integers(1, 10**15).map(lambda n: Decimal(n).scaleb(-5))
ticks = st.lists(st.tuples(st.integers(0, 40_000 * SECOND), prices, volumes), max_size=60)
near = st.lists(st.tuples(st.integers(0, 40 * SECOND), prices, volumes), max_size=60)


def by_the_definition(found: list[Plain], length: int) -> dict[int, Bar]:
    """Return the candles as one would compute them on paper."""
    spans: dict[int, list[Plain]] = {}
    for tick in found:
        spans.setdefault(tick[0] // length * length, []).append(tick)
    return {time: whole(time, within) for time, within in spans.items()}


def whole(time: int, within: list[Plain]) -> Bar:
    ordered = sorted(within, key=lambda tick: tick[0])
    first, last = ordered[0], ordered[-1]
    seen = [price for _, price, _ in within]
    volume = sum(int(each.scaleb(5)) for _, _, each in ordered)
    return Bar(
        time,
        first[1],
        max(seen),
        min(seen),
        last[1],
        Decimal(volume).scaleb(-5),
        len(within),
        first[0],
        last[0],
    )


def merged(bars: dict[tuple[int, int], Bar], more: dict[tuple[int, int], Bar]) -> None:
    for key, bar in more.items():
        if key in bars:
            bars[key].merge(bar)
        else:
            bars[key] = bar


@given(st.one_of(ticks, near).map(lambda found: [*found, (0, Decimal(1), Decimal(1))]))
def test_the_candles_are_what_the_definition_says(found: list[Plain]) -> None:
    bars = folded(found)

    for length in LENGTHS:
        expected = by_the_definition(found, length)
        assert {time: bar for (of, time), bar in bars.items() if of == length} == expected


@given(st.one_of(ticks, near))
def test_bars_of_ticks_are_those_of_plain_ones(found: list[Plain]) -> None:
    assert bars_of(map(as_tick, found)) == folded(found)


def as_tick(found: Plain) -> Tick:
    at, price, volume = found
    return Tick(symbol=Symbol("BTC"), price=price, volume=volume, time=moment(at), seq=1)


@given(st.one_of(near, near.map(sorted)), st.sets(st.integers(0, 60)))
def test_the_stream_of_candles_is_that_of_a_builder(found: list[Plain], beats: set[int]) -> None:
    builder, published = CandleBuilder(), list[Fact]()
    symbol = Symbol("BTC")
    stream = CandleStream([symbol], published.append, lambda _: True)
    for n, plain_tick in enumerate(found):
        late = {(symbol, *key) for key in builder.closed_around(plain_tick[0])}
        closed = builder.take(*plain_tick)
        published.clear()
        assert set(stream.take(as_tick(plain_tick))) == late
        assert published == [bar.candle(symbol, of, closed=True) for of, bar in closed]
        if n in beats:
            published.clear()
            stream.beat(float(n))
            forming = [builder.forming(length) for length in LENGTHS]
            assert published == [
                bar.candle(symbol, length, closed=False)
                for length, bar in zip(LENGTHS, forming, strict=True)
                if bar is not None
            ]


def test_the_last_second_that_can_be_told_has_candles() -> None:
    last = as_tick((0, Decimal(1), Decimal(1)))
    for microsecond in (0, 500_000, 999_999):
        time = datetime.max.replace(tzinfo=UTC, microsecond=microsecond)
        ended = structs.replace(last, time=time)
        assert bars_of([ended, ended]) == folded([plain(ended)] * 2)
        stream = CandleStream([last.symbol], lambda _: None, lambda _: True)
        assert not [*stream.take(ended), *stream.take(ended)]


@given(near, st.lists(st.integers(0, 60), max_size=4))
def test_parts_merge_into_what_the_whole_is(found: list[Plain], cuts: list[int]) -> None:
    bars: dict[tuple[int, int], Bar] = {}
    ends = [*sorted(min(cut, len(found)) for cut in cuts), len(found)]
    for begin, end in zip([0, *ends], ends, strict=False):
        merged(bars, folded(found[begin:end]))

    assert bars == folded(found)


@given(st.one_of(ticks, near))
def test_what_is_built_tick_by_tick_is_what_is_rebuilt_from_all(found: list[Plain]) -> None:
    """Closed candles that a late tick changed aside: those are amended where they are kept."""
    builder, closed = CandleBuilder(), dict[tuple[int, int], Bar]()
    late: set[tuple[int, int]] = set()
    for at, price, volume in found:
        late |= set(builder.closed_around(at))
        for length, bar in builder.take(at, price, volume):
            assert (length, bar.time) not in closed, "a candle closes once"
            closed[length, bar.time] = bar

    for key, bar in folded(found).items():
        forming = builder.forming(key[0])
        assert forming is not None
        if forming.time == key[1]:
            assert forming == bar
        elif key not in late:
            assert closed.pop(key) == bar
    assert closed.keys() <= late


@given(near.filter(bool), st.integers(0, 60), near)
@settings(max_examples=60)
def test_a_builder_goes_on_from_what_was_kept(
    before: list[Plain], cut: int, after: list[Plain]
) -> None:
    whole_life, next_life = CandleBuilder(), CandleBuilder()
    for tick in before:
        whole_life.take(*tick)
    next_life.restore(parts(folded(before)))
    for tick in after:
        whole = whole_life.take(*tick)
        assert next_life.take(*tick) == whole
        for length in LENGTHS:
            assert next_life.forming(length) == whole_life.forming(length)


def parts(kept: dict[tuple[int, int], Bar]) -> Iterator[tuple[int, Bar]]:
    newest = max(time for length, time in kept if length == SECOND)
    for length, of, begin, end in parts_of(newest):
        for (shorter, time), bar in sorted(kept.items(), key=lambda item: item[0]):
            if shorter == of and begin <= time < end:
                yield length, bar


def test_a_span_without_a_tick_has_no_candle() -> None:
    found = folded([(NOON, Decimal(1), Decimal(1)), (NOON + 10 * SECOND, Decimal(2), Decimal(1))])

    times = sorted(time for length, time in found if length == SECOND)
    assert times == [NOON, NOON + 10 * SECOND]


def test_candles_begin_on_multiples_of_their_interval_in_utc() -> None:
    at = NOON + 3725 * SECOND + 250_000  # 13:02:05.25

    times = dict(folded([(at, Decimal(1), Decimal(1))]).keys())
    begins = {name: f"{moment(times[length]):%d %H:%M:%S}" for name, length in INTERVALS.items()}

    assert begins == {
        "1s": "02 13:02:05",
        "5s": "02 13:02:05",
        "15s": "02 13:02:00",
        "1m": "02 13:02:00",
        "5m": "02 13:00:00",
        "15m": "02 13:00:00",
        "1h": "02 13:00:00",
        "4h": "02 12:00:00",
        "1d": "02 00:00:00",
    }


def test_of_ticks_of_the_same_time_the_one_that_came_first_opens() -> None:
    found = folded([(NOON, Decimal(n), Decimal(1)) for n in (5, 9, 2, 7)])

    bar = found[SECOND, NOON]
    assert [bar.open, bar.high, bar.low, bar.close] == [Decimal(n) for n in (5, 9, 2, 7)]


def test_volumes_add_up_to_the_last_digit() -> None:
    large, small = Decimal(10**12 - 1), Decimal("0.000000000001")
    builder = CandleBuilder()
    for volume in [large] * 1000 + [small]:
        builder.take(NOON, Decimal(1), volume)

    forming = builder.forming(LENGTHS[-1])
    assert forming is not None
    assert str(forming.volume) == "999999999999000.000000000001"


@pytest.mark.parametrize("micros", [0, 1, 999_999])
def test_a_time_comes_back_as_it_was(micros: int) -> None:
    tick = a_tick(seq=1)
    at, price, volume = plain(tick)

    assert moment(at) == tick.time
    assert (price, volume) == (tick.price, tick.volume)
    assert microseconds(moment(NOON + micros)) == NOON + micros


def test_no_tick_is_left_out_or_counted_twice() -> None:
    rng, builder, at = Random(7), CandleBuilder(), NOON
    closed: dict[tuple[int, int], int] = {}
    for _ in range(20_000):
        at += rng.randrange(2 * SECOND)
        for length, bar in builder.take(at, Decimal(rng.randrange(1, 99)), Decimal(1)):
            key = length, bar.time
            closed[key] = closed.get(key, 0) + bar.trades

    for length in LENGTHS[:-1]:
        forming = builder.forming(length)
        assert forming is not None
        counted = sum(trades for (of, _), trades in closed.items() if of == length)
        assert counted + forming.trades == 20_000
