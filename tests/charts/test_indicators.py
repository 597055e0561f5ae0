"""The reference values were computed twice: by TA-Lib, and in plain Python from the definitions."""

from dataclasses import replace

import pytest

from charts.candles import DAY_S, Candle
from charts.indicators import (
    DEFINITIONS,
    OUTPUTS,
    WARM_UP,
    Definition,
    Handle,
    Indicators,
    InvalidCandleError,
    Vwap,
    over,
)
from tests.charts.builders import waves

BY_NAME = {each.name: each for each in DEFINITIONS}


def with_period(name: str, period: int, first: int) -> Definition:
    return replace(BY_NAME[name], periods=(("timeperiod", period),), first=first)


def line(definition: Definition, count: int = 40) -> list[tuple[float | None, ...]]:
    handle = Handle(definition)
    return [handle.update(candle) for candle in waves(count)]


@pytest.mark.parametrize(
    ("definition", "index", "expected"),
    [
        (with_period("sma", 10, 9), 14, (102.302,)),
        (with_period("sma", 10, 9), 25, (106.693,)),
        (with_period("sma", 10, 9), 39, (105.999,)),
        (with_period("ema", 10, 9), 14, (101.08666919,)),
        (with_period("ema", 10, 9), 25, (107.55562082,)),
        (with_period("ema", 10, 9), 39, (107.5374476,)),
        (BY_NAME["rsi"], 14, (44.65949821,)),
        (BY_NAME["rsi"], 25, (75.05824200,)),
        (BY_NAME["rsi"], 39, (70.19181035,)),
        (BY_NAME["atr"], 14, (1.89642857,)),
        (BY_NAME["atr"], 25, (1.95289127,)),
        (BY_NAME["atr"], 39, (2.06099585,)),
        (BY_NAME["macd"], 33, (0.42783084, 1.21626579, -0.78843494)),
        (BY_NAME["macd"], 36, (0.34963826, 0.77052578, -0.42088752)),
        (BY_NAME["macd"], 39, (1.25087659, 0.85562328, 0.39525331)),
        (BY_NAME["bb"], 33, (113.42470897, 105.5885, 97.75229103)),
        (BY_NAME["bb"], 36, (112.29571351, 106.465, 100.63428649)),
        (BY_NAME["bb"], 39, (113.03262719, 107.4895, 101.94637281)),
    ],
    ids=lambda value: value.name if isinstance(value, Definition) else None,
)
def test_an_indicator_has_its_reference_values(
    definition: Definition, index: int, expected: tuple[float, ...]
) -> None:
    assert line(definition)[index] == pytest.approx(expected, abs=6e-9)


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda each: each.name)
def test_an_indicator_begins_when_it_has_seen_enough(definition: Definition) -> None:
    values = line(definition)
    assert all(each is None for row in values[: definition.first] for each in row)
    assert all(each is not None for row in values[definition.first :] for each in row)


def test_candle_by_candle_gives_what_the_whole_history_gives_bit_by_bit() -> None:
    candles = waves(300)
    indicators = Indicators()
    rows = [indicators.update(candle) for candle in candles]
    whole = over(candles)
    assert [dict(zip(OUTPUTS, row, strict=True)) for row in rows] == [
        {name: whole[name][index] for name in OUTPUTS} for index in range(len(candles))
    ]


@pytest.mark.parametrize("seen", [0, 1, 13, 14, 19, 20, 33, 60])
def test_a_forming_candle_is_looked_at_and_not_taken_in(seen: int) -> None:
    candles = waves(seen + 1)
    indicators = Indicators(candles[:-1])
    forming = replace(candles[-1], close=candles[-1].close + 3, high=candles[-1].high + 5)
    as_if_closed = Indicators(candles[:-1]).update(forming)

    assert indicators.peek(forming) == as_if_closed
    assert indicators.peek(forming) == as_if_closed
    assert indicators.update(candles[-1]) == Indicators(candles[:-1]).update(candles[-1])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_refused_and_leaves_everything_as_it_was(bad: float) -> None:
    candles = waves(60)
    indicators = Indicators(candles[:-1])
    with pytest.raises(InvalidCandleError):
        indicators.update(replace(candles[-1], close=bad))
    assert indicators.update(candles[-1]) == Indicators(candles[:-1]).update(candles[-1])


def test_a_flat_price_has_no_strength_and_no_width() -> None:
    flat = [Candle(60 * n, 5.0, 5.0, 5.0, 5.0, 1.0) for n in range(40)]
    last = {name: values[-1] for name, values in over(flat).items()}
    assert last["rsi"] == 0.0
    assert last["atr"] == last["macd"] == 0.0
    assert last["bb_upper"] == last["bb_lower"] == pytest.approx(5.0)


def test_the_bands_use_the_deviation_of_the_whole_population() -> None:
    closes = [candle.close for candle in waves(40)][-20:]
    mean = sum(closes) / 20
    deviation = (sum((close - mean) ** 2 for close in closes) / 20) ** 0.5
    assert over(waves(40))["bb_upper"][-1] == pytest.approx(mean + 2 * deviation)


def test_vwap_weighs_typical_prices_and_begins_anew_at_midnight() -> None:
    vwap = Vwap()
    first = Candle(DAY_S - 120, 0, 12.0, 9.0, 9.0, 1.0)  # typical 10
    second = Candle(DAY_S - 60, 0, 24.0, 18.0, 18.0, 3.0)  # typical 20
    assert vwap.update(first) == (10.0,)
    assert vwap.update(second) == (17.5,)
    assert vwap.update(Candle(DAY_S, 0, 3.0, 3.0, 3.0, 2.0)) == (3.0,)


def test_vwap_without_a_volume_is_nothing() -> None:
    assert Vwap().update(Candle(0, 1.0, 1.0, 1.0, 1.0, 0.0)) == (None,)


def test_the_warm_up_brings_rsi_within_a_millionth() -> None:
    candles = waves(1000)
    assert over(candles[-WARM_UP:])["rsi"][-1] == pytest.approx(over(candles)["rsi"][-1], abs=1e-6)


def test_no_candles_have_no_values() -> None:
    assert over([]) == {name: [] for name in OUTPUTS}
