from itertools import islice
from math import exp, sqrt
from random import Random

import numpy as np
import pytest

from market.errors import InvalidValueError
from sources.processes import MertonJumps
from sources.processes.merton import poisson

STEPS = 60_000
JUMPY = MertonJumps(mu=0.1, sigma=0.2, lambda_=50.0, mu_j=-0.02, sigma_j=0.03, dt=0.01)


def test_jump_returns_have_the_mean_and_variance_of_the_formula() -> None:
    prices = [100.0, *islice(JUMPY.prices(100.0, Random(2)), STEPS)]
    returns = np.diff(np.log(prices))

    variance = (0.2**2 + 50 * (0.02**2 + 0.03**2)) * 0.01
    compensation = exp(-0.02 + 0.03**2 / 2) - 1
    mean = (0.1 - 0.02 - 50 * compensation + 50 * -0.02) * 0.01
    assert returns.mean() == pytest.approx(mean, abs=4 * sqrt(variance / STEPS))
    assert returns.var() == pytest.approx(variance, rel=0.05)


def test_jumps_are_compensated_so_that_the_price_grows_by_the_drift() -> None:
    ends = [next(JUMPY.prices(100.0, Random(seed))) for seed in range(20_000)]

    assert np.mean(ends) == pytest.approx(
        100 * exp(0.1 * 0.01), abs=4 * float(np.std(ends)) / sqrt(20_000)
    )


def test_poisson_counts_have_the_mean_and_variance_of_their_law() -> None:
    rng = Random(4)
    counts = np.array([poisson(exp(-3.0), rng) for _ in range(20_000)])

    assert counts.mean() == pytest.approx(3, abs=0.05)
    assert counts.var() == pytest.approx(3, abs=0.15)


def test_more_jumps_a_tick_than_can_be_counted_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="lambda"):
        MertonJumps(lambda_=1e9)
