"""The processes by their names in the settings."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from types import MappingProxyType
from typing import Final

from sources.processes.brownian import ArithmeticBrownian, GeometricBrownian, OrnsteinUhlenbeck
from sources.processes.correlated import CorrelatedBrownian
from sources.processes.garch import Garch, GjrGarch
from sources.processes.heston import Heston
from sources.processes.merton import MertonJumps
from sources.processes.price_process import PriceProcess
from sources.processes.regimes import Regimes
from sources.processes.walk import Walk

Process = (
    type[Walk]
    | type[GeometricBrownian]
    | type[ArithmeticBrownian]
    | type[OrnsteinUhlenbeck]
    | type[MertonJumps]
    | type[Heston]
    | type[Garch]
    | type[GjrGarch]
    | type[Regimes]
    | type[CorrelatedBrownian]
)

PROCESSES: Final[Mapping[str, Process]] = MappingProxyType(
    {
        "walk": Walk,
        "gbm": GeometricBrownian,
        "abm": ArithmeticBrownian,
        "ou": OrnsteinUhlenbeck,
        "merton": MertonJumps,
        "heston": Heston,
        "garch": Garch,
        "gjr": GjrGarch,
        "realistic": GjrGarch,
        "regimes": Regimes,
        "correlated": CorrelatedBrownian,
    }
)

OF_THE_MARKET: Final = frozenset({"step_max", "tick_size", "loadings"})  # settings of their own


def parameters(name: str) -> frozenset[str]:
    """Return what may be said about the process of that name; KeyError when there is none."""
    return frozenset(field.name.rstrip("_") for field in fields(PROCESSES[name])) - OF_THE_MARKET


def create_process(
    name: str, parameter: Callable[[str, float], float], **given: object
) -> PriceProcess:
    """Return the process of that name.

    Args:
        name: one of PROCESSES.
        parameter: called with the name and the default of each parameter that is not ``given``.
        given: parameters that are known already.

    Raises:
        InvalidValueError: a parameter will not do.
        KeyError: there is no such process.
    """
    process = PROCESSES[name]
    values = dict(given)
    for field in fields(process):
        if field.name not in values and field.default is not MISSING:
            values[field.name] = parameter(field.name.rstrip("_"), field.default)
    return process(**values)  # type: ignore[arg-type]
