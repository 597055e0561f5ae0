"""The tails of a loss by every method, as they are told."""

from typing import Final

from risk import measures
from risk.arrays import Array
from risk.report import TailReport

ALL_LEVELS: Final = ("0.95", "0.975", "0.99")


def gaussian(deviation: float) -> TailReport:
    """Return the tails of normal losses of a standard deviation in money, zero mean."""
    return TailReport(
        value_at_risk={
            level: measures.gaussian_value_at_risk(deviation, float(level)) for level in ALL_LEVELS
        },
        expected_shortfall={
            level: measures.gaussian_expected_shortfall(deviation, float(level))
            for level in ALL_LEVELS
        },
    )


def historical(pnl: Array) -> TailReport:
    """Return the tails of profits as they were, money, shape (rows,), by the rule ``upper``."""
    return TailReport(
        value_at_risk={
            level: measures.historical_value_at_risk(pnl, float(level)) for level in ALL_LEVELS
        },
        expected_shortfall={
            level: measures.historical_expected_shortfall(pnl, float(level)) for level in ALL_LEVELS
        },
        rule="upper",
    )


def cornish_fisher(pnl: Array) -> TailReport:
    """Return the tails of profits, money, shape (rows,), by their skewness and kurtosis."""
    tails = {level: measures.cornish_fisher_tail(pnl, float(level)) for level in ALL_LEVELS}
    return TailReport(
        value_at_risk={level: tail.value_at_risk for level, tail in tails.items()},
        expected_shortfall={level: tail.expected_shortfall for level, tail in tails.items()},
        valid={level: tail.valid for level, tail in tails.items()},
    )
