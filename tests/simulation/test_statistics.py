import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.errors import InvalidValueError
from simulation.statistics import mean_interval, share_interval, sign_test, student_quantile


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.7062), (2, 4.3027), (5, 2.5706), (10, 2.2281), (30, 2.0423), (199, 1.9720)],
)
def test_students_quantiles_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert student_quantile(0.975, freedom) == pytest.approx(quantile, abs=1e-3)


def test_wilsons_interval_is_that_of_the_literature() -> None:
    low, high = share_interval(15, 20)

    assert (low, high) == pytest.approx((0.5313, 0.8881), abs=1e-4)
    assert share_interval(0, 10)[0] == pytest.approx(0.0, abs=1e-12)


def test_the_sign_test_is_exact() -> None:
    assert sign_test(9, 10) == pytest.approx(22 / 1024)
    assert sign_test(5, 10) == 1.0


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50))
def test_an_interval_holds_its_mean(values: list[float]) -> None:
    found = mean_interval(values)

    assert found.low <= found.mean <= found.high


def test_no_values_have_no_mean() -> None:
    with pytest.raises(InvalidValueError):
        mean_interval([])
    with pytest.raises(InvalidValueError):
        share_interval(3, 2)
