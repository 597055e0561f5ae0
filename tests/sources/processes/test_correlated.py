from itertools import islice
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.errors import InvalidValueError
from sources.processes import CorrelatedBrownian, GeometricBrownian, cholesky

TARGET = [[1.0, 0.7, 0.3], [0.7, 1.0, 0.4], [0.3, 0.4, 1.0]]


@pytest.mark.no_cover
def test_assets_with_one_seed_have_the_correlation_that_was_asked_for() -> None:
    returns = [
        np.diff(np.log(list(islice(CorrelatedBrownian(loadings=row).prices(9, Random(1)), 50_000))))
        for row in cholesky(TARGET)
    ]

    assert np.corrcoef(returns) == pytest.approx(np.array(TARGET), abs=0.015)


def test_the_first_asset_moves_by_its_own_shock_with_the_volatility_of_the_formula() -> None:
    prices = [9.0, *islice(CorrelatedBrownian(sigma=0.4, dt=0.01).prices(9.0, Random(2)), 20_000)]

    assert np.diff(np.log(prices)).std() == pytest.approx(0.04, rel=0.02)
    assert prices[1:] == pytest.approx(
        list(islice(GeometricBrownian(sigma=0.4, dt=0.01).prices(9.0, Random(2)), 20_000))
    )


@settings(max_examples=40)
@given(st.lists(st.lists(st.floats(-1, 1), min_size=4, max_size=4), min_size=3, max_size=3))
def test_the_factor_multiplies_back_to_the_correlation(vectors: list[list[float]]) -> None:
    made = np.array(vectors) @ np.array(vectors).T + np.eye(3)
    scale = np.sqrt(np.diagonal(made))
    correlation = made / np.outer(scale, scale)
    np.fill_diagonal(correlation, 1.0)
    correlation = np.tril(correlation) + np.tril(correlation, -1).T

    lower = np.array(cholesky(correlation.tolist()))

    assert lower @ lower.T == pytest.approx(correlation, abs=1e-9)


@pytest.mark.parametrize(
    ("matrix", "problem"),
    [
        ([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]], "positive definite"),
        ([[1.0, 1.0], [1.0, 1.0]], "positive definite"),
        ([[1.0, 0.5], [0.4, 1.0]], "symmetric"),
        ([[2.0, 0.5], [0.5, 1.0]], "diagonal"),
        ([[1.0, float("nan")], [float("nan"), 1.0]], "finite"),
        ([[1.0, 0.5]], "square"),
        ([[1.0, 0.5], [0.5]], "square"),
        ([], "square"),
    ],
)
def test_a_matrix_that_is_no_correlation_is_refused(
    matrix: list[list[float]], problem: str
) -> None:
    with pytest.raises(InvalidValueError, match=problem):
        cholesky(matrix)


def test_loadings_that_are_no_row_of_a_factor_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="loadings"):
        CorrelatedBrownian(loadings=(0.5, 0.5))
