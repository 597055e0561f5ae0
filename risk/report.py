"""What is told of a portfolio: each number with its convention, or why it is not there."""

from datetime import datetime
from typing import Any, ClassVar, Final

from msgspec import Struct

from market.events import Fact
from market.values import Symbol

PUBLISHED: Final = ("0.95", "0.99")
"""The levels that every report has."""

Levels = dict[str, float | None]


class TailReport(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Losses in money at the horizon, by one method, for each level."""

    value_at_risk: dict[str, float]
    expected_shortfall: dict[str, float]
    valid: dict[str, bool] = {}
    rule: str = ""


class EstimateReport(Struct, frozen=True, kw_only=True):
    """Which covariance is in use, and what the others say; volatilities are at the horizon.

    ``half_life_s`` is the one in use; ``half_life_reason`` why it is not the configured one, or "".
    """

    published: str
    reason: str
    alarm: str
    live: dict[str, float | None]
    reference: float | None
    clock_s: float | None
    half_life_s: float
    half_life_reason: str
    n_eff: float
    relative_error: float | None
    attenuation: dict[str, float]


class CoverageReport(Struct, frozen=True, kw_only=True):
    """How a value at risk kept its promise over the last forecasts, one a beat of the clock."""

    observations: int
    exceptions: int
    kupiec_p: float | None
    christoffersen_p: float | None
    zone: str


class LimitReport(Struct, frozen=True, kw_only=True):
    """One limit of a portfolio, as of the last tick of what it holds."""

    bound: float
    value: float
    state: str


class RiskReport(Fact, frozen=True, kw_only=True):
    """The risk of one portfolio at one time.

    Attributes:
        time: of the newest market data in it.
        state: ``warming`` until the estimate is worth 10 returns, ``stale`` when a price it needs
            is.
        weights: as configured; of an account, each position's share of the equity.
        value: in the quote currency.
        weighted_risk: sum(weight * price / volume) / sum(weight), the original figure.
        volatility: a fraction of the value, over ``horizon_s``, not annualized.
        value_at_risk, expected_shortfall: money of the portfolio's value over ``horizon_s``, a
            loss is positive; Gaussian, zero mean.
        contributions: each asset's share of the volatility; they add up to 1.
        drawdown, max_drawdown: fractions of the highest value since this portfolio is watched.
        samples: returns seen of the asset with the fewest.
        unavailable: why a number above is null.
        conventions: how to read the numbers.
    """

    kind: ClassVar[str] = "risk"

    time: datetime
    portfolio: str
    state: str
    weights: dict[Symbol, float]
    value: float | None
    weighted_risk: float | None
    volatility: float | None
    value_at_risk: Levels
    expected_shortfall: Levels
    contributions: dict[Symbol, float]
    drawdown: float | None
    max_drawdown: float | None
    horizon_s: float
    samples: int
    unavailable: dict[str, str]
    conventions: dict[str, Any]
    volatility_annual: float | None
    quantities: dict[Symbol, float]
    exposures: dict[Symbol, float]
    cash: float | None
    stale: dict[Symbol, float]
    stale_share: float
    diversification_ratio: float | None
    amihud: dict[Symbol, float]
    estimate: EstimateReport | None
    tails: dict[str, TailReport]
    marginal_value_at_risk: dict[Symbol, float]
    performance: dict[str, float | None]
    benchmark: dict[str, float | None]
    stress: dict[str, float]
    backtest: dict[str, CoverageReport]
    limits: dict[str, LimitReport]
    drift: float | None
    flags: tuple[str, ...]

    @property
    def subject(self) -> str:
        """The portfolio, by which readers filter."""
        return self.portfolio


class BacktestChanged(Fact, frozen=True, kw_only=True):
    """The traffic light of a forecast changed its color."""

    kind: ClassVar[str] = "backtest"

    time: datetime
    portfolio: str
    forecast: str
    zone: str
    was: str
    observations: int
    exceptions: int

    @property
    def subject(self) -> str:
        """The portfolio, by which readers filter."""
        return self.portfolio


class PriceGapSeen(Fact, frozen=True, kw_only=True):
    """A price moved over a silence: the move is in the value, and kept out of the estimators."""

    kind: ClassVar[str] = "price_gap"

    time: datetime
    symbol: Symbol
    seconds: float
    z_score: float
