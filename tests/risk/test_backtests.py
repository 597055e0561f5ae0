"""Vectors: MathWorks' published examples, and the binomial distribution."""

import random

import pytest

from risk.backtests import (
    Zone,
    binomial_cdf,
    capital_multiplier,
    christoffersen,
    conditional_coverage,
    independence,
    kupiec,
    traffic_light,
)
from risk.coverage import Coverage
from risk.errors import UnavailableError


@pytest.mark.parametrize(
    ("observations", "exceptions", "probability", "statistic"),
    [
        (1043, 57, 0.05, 0.4614663953290119),
        (1043, 17, 0.01, 3.511812860706925),
        (250, 3, 0.01, 0.09494012266443264),
        (250, 0, 0.01, 5.025167926750726),
    ],
)
def test_kupiec(observations: int, exceptions: int, probability: float, statistic: float) -> None:
    assert kupiec(observations, exceptions, probability).statistic == pytest.approx(
        statistic, rel=1e-9
    )


def test_kupiec_p_values() -> None:
    assert kupiec(1043, 57, 0.05).p_value == pytest.approx(0.4969394476803628, rel=1e-9)
    assert kupiec(1043, 17, 0.01).p_value == pytest.approx(0.060932747074577104, rel=1e-9)


def test_christoffersen_independence_and_conditional_coverage() -> None:
    found = independence(932, 53, 53, 4)
    assert found.statistic == pytest.approx(0.2586631525858003, rel=1e-9)
    joint = conditional_coverage(kupiec(1043, 57, 0.05), found)
    assert joint.statistic == pytest.approx(0.7201295479148122, rel=1e-9)


def test_clustered_hits_are_found_on_a_long_series() -> None:
    rng = random.Random(1)
    hits, hit = [], False
    for _ in range(20_000):
        hit = rng.random() < (0.4 if hit else 0.03)
        hits.append(hit)
    found = christoffersen(hits)
    assert found.statistic > 500
    assert found.p_value < 1e-100


def test_hits_and_counts_agree() -> None:
    hits = [False, False, True, True, False, True, False, False]
    assert christoffersen(hits) == independence(2, 2, 2, 1)


@pytest.mark.parametrize(
    ("exceptions", "below", "zone"),
    [
        (4, 0.8921876269036251, Zone.GREEN),
        (5, 0.9588168159301517, Zone.YELLOW),
        (9, 0.9997498099312595, Zone.YELLOW),
        (10, 0.999946101370953, Zone.RED),
    ],
)
def test_the_zones_are_those_of_basel(exceptions: int, below: float, zone: Zone) -> None:
    assert binomial_cdf(exceptions, 250, 0.01) == pytest.approx(below, rel=1e-9)
    assert traffic_light(250, exceptions) is zone


def test_without_an_exception_the_light_is_green() -> None:
    assert traffic_light(1, 0) is Zone.GREEN


def test_the_light_is_not_lit_before_there_is_enough_to_see() -> None:
    coverage = Coverage(0.95)
    assert [coverage.see(2.0, 1.0) for _ in range(49)] == [None] * 49
    assert coverage.report().zone == "unknown"
    assert coverage.see(2.0, 1.0) is Zone.RED
    assert coverage.report().zone == "red"
    assert coverage.report().kupiec_p == pytest.approx(0, abs=1e-9)


def test_the_multipliers_are_those_of_mar33() -> None:
    found = [capital_multiplier(k) for k in (0, 4, 5, 6, 7, 8, 9, 10, 40)]
    assert found == [1.5, 1.5, 1.70, 1.76, 1.83, 1.88, 1.92, 2.0, 2.0]


def test_a_binomial_of_many_trials_adds_up() -> None:
    assert binomial_cdf(100_000, 100_000, 0.3) == 1
    assert binomial_cdf(29_999, 100_000, 0.3) == pytest.approx(0.5, abs=5e-3)


def test_nothing_observed_is_unavailable() -> None:
    with pytest.raises(UnavailableError):
        kupiec(0, 0, 0.01)
    with pytest.raises(UnavailableError):
        christoffersen([True])
    with pytest.raises(ValueError, match="probability"):
        kupiec(10, 1, 0.0)
