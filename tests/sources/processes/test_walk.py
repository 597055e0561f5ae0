from itertools import islice, pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.errors import InvalidValueError
from sources.processes import Walk
from sources.processes.walk import EXACT, folded


class Draws(Random):
    """A generator that gives the numbers it was given."""

    def __init__(self, *numbers: float) -> None:
        super().__init__(0)
        self._numbers = iter(numbers)

    def random(self) -> float:
        return next(self._numbers)


def test_the_price_first_falls_and_turns_after_the_step_that_flips() -> None:
    draws = Draws(0.5, 0.9, 0.5, 0.1, 0.5, 0.9, 0.0, 0.14, 0.999, 0.15)

    prices = islice(Walk(step_max=10).prices(100.0, draws), 5)

    assert list(prices) == [95.0, 90.0, 95.0, 95.0, 85.0]


def test_a_walk_that_would_pass_zero_is_reflected_in_position_and_direction() -> None:
    never_flips = Draws(*(number for _ in range(8) for number in (0.99, 0.9)))

    prices = islice(Walk(step_max=3).prices(5.0, never_flips), 8)

    assert list(prices) == [2.0, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0, 21.0]


def test_a_cheap_instrument_never_reaches_zero() -> None:
    prices = list(islice(Walk(tick_size=0.01).prices(0.05, Random(7)), 50_000))

    assert min(prices) == pytest.approx(0.01)


def test_the_steps_of_a_walk_far_from_zero_are_those_of_the_plain_formula() -> None:
    rng, price, direction, plain = Random(3), 70_400, 1, []
    for _ in range(2000):
        price -= int(rng.random() * 11) * direction
        if rng.random() < 0.15:
            direction = -direction
        plain.append(float(price))

    assert list(islice(Walk().prices(70_400.0, Random(3)), 2000)) == plain


@pytest.mark.no_cover
def test_the_walk_has_the_built_in_autocorrelation_of_one_half() -> None:
    prices = list(islice(Walk().prices(1e9, Random(5)), 200_001))
    steps = np.array([after - before for before, after in pairwise(prices)])

    found = [np.corrcoef(steps[:-lag], steps[lag:])[0, 1] for lag in (1, 2, 3)]

    # E[u]^2 / E[u^2] = 25 / 35 for u in 0..10
    assert found == pytest.approx([25 / 35 * 0.7**lag for lag in (1, 2, 3)], abs=0.01)


@settings(max_examples=60)
@given(free=st.integers(-(10**18), 10**18), top=st.integers(2, EXACT))
def test_a_folded_path_stays_between_its_mirrors_and_moves_no_faster(free: int, top: int) -> None:
    here, after = folded(free, top), folded(free + 1, top)

    assert 1 <= here <= top
    assert abs(after - here) == 1


@pytest.mark.parametrize("wrong", [{"step_max": 0}, {"flip": 1.5}, {"tick_size": 0.0}])
def test_a_walk_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidValueError, match=next(iter(wrong))):
        Walk(**wrong)  # type: ignore[arg-type]
