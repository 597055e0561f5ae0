"""What is risked: the book of a portfolio, its limits, and the report of both."""

from collections.abc import Mapping
from datetime import datetime

from market.events import Fact
from risk.arrays import Array
from risk.book import Book
from risk.drawdowns import Peak
from risk.errors import UnavailableError
from risk.limits import HALTING, LimitChanged, Standing, Watch, worst
from risk.market_data import MarketData
from risk.market_state import Estimators, MarketState
from risk.portfolio import Basis, Portfolio
from risk.portfolio_context import PortfolioContext
from risk.report import BacktestChanged, LimitReport, RiskReport
from risk.reporting import Reporter
from risk.standings import Guard, StandingReport
from risk.terms import Terms


class RiskManagementContext:
    """The risk of the portfolio of one context.

    Args:
        portfolio_context: what is held, and its market data.
        market: what is known of the market; without it there is the original figure alone.
        terms: the horizon, the year and the scenarios.
    """

    def __init__(
        self,
        portfolio_context: PortfolioContext,
        market: MarketState | None = None,
        terms: Terms | None = None,
    ) -> None:
        self.portfolio_context = portfolio_context
        names = portfolio_context.portfolio.symbols
        self.market = market or MarketState(names, Estimators())
        self.terms = terms or Terms()
        self.book = Book(self.market, self.terms)
        self.watches = _watches(portfolio_context.portfolio)
        self._held = frozenset(names)

    def calculate_portfolio_risk(self) -> float:
        """Return the original figure of the portfolio; raise UnavailableError with its reason."""
        return self.portfolio_context.calculate_risk()

    def take(self, data: MarketData) -> list[Fact]:
        """Hand market data of a held asset on, value the portfolio with it, and watch its limits.

        Returns:
            the limits that were breached by it, or are kept again.
        """
        self.portfolio_context.take(data)
        if self.book.holdings is None:
            self._open()
            return []
        self.book.revalue()
        return self._watch(data) if self.watches else []

    def replace(self, portfolio: Portfolio) -> None:
        """Follow ``portfolio`` instead, from now on; an account that trades keeps its peak."""
        before = self.portfolio_context.portfolio
        if portfolio == before and self.book.holdings is not None:
            return
        self.portfolio_context.portfolio = portfolio
        if portfolio.limits != before.limits:
            self._limit(portfolio)
            self.book.gauges.begin_anew()
        if not (before.basis is portfolio.basis is Basis.ACCOUNT):
            self.book = Book(self.market, self.terms)
        self._open()

    def learn(self, data: MarketData) -> None:
        """Take market data that came before this context did."""
        self.portfolio_context.market_data[data.symbol] = data

    def score(self, row: Array, time: datetime) -> list[Fact]:
        """Hold the forecasts against a row of the clock; return what changed."""
        name = self.portfolio_context.portfolio.name
        return [
            BacktestChanged(
                time=time,
                portfolio=name,
                forecast=f"value_at_risk {level}",
                zone=zone,
                was=was,
                observations=self.book.forecasts.coverage[level].observations,
                exceptions=self.book.forecasts.coverage[level].exceptions,
            )
            for level, zone, was in self.book.score(row)
        ]

    def report(self, *, lost: str = "", flags: tuple[str, ...] = ()) -> RiskReport:
        """Return all that is known now; raise UnavailableError before any market data.

        Args:
            lost: why the stream is not to be trusted now; "" when it is.
            flags: what else a reader should know.
        """
        if self.market.time is None:
            raise UnavailableError(lost or "no market data yet")
        held = self.portfolio_context
        reporter = Reporter(
            self.book, held.weights, self.calculate_portfolio_risk, self.limits_told()
        )
        return reporter.report(held.portfolio.name, self.market.time, lost=lost, flags=flags)

    def _limit(self, portfolio: Portfolio) -> None:
        """Watch the limits of ``portfolio``; what is halted stays so under another bound."""
        halted, self.watches = self._halted(), _watches(portfolio)
        self._halt(halted)

    def _halted(self) -> dict[str, float]:
        """Return the value of each limit that halts the portfolio, as it was last seen."""
        return {n: w.value for n, w in self.watches.items() if w.standing is Standing.HALTED}

    def _halt(self, halted: Mapping[str, float]) -> None:
        for name, value in halted.items():
            if name in self.watches:
                self.watches[name].halt(value)

    def limits_told(self) -> dict[str, LimitReport]:
        """Return each limit, how far it is used, and whether it is kept."""
        return {
            name: LimitReport(bound=watch.bound, value=watch.value, state=watch.state)
            for name, watch in self.watches.items()
        }

    @property
    def standing(self) -> Standing:
        """What the limits let the portfolio do now."""
        return worst(watch.standing for watch in self.watches.values())

    def standing_told(self) -> StandingReport:
        """Return where the portfolio stands with each limit."""
        portfolio = self.portfolio_context.portfolio
        return StandingReport(
            portfolio=portfolio.name,
            account=portfolio.account,
            standing=self.standing,
            limits=self.limits_told(),
        )

    def guard(self) -> Guard:
        """Return what has to survive a restart; weights begin anew with one, so has their peak."""
        is_kept = self.portfolio_context.portfolio.basis is not Basis.WEIGHTS
        return Guard(peak=self.book.guard.peak if is_kept else None, halted=self._halted())

    def restore(self, guard: Guard) -> None:
        """Go on from where an earlier process left the limits."""
        if guard.peak is not None:
            self.book.guard.see(guard.peak)
            self.book.revalue()
        self._halt(guard.halted)

    def arm(self, time: datetime) -> list[Fact]:
        """Let every limit count from now; return those that are kept again by it."""
        self.book.guard = Peak()
        self.book.revalue()
        kept = [name for name, watch in self.watches.items() if watch.arm()]
        return [self._changed(name, time) for name in kept]

    def wait(self, data: MarketData) -> list[Fact]:
        """Watch the age limit, which there is, when something ticks; return what changed."""
        watch = self.watches["max_stale_s"]
        if data.symbol in self._held or not self.book.ready:
            return []  # what is held was watched when it ticked
        if watch.see(self.book.oldest_s()) is None:
            return []
        return [self._changed("max_stale_s", data.time)]

    def _watch(self, data: MarketData) -> list[Fact]:
        found = self.book.gauges.limited(self.market.index[data.symbol], self.watches)
        changed = [name for name, value in found.items() if self.watches[name].see(value)]
        return [self._changed(name, data.time) for name in changed]

    def _changed(self, name: str, time: datetime) -> LimitChanged:
        portfolio, watch = self.portfolio_context.portfolio, self.watches[name]
        return LimitChanged(
            time=time,
            portfolio=portfolio.name,
            account=portfolio.account,
            limit=name,
            bound=watch.bound,
            value=watch.value,
            state=watch.state,
            standing=self.standing,
        )

    def _open(self) -> None:
        portfolio = self.portfolio_context.portfolio
        self._held = frozenset(portfolio.symbols)
        data = self.portfolio_context.market_data
        if not portfolio.known:
            return
        if portfolio.basis is not Basis.WEIGHTS:
            self.book.hold(portfolio.holdings({}))
        elif all(name in data for name in portfolio.symbols):
            self.book.hold(portfolio.holdings({k: v.price.value for k, v in data.items()}))


def _watches(portfolio: Portfolio) -> dict[str, Watch]:
    return {
        name: Watch(bound, is_halting=name in HALTING)
        for name, bound in portfolio.limits.bounds().items()
    }
