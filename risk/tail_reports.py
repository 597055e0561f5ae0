"""The tails of a loss by every method, as they are told."""

from typing import Final

from risk import measures
from risk.arrays import Array
from risk.report import TailReport
from risk.tails import (
    moments_of,
    ranked_expected_shortfall,
    ranked_losses,
    ranked_value_at_risk,
)

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
    losses = ranked_losses(pnl)
    return TailReport(
        value_at_risk={level: ranked_value_at_risk(losses, float(level)) for level in ALL_LEVELS},
        expected_shortfall={
            level: ranked_expected_shortfall(losses, float(level)) for level in ALL_LEVELS
        },
        rule="upper",
    )


def cornish_fisher(pnl: Array) -> TailReport:
    """Return the tails of profits, money, shape (rows,), by their skewness and kurtosis."""
    moments = moments_of(pnl)
    tails = {level: moments.cornish_fisher_tail(float(level)) for level in ALL_LEVELS}
    return TailReport(
        value_at_risk={level: tail.value_at_risk for level, tail in tails.items()},
        expected_shortfall={level: tail.expected_shortfall for level, tail in tails.items()},
        valid={level: tail.valid for level, tail in tails.items()},
    )
