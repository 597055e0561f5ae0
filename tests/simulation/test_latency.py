from random import Random
from statistics import fmean, median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulation.errors import ConfigError
from simulation.latency import latency_of
from sources.processes import generator


def test_a_number_is_a_constant_in_milliseconds() -> None:
    latency = latency_of(1.5).build(Random(1))

    assert {latency.draw() for _ in range(10)} == {1500}


def test_uniform_latencies_fill_their_range_evenly() -> None:
    latency = latency_of({"model": "uniform", "low_ms": 1, "high_ms": 3}).build(Random(1))
    draws = [latency.draw() for _ in range(20_000)]

    assert min(draws) >= 1000
    assert max(draws) <= 3000
    assert fmean(draws) == pytest.approx(2000, rel=0.02)


def test_log_normal_latencies_have_the_median_that_was_asked_for() -> None:
    table = {"model": "lognormal", "median_ms": 20, "sigma": 0.5}
    latency = latency_of(table).build(Random(1))

    assert median(latency.draw() for _ in range(20_000)) == pytest.approx(20_000, rel=0.03)


@settings(max_examples=30)
@given(st.floats(0, 10), st.floats(0, 3_600_000), st.integers(0, 2**32))
def test_no_latency_is_negative_or_endless(sigma: float, median_ms: float, seed: int) -> None:
    table = {"model": "lognormal", "median_ms": median_ms, "sigma": sigma}
    latency = latency_of(table).build(Random(seed))

    assert all(0 <= latency.draw() <= 3_600_000_000 for _ in range(20))


@pytest.mark.parametrize(
    "given", [-1, {"model": "warp"}, {"model": "uniform", "low_ms": 2, "high_ms": 1}, {"m": 1}]
)
def test_a_latency_that_makes_no_sense_is_refused(given: object) -> None:
    with pytest.raises(ConfigError, match="latency"):
        latency_of(given)  # type: ignore[arg-type]


def test_two_agents_share_no_draw() -> None:
    table = {"model": "uniform", "low_ms": 0, "high_ms": 1000}
    draws = [
        [latency_of(table).build(generator(7, name, "latency")).draw() for _ in range(5)]
        for name in ("ann", "bob")
    ]

    assert draws[0] != draws[1]
