from itertools import islice
from random import Random

import numpy as np
import pytest

from market.errors import InvalidValueError
from sources.processes import Regimes


def returns_of(process: Regimes, steps: int) -> np.ndarray:
    return np.diff(np.log([100.0, *islice(process.prices(100.0, Random(3)), steps)]))


@pytest.mark.no_cover
def test_the_variance_is_the_mean_over_the_time_spent_in_each_state() -> None:
    returns = returns_of(Regimes(sigma=0.5, stay_calm=0.98, stay_wild=0.95, dt=0.01), 200_000)

    wild = (1 - 0.98) / (2 - 0.98 - 0.95)
    variance = 0.25 * 0.01 * ((1 - wild) * 0.5**2 + wild * 2.0**2)
    assert returns.var() == pytest.approx(variance, rel=0.04)


def test_a_chain_that_always_stays_is_calm_for_ever() -> None:
    returns = returns_of(Regimes(sigma=0.5, stay_calm=1.0, dt=0.01), 20_000)

    assert returns.std() == pytest.approx(0.5 * 0.5 * 0.1, rel=0.02)


@pytest.mark.parametrize("wrong", [{"stay_calm": 1.2}, {"wild": -1.0}, {"sigma": -1.0}])
def test_a_parameter_that_makes_no_sense_is_named(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidValueError, match=next(iter(wrong))):
        Regimes(**wrong)
