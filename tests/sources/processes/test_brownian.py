from itertools import islice
from math import exp, log, sqrt
from random import Random

import numpy as np
import pytest

from market.errors import InvalidValueError
from sources.processes import (
    ArithmeticBrownian,
    GeometricBrownian,
    OrnsteinUhlenbeck,
    PriceProcess,
)

STEPS = 40_000


def series(process: PriceProcess, start: float = 100.0, steps: int = STEPS) -> np.ndarray:
    return np.array([start, *islice(process.prices(start, Random(11)), steps)])


def test_geometric_brownian_returns_have_the_mean_and_variance_of_the_formula() -> None:
    returns = np.diff(np.log(series(GeometricBrownian(mu=0.1, sigma=0.4, dt=0.01))))

    deviation = 0.4 * sqrt(0.01)
    assert returns.mean() == pytest.approx((0.1 - 0.08) * 0.01, abs=4 * deviation / sqrt(STEPS))
    assert returns.std() == pytest.approx(deviation, rel=4 / sqrt(2 * STEPS))


def test_geometric_brownian_prices_grow_by_the_drift_on_average() -> None:
    process = GeometricBrownian(mu=0.1, sigma=0.3, dt=1.0)

    ends = [next(process.prices(100.0, Random(seed))) for seed in range(20_000)]

    spread = 100 * exp(0.1) * sqrt(exp(0.09) - 1)
    assert np.mean(ends) == pytest.approx(100 * exp(0.1), abs=4 * spread / sqrt(len(ends)))


def test_geometric_brownian_motion_never_overflows() -> None:
    prices = series(GeometricBrownian(mu=1e6, sigma=0.0, dt=1.0), steps=3)

    assert prices[-1] == pytest.approx(1e12)


def test_arithmetic_brownian_steps_have_the_mean_and_variance_of_the_formula() -> None:
    steps = np.diff(series(ArithmeticBrownian(mu=2.0, sigma=0.5, dt=0.01)))

    deviation = 100 * 0.5 * sqrt(0.01)
    assert steps.mean() == pytest.approx(100 * 2.0 * 0.01, abs=4 * deviation / sqrt(STEPS))
    assert steps.std() == pytest.approx(deviation, rel=4 / sqrt(2 * STEPS))


def test_arithmetic_brownian_motion_is_mirrored_at_zero() -> None:
    assert series(ArithmeticBrownian(sigma=3.0, dt=1.0), steps=500).min() >= 0


def test_ornstein_uhlenbeck_prices_have_the_stationary_law_of_the_formula() -> None:
    kappa, sigma, dt = 2.0, 0.1, 0.25
    prices = series(OrnsteinUhlenbeck(mu=1.5, kappa=kappa, sigma=sigma, dt=dt))[100:]

    kept = exp(-kappa * dt)
    deviation = 100 * sigma / sqrt(2 * kappa)
    few = sqrt(STEPS * (1 - kept) / (1 + kept))  # as many independent ones tell as much
    assert prices.mean() == pytest.approx(150, abs=4 * deviation / few)
    assert prices.std() == pytest.approx(deviation, rel=4 / few)
    assert np.corrcoef(prices[:-1], prices[1:])[0, 1] == pytest.approx(kept, abs=0.02)


def test_ornstein_uhlenbeck_goes_back_to_its_level_at_its_speed() -> None:
    halved = OrnsteinUhlenbeck(mu=2.0, kappa=log(2), sigma=0.0, dt=1.0)

    assert list(islice(halved.prices(100.0, Random(1)), 2)) == pytest.approx([150, 175])


@pytest.mark.parametrize(
    ("process", "wrong"),
    [
        (GeometricBrownian, {"sigma": -0.1}),
        (GeometricBrownian, {"mu": float("nan")}),
        (ArithmeticBrownian, {"dt": 0.0}),
        (OrnsteinUhlenbeck, {"kappa": 0.0}),
        (OrnsteinUhlenbeck, {"mu": -1.0}),
    ],
)
def test_a_parameter_that_makes_no_sense_is_named(
    process: type[GeometricBrownian], wrong: dict[str, float]
) -> None:
    with pytest.raises(InvalidValueError, match=next(iter(wrong))):
        process(**wrong)
