"""The live risk engine on virtual time: the facts of the stream in, a report now and then."""

from collections.abc import Iterable
from math import sqrt
from typing import Final

from exchange.statement import AccountView
from market.events import Fact, SourceState, Tick
from market.feed import FeedOpened
from market.orders import TradingStateChanged
from market.settings import Environment
from market.values import Symbol
from risk.errors import UnavailableError
from risk.monitor import Monitor
from risk.portfolio import Asset, Basis, Portfolio, Weight
from risk.report import RiskReport
from risk.settings import Settings
from simulation.results import RiskResult
from simulation.series import Series

LEVELS: Final = ("0.95", "0.99")
HEARD: Final = (Tick, SourceState, TradingStateChanged)


class Watched:
    """The reports of one portfolio, and the losses that followed them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reports = 0
        self.exceptions = dict.fromkeys(LEVELS, 0)
        self.path: Series[tuple[float, float, float, bool]] = Series()
        self.max_drawdown: float | None = None
        self._before: tuple[float, float, dict[str, float]] | None = None

    def take(self, report: RiskReport, seconds: float) -> None:
        """Hold the value against the last report, and keep this one."""
        self.reports += 1
        self.max_drawdown = report.max_drawdown
        is_exception = False
        if self._before is not None and report.value is not None:
            then, value, limits = self._before
            scale = sqrt((seconds - then) / report.horizon_s)
            for level, limit in limits.items():
                if value - report.value > limit * scale:
                    self.exceptions[level] += 1
                    is_exception |= level == LEVELS[-1]
        self._before = None
        limits = {k: v for k, v in report.value_at_risk.items() if v is not None}
        if report.value is not None and len(limits) == len(LEVELS):
            self._before = seconds, report.value, limits
            self.path.add((seconds, report.value, limits[LEVELS[-1]], is_exception))

    def result(self) -> RiskResult:
        """Return the sums."""
        return RiskResult(
            portfolio=self.name,
            reports=self.reports,
            exceptions_95=self.exceptions["0.95"],
            exceptions_99=self.exceptions["0.99"],
            max_drawdown=self.max_drawdown,
        )


class RiskWatch:
    """Feeds the monitor, and keeps what it reports.

    Risk is in floats: its reports are not part of the event log, whose bytes are the same on every
    machine.
    """

    def __init__(self, env: Environment) -> None:
        settings = Settings.from_env(env)
        self.monitor = Monitor(settings.symbols, settings.estimators, settings.terms)
        self.monitor.put(settings.portfolio)
        self.watched = {settings.portfolio.name: Watched(settings.portfolio.name)}
        self.monitor.take(FeedOpened())

    def hear(self, facts: Iterable[Fact]) -> None:
        """Take facts of the stream in; those that risk has no use for are left out."""
        for fact in facts:
            if isinstance(fact, HEARD):
                self.monitor.take(fact)

    def follow(self, account: AccountView) -> None:
        """Follow an account as it stands now."""
        name = f"account:{account.account}"
        assets = tuple(
            Asset(Symbol(each.symbol), Weight(float(each.quantity)))
            for each in account.positions
            if each.quantity
        )
        portfolio = Portfolio(
            name=name,
            assets=assets,
            basis=Basis.ACCOUNT,
            cash=float(account.cash),
            account=account.account,
        )
        self.monitor.put(portfolio)
        self.watched.setdefault(name, Watched(name))

    def report(self, seconds: float) -> None:
        """Take a report of every portfolio; what the monitor has no data for is left out."""
        self.monitor.news()
        for name, watched in self.watched.items():
            try:
                watched.take(self.monitor.report(name), seconds)
            except UnavailableError:  # nothing is known of the market yet
                continue

    def results(self) -> tuple[RiskResult, ...]:
        """Return the sums of every portfolio."""
        return tuple(watched.result() for watched in self.watched.values())
