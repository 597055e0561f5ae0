from itertools import islice
from math import sqrt

import numpy as np
import pytest

from market.errors import InvalidValueError
from sources.facts import (
    FEWEST,
    Returns,
    aggregated,
    arrivals,
    autocorrelation,
    gates,
    hill,
    log_returns,
    robust_z,
    trade,
)
from sources.processes import Hawkes, create_process, generator

STEPS = 100_000


def returns_of(name: str, seed: int) -> Returns:
    process = create_process(name, lambda _, default: default)
    return log_returns(list(islice(process.prices(70_400.0, generator(seed, "facts")), STEPS)))


def failed(returns: Returns) -> set[str]:
    return {gate.name for gate in gates(returns) if not gate.passed}


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_realistic_process_passes_every_gate(seed: int) -> None:
    assert failed(returns_of("realistic", seed)) == set()


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("gbm", {"g2", "g3", "g4", "g5"}),
        ("walk", {"g1", "g2", "g3", "g4", "g5"}),
        ("merton", {"g4", "g5"}),
    ],
)
def test_an_unlike_process_fails_where_it_must(name: str, where: set[str]) -> None:
    assert failed(returns_of(name, seed=1)) == where


@pytest.mark.no_cover
def test_the_memory_gate_is_not_broken_by_clusters_as_the_usual_band_is() -> None:
    returns = returns_of("gjr", seed=1)

    usual = max(abs(autocorrelation(returns, lag)) for lag in range(2, 21)) * sqrt(len(returns))
    robust = max(abs(robust_z(returns, lag)) for lag in range(2, 21))

    assert usual > 3.5 > robust


def test_the_tail_index_of_a_pareto_law_is_its_exponent() -> None:
    draws = np.random.default_rng(1).pareto(3.0, 200_000) + 1

    assert hill(draws) == pytest.approx(3.0, rel=0.07)


def test_a_flat_tail_has_an_infinite_index() -> None:
    assert hill(np.ones(1000)) == float("inf")
    assert hill(np.zeros(1000)) == 0


def test_aggregated_returns_are_sums_without_overlap() -> None:
    assert aggregated(np.arange(7.0), 3).tolist() == [3.0, 12.0]


@pytest.mark.parametrize(
    ("prices", "problem"),
    [
        ([1.0] * 100, "too few"),
        ([1.0] * (FEWEST + 2), "never changes"),
        ([1.0, 0.0] * FEWEST, "above 0"),
        ([1.0, float("nan")] * FEWEST, "above 0"),
    ],
)
def test_prices_that_tell_nothing_are_refused(prices: list[float], problem: str) -> None:
    with pytest.raises(InvalidValueError, match=problem):
        log_returns(prices)


def test_volume_that_moves_with_the_price_passes_and_other_volume_does_not() -> None:
    returns = returns_of("realistic", seed=1)
    noise = np.random.default_rng(1).exponential(size=len(returns))

    with_price = trade(returns, noise + 1000 * np.abs(returns))
    without = trade(returns, noise)

    assert (with_price.passed, without.passed) == (True, False)
    assert [gate.name for gate in gates(returns, noise)] == ["g1", "g2", "g3", "g4", "g5", "g6"]
    assert not trade(returns, np.ones(len(returns))).passed


@pytest.mark.parametrize("volumes", [np.ones(5), np.full(FEWEST + 1, np.nan)])
def test_volumes_that_belong_to_other_returns_are_refused(volumes: Returns) -> None:
    with pytest.raises(InvalidValueError, match="volume"):
        trade(np.ones(FEWEST + 1), volumes)


@pytest.mark.parametrize(("alpha", "bursts"), [(0.8, True), (0.0, False)])
def test_arrivals_that_excite_each_other_come_in_bursts_and_others_do_not(
    alpha: float, bursts: bool
) -> None:
    times = list(islice(Hawkes(mu=0.5, alpha=alpha, beta=1.0).times(generator(1, "facts")), 10_000))

    assert arrivals(times).passed is bursts


def test_too_few_arrivals_tell_nothing() -> None:
    with pytest.raises(InvalidValueError, match="too few"):
        arrivals([1.0, 2.0])
