from itertools import islice
from math import sqrt
from random import Random

import numpy as np
import pytest

from market.errors import InvalidValueError
from sources.processes import Heston

DAILY = Heston(kappa=2.0, theta=0.04, xi=0.3, rho=-0.7, dt=1 / 252)


def returns_of(process: Heston, steps: int) -> np.ndarray:
    return np.diff(np.log([100.0, *islice(process.prices(100.0, Random(6)), steps)]))


def test_the_variance_of_the_returns_is_theta_in_the_long_run() -> None:
    returns = returns_of(DAILY, 100_000)

    # the variance reverts in half a year, so that 100 000 days hold about 400 independent ones
    assert returns.var() * 252 == pytest.approx(0.04, rel=0.1)


def test_without_volatility_of_variance_the_returns_are_those_of_brownian_motion() -> None:
    returns = returns_of(Heston(mu=0.1, xi=0.0, dt=0.01), 40_000)

    assert returns.mean() == pytest.approx((0.1 - 0.02) * 0.01, abs=4 * 0.02 / sqrt(40_000))
    assert returns.std() == pytest.approx(0.02, rel=0.015)


def test_a_variance_that_would_be_negative_is_truncated() -> None:
    wild = Heston(kappa=1.0, theta=0.01, xi=2.0, dt=1 / 252)  # far outside Feller's condition

    assert np.isfinite(returns_of(wild, 20_000)).all()


@pytest.mark.parametrize("wrong", [{"rho": 1.1}, {"theta": -0.1}, {"kappa": 1e9}, {"xi": -1.0}])
def test_a_parameter_that_makes_no_sense_is_named(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidValueError, match=next(iter(wrong))):
        Heston(**wrong)
