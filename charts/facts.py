"""What the exchange and risk tell, as far as a page shows it; what else they say is passed over."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Final

from msgspec import Struct, field

from market.events import (
    BookUpdate,
    Fact,
    Gap,
    Lagging,
    Shutdown,
    Snapshot,
    SourceState,
    Tick,
    Trade,
)
from market.orders import (
    AmendRejected,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderDecremented,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    TradingStateChanged,
)


class Holding(Struct, frozen=True, kw_only=True):
    """A position of an account."""

    symbol: str
    quantity: Decimal
    average_price: Decimal
    mark: Decimal
    unrealized_pnl: Decimal


class AccountSeen(Struct, frozen=True, kw_only=True):
    """An account as the exchange shows it; to others than its owner without cash and positions."""

    account: str
    cash: Decimal = Decimal(0)
    equity: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees: Decimal
    positions: tuple[Holding, ...] = ()


class OrderSeen(Struct, frozen=True, kw_only=True):
    """An open order of an account."""

    order_id: int
    symbol: str
    side: str
    type: str
    quantity: Decimal
    filled_quantity: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None


class AccountSnapshot(Fact, frozen=True, kw_only=True):
    """How an account and its open orders stand."""

    kind: ClassVar[str] = "snapshot"

    account: AccountSeen
    orders: tuple[OrderSeen, ...]


class RiskSeen(Fact, frozen=True, kw_only=True):
    """A report of a portfolio's risk."""

    kind: ClassVar[str] = "risk"

    time: datetime
    portfolio: str
    state: str
    value: float | None
    volatility: float | None
    value_at_risk: dict[str, float | None]
    expected_shortfall: dict[str, float | None]
    contributions: dict[str, float]
    drawdown: float | None
    max_drawdown: float | None
    horizon_s: float
    samples: int
    unavailable: dict[str, str] = field(default_factory=dict)
    stress: dict[str, float] = field(default_factory=dict)


class BacktestSeen(Fact, frozen=True, kw_only=True):
    """The traffic light of a forecast changed its color."""

    kind: ClassVar[str] = "backtest"

    time: datetime
    portfolio: str
    forecast: str
    zone: str
    was: str


class PriceGapSeen(Fact, frozen=True, kw_only=True):
    """A price moved over a silence."""

    kind: ClassVar[str] = "price_gap"

    time: datetime
    symbol: str
    seconds: float
    z_score: float


class InstrumentSeen(Struct, frozen=True, kw_only=True):
    """What can be traded, and on which grid."""

    symbol: str
    name: str = ""
    quote: str = ""
    tick_size: Decimal = Decimal("0.01")
    lot_size: Decimal = Decimal(1)
    trading_state: str = "trading"


MARKET_FACTS: Final = (
    Tick,
    Trade,
    BookUpdate,
    SourceState,
    Snapshot,
    Gap,
    Lagging,
    Shutdown,
    TradingStateChanged,
)
ACCOUNT_FACTS: Final = (
    AccountSnapshot,
    OrderAccepted,
    OrderAmended,
    OrderFilled,
    OrderCancelled,
    OrderExpired,
    OrderDecremented,
    OrderRejected,
    AmendRejected,
    Gap,
    Shutdown,
)
RISK_FACTS: Final = (RiskSeen, BacktestSeen, PriceGapSeen, Gap, Shutdown)

Numbers = Mapping[str, Any]
