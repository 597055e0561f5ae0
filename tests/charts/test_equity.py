import pytest

from charts.equity import EquityCurve


def test_a_drawdown_is_measured_from_the_peak() -> None:
    curve = EquityCurve()
    for time, equity in enumerate([100.0, 200.0, 150.0, 180.0]):
        curve.add(time, equity)
    assert curve.drawdown == pytest.approx(0.1)
    assert curve.max_drawdown == pytest.approx(0.25)


def test_a_curve_stays_bounded_and_keeps_its_span() -> None:
    curve = EquityCurve(points=10)
    for time in range(1000):
        curve.add(time, 100.0)
    assert len(curve.points) <= 10
    assert curve.points[0][0] == 0
    assert curve.points[-1][0] > 800


def test_a_peak_between_two_points_counts() -> None:
    curve = EquityCurve(points=2)
    for time, equity in enumerate([1.0, 1.0, 1.0, 1.0, 10.0, 5.0]):
        curve.add(time, equity)
    assert curve.max_drawdown == pytest.approx(0.5)
