"""What a run came to, as values that can be kept: the same run gives the same values."""

from decimal import Decimal
from functools import partial
from typing import Final

from msgspec import Struct

from bots.answers import AccountAnswer
from exchange.statement import AccountView

ZERO: Final = Decimal(0)


class BotResult(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """What one agent has done; money in the quote currency.

    Attributes:
        sharpe: mean over standard deviation of the P&L per sample, scaled to a day; None where it
            never varied.
        max_drawdown: share of the highest equity, over the samples.
        hit_rate: share of the fills that closed something at a profit, fees included; None
            without such fills.
        agrees: whether its own books are the exchange's, to the last digit.
        failure: why it left the market; "" where it stayed.
        failures: how often its strategy failed, by what it raised and where.
    """

    name: str
    starting_cash: Decimal
    equity: Decimal
    cash: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees: Decimal
    positions: dict[str, Decimal]
    orders: int
    fills: int
    refusals: dict[str, int]
    sharpe: float | None
    max_drawdown: float
    hit_rate: float | None
    agrees: bool
    failure: str
    failures: dict[str, int] = {}

    @property
    def pnl(self) -> Decimal:
        """What it has won or lost in all."""
        return self.equity - self.starting_cash


def as_it_stands(
    account: AccountView | AccountAnswer | None, starting_cash: Decimal
) -> partial[BotResult]:
    """Return a result that lacks but what was done: the money, as the exchange has it.

    An account that was never opened has the cash it would have begun with.
    """
    if account is None:
        return partial(
            BotResult,
            starting_cash=starting_cash,
            equity=starting_cash,
            cash=starting_cash,
            realized_pnl=ZERO,
            unrealized_pnl=ZERO,
            fees=ZERO,
            positions={},
        )
    return partial(
        BotResult,
        starting_cash=account.starting_cash,
        equity=account.equity,
        cash=account.cash,
        realized_pnl=account.realized_pnl,
        unrealized_pnl=account.unrealized_pnl,
        fees=account.fees,
        positions={each.symbol: each.quantity for each in account.positions},
    )


class MarketResult(Struct, frozen=True, kw_only=True):
    """What became of one instrument; prices are those of its source, and of trades."""

    symbol: str
    ticks: int
    first: Decimal | None
    last: Decimal | None
    low: Decimal | None
    high: Decimal | None
    trades: int
    volume: Decimal
    last_trade: Decimal | None
    low_trade: Decimal | None
    high_trade: Decimal | None
    halts: int
    down: int
    stale: int
    faults: int


class RiskResult(Struct, frozen=True, kw_only=True):
    """How the value at risk of a portfolio kept its promise, report after report.

    An exception is a loss until the next report above what was said, scaled by the root of time.
    """

    portfolio: str
    reports: int
    exceptions_95: int
    exceptions_99: int
    max_drawdown: float | None


class RunResult(Struct, frozen=True, kw_only=True):
    """Everything that a run came to.

    Attributes:
        config: the digest of the configuration; with the seed it names the run.
        log: SHA-256 of the event log.
        failed: the assertions that do not hold.
    """

    name: str
    config: str
    seed: int
    days: float
    ticks: int
    orders: int
    trades: int
    events: int
    log: str
    bots: tuple[BotResult, ...]
    markets: tuple[MarketResult, ...]
    risk: tuple[RiskResult, ...]
    failed: tuple[str, ...] = ()

    def bot(self, name: str) -> BotResult:
        """Return what an agent has done; raise KeyError when there is none of that name."""
        for found in self.bots:
            if found.name == name:
                return found
        raise KeyError(name)

    def market(self, symbol: str) -> MarketResult:
        """Return what became of an instrument; raise KeyError when it is unknown."""
        for found in self.markets:
            if found.symbol == symbol:
                return found
        raise KeyError(symbol)
