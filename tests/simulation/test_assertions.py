import pytest

from simulation.assertions import Assertion, failures
from simulation.errors import ConfigError
from simulation.results import RunResult
from tests.simulation.runs import a_config, ran


@pytest.fixture(scope="module")
def result() -> RunResult:
    return ran(a_config(200))[1]


@pytest.mark.parametrize(
    "text",
    [
        'max_drawdown("investor") < 0.2',
        'ticks("BTC") == 200 and not failed("hamster")',
        '0 <= max_drawdown("investor") <= 1',
        'abs(pnl("investor") - (equity("investor") - 1000000)) < 1e-6',
        'low_price("BTC") / first_price("BTC") > 0.5 or False == 1',
        'position("hamster", "BTC") == 0',
        'refused("investor", "price-band") == 0',
        "-1 < 0",
    ],
)
def test_what_is_true_holds(text: str, result: RunResult) -> None:
    assert failures([text], result) == ()


def test_what_is_not_true_is_named(result: RunResult) -> None:
    false = ['pnl("investor") > 1e9', 'trades("BTC") < 0']

    assert failures([*false, "1 < 2"], result) == tuple(false)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "(lambda: 1)()",
        "[x for x in (1, 2)]",
        "pnl.__class__",
        'pnl("investor", wide=1) > 0',
        "2 ** 99999999 > 0",
        "pnl > 0",
        "unknown(1) > 0",
        "1 <",
        "b'x' == 1",
        "(" * 300 + "1" + ")" * 300,
        "1" * 1000,
        '"a" * 1000000000000 == 1',
    ],
)
def test_nothing_else_can_be_said(text: str) -> None:
    with pytest.raises(ConfigError):
        Assertion(text)


def test_risk_that_was_off_has_no_figures(result: RunResult) -> None:
    with pytest.raises(ConfigError, match="there is no 'default'"):
        Assertion('risk_exceptions("default") == 0').holds(result)


def test_an_unknown_agent_is_an_error_and_not_a_pass(result: RunResult) -> None:
    with pytest.raises(ConfigError, match="nobody"):
        Assertion('pnl("nobody") > 0').holds(result)
