from itertools import islice
from math import isfinite
from random import Random

import pytest

from sources.processes import PROCESSES, GeometricBrownian, GjrGarch, MertonJumps, create_process


@pytest.mark.parametrize("name", PROCESSES)
def test_every_process_runs_on_its_defaults_and_repeats_itself_for_a_seed(name: str) -> None:
    process = create_process(name, lambda _, default: default)

    once, again = (list(islice(process.prices(70_400.0, Random(42)), 300)) for _ in range(2))

    assert once == again
    assert len(set(once)) > 100
    assert all(isfinite(price) and 60_000 < price < 80_000 for price in once)


def test_parameters_are_asked_for_by_name_with_their_defaults() -> None:
    asked = {}

    def parameter(name: str, default: float) -> float:
        asked[name] = default
        return 100.0 if name == "lambda" else default

    process = create_process("merton", parameter, sigma=0.1)

    assert process == MertonJumps(sigma=0.1, lambda_=100.0)
    assert set(asked) == {"mu", "lambda", "mu_j", "sigma_j", "dt"}


def test_the_realistic_process_is_gjr_garch() -> None:
    assert PROCESSES["realistic"] is GjrGarch
    assert PROCESSES["gbm"] is GeometricBrownian
