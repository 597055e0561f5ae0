from exchange.compile import MODULES as EXCHANGE
from exchange.compile import ROOT
from simulation.compile import MODULES


def test_every_module_that_is_compiled_exists() -> None:
    assert all((ROOT / module).is_file() for module in MODULES)


def test_a_simulation_compiles_all_that_the_exchange_does() -> None:
    assert set(EXCHANGE) < set(MODULES)
