from itertools import islice
from math import sqrt
from random import Random

import numpy as np
import pytest

from market.errors import InvalidValueError
from sources.processes import Garch, GjrGarch, PriceProcess
from sources.processes.garch import student

STEPS = 100_000


def returns_of(process: PriceProcess) -> np.ndarray:
    return np.diff(np.log([100.0, *islice(process.prices(100.0, Random(8)), STEPS)]))


def test_garch_returns_have_the_long_run_variance_and_kurtosis_of_the_formula() -> None:
    returns = returns_of(Garch(omega=1e-6, alpha=0.10, beta=0.80))

    variance = 1e-6 / (1 - 0.9)
    kurtosis = 3 * (1 - 0.9**2) / (1 - 0.9**2 - 2 * 0.1**2)
    assert returns.var() == pytest.approx(variance, rel=0.03)
    assert (returns**4).mean() / variance**2 == pytest.approx(kurtosis, rel=0.1)


def test_garch_squares_remember_as_the_formula_says() -> None:
    squares = returns_of(Garch(omega=1e-6, alpha=0.10, beta=0.80)) ** 2

    first = 0.1 * (1 - 0.8 * 0.9) / (1 - 0.8**2 - 2 * 0.1 * 0.8)
    assert np.corrcoef(squares[:-1], squares[1:])[0, 1] == pytest.approx(first, abs=0.03)


@pytest.mark.no_cover
def test_gjr_returns_have_the_long_run_variance_of_the_formula() -> None:
    returns = returns_of(GjrGarch(omega=1e-6, alpha=0.02, gamma=0.08, beta=0.84, nu=10.0))

    assert returns.var() == pytest.approx(1e-6 / (1 - 0.02 - 0.84 - 0.04), rel=0.04)
    assert returns.mean() == pytest.approx(0.0, abs=4 * sqrt(1e-5 / STEPS))


@pytest.mark.no_cover
def test_student_draws_have_variance_one_and_the_kurtosis_of_their_law() -> None:
    rng = Random(9)
    draws = np.array([student(10.0, rng) for _ in range(100_000)])

    assert draws.var() == pytest.approx(1.0, rel=0.02)
    assert (draws**4).mean() == pytest.approx(3 + 6 / (10 - 4), rel=0.1)


@pytest.mark.parametrize(
    ("process", "wrong"),
    [
        (Garch, {"alpha": 0.2, "beta": 0.8}),
        (Garch, {"omega": 0.0}),
        (Garch, {"beta": -0.1}),
        (GjrGarch, {"gamma": 0.2}),
        (GjrGarch, {"nu": 2.0}),
    ],
)
def test_a_variance_that_would_explode_is_refused(
    process: type[Garch], wrong: dict[str, float]
) -> None:
    with pytest.raises(InvalidValueError):
        process(**wrong)
