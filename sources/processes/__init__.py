"""Price processes: pure, seeded, float inside; the same seed gives the same prices."""

from sources.processes.brownian import ArithmeticBrownian, GeometricBrownian, OrnsteinUhlenbeck
from sources.processes.catalog import PROCESSES, create_process, parameters
from sources.processes.correlated import CorrelatedBrownian, cholesky
from sources.processes.garch import Garch, GjrGarch
from sources.processes.hawkes import Hawkes
from sources.processes.heston import Heston
from sources.processes.intraday import IntradayProfile
from sources.processes.merton import MertonJumps
from sources.processes.price_process import PriceProcess
from sources.processes.regimes import Regimes
from sources.processes.seeding import generator
from sources.processes.walk import Walk

__all__ = [
    "PROCESSES",
    "ArithmeticBrownian",
    "CorrelatedBrownian",
    "Garch",
    "GeometricBrownian",
    "GjrGarch",
    "Hawkes",
    "Heston",
    "IntradayProfile",
    "MertonJumps",
    "OrnsteinUhlenbeck",
    "PriceProcess",
    "Regimes",
    "Walk",
    "cholesky",
    "create_process",
    "generator",
    "parameters",
]
