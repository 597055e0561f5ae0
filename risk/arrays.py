"""The array types of the mathematics: shape and unit are said where they are used."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Numbers: TypeAlias = Array | Sequence[float]


def numbers(values: Numbers) -> Array:
    """Return ``values`` as float64; raise ValueError when one of them is not finite."""
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError("not a number, or infinite, among the values")
    return array
