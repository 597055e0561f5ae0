import pytest

from simulation.config import DAY_S
from simulation.recorder import MOST_FILLS, Equity
from simulation.series import MOST_POINTS
from tests.simulation.runs import a_config, ran


def test_the_drawdown_is_the_deepest_fall_from_a_peak() -> None:
    equity = Equity()
    for second, value in enumerate([100.0, 120.0, 90.0, 130.0, 117.0]):
        equity.sample(second, value)

    assert equity.max_drawdown == pytest.approx(0.25)
    assert [value for _, value in equity.path.points] == [100, 120, 90, 130, 117]


def test_the_sharpe_ratio_is_that_of_a_day() -> None:
    equity = Equity()
    for second, value in enumerate([0.0, 1.0, 3.0, 4.0, 6.0]):
        equity.sample(second, value)

    mean, deviation = 1.5, (1 / 3) ** 0.5
    assert equity.sharpe(1.0) == pytest.approx(mean / deviation * DAY_S**0.5)
    assert Equity().sharpe(1.0) is None


@pytest.mark.no_cover
def test_what_is_kept_of_a_longer_run_is_no_more() -> None:
    settings = {"SYMBOLS": "META", "PORTFOLIO": "META:1"}
    agents = {"hamster": {"symbols": ["META"]}}
    market, result = ran(a_config(4200, sample_s=1, agents=agents, settings=settings))
    recorder = market.recorder

    assert result.ticks == 4200
    assert len(recorder.equity["hamster"].path.points) < MOST_POINTS
    assert len(recorder.instruments["META"].path.points) < MOST_POINTS
    assert len(recorder.fills["hamster"].points) <= MOST_FILLS < 4200
