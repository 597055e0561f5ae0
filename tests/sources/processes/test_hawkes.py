from itertools import islice, pairwise, takewhile
from random import Random

import numpy as np
import pytest

from market.errors import InvalidValueError
from sources.processes import Hawkes


def counts(process: Hawkes, window_s: float, windows: int) -> np.ndarray:
    end = window_s * windows
    times = list(takewhile(lambda time: time < end, process.times(Random(10))))
    return np.histogram(times, bins=windows, range=(0, end))[0]


def test_arrivals_come_at_the_long_run_rate_and_in_bursts() -> None:
    per_window = counts(Hawkes(mu=0.5, alpha=0.5, beta=1.0), window_s=100.0, windows=600)

    fano = per_window.var() / per_window.mean()
    # at 100 s the count is close to its limits: mean mu / (1 - n), variance / mean 1 / (1 - n)^2
    assert per_window.mean() / 100 == pytest.approx(1.0, abs=0.04)
    assert fano == pytest.approx(4.0, rel=0.2)


def test_without_excitement_arrivals_are_poisson() -> None:
    process = Hawkes(mu=2.0, alpha=0.0, beta=1.0)

    gaps = np.diff(list(islice(process.times(Random(1)), 20_000)))

    assert process.rate == 2.0
    assert gaps.mean() == pytest.approx(0.5, rel=0.03)
    assert gaps.std() == pytest.approx(0.5, rel=0.04)


def test_times_increase() -> None:
    times = list(islice(Hawkes().times(Random(2)), 1000))

    assert all(before < after for before, after in pairwise([0.0, *times]))


@pytest.mark.parametrize("wrong", [{"alpha": 1.0}, {"mu": 0.0}, {"beta": 0.0}])
def test_arrivals_that_would_explode_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidValueError, match=next(iter(wrong))):
        Hawkes(**wrong)
