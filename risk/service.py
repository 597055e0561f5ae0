"""The running service: one reader of the exchange, accounts kept fresh, reports told in time."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

import httpx
import structlog

from market.clock import SystemClock
from market.errors import StreamError
from market.events import Fact, State, Tick
from market.feed import Feed
from market.hub import Hub
from risk.accounts import Accounts
from risk.errors import ExchangeAwayError, UnavailableError
from risk.limits import LimitChanged
from risk.monitor import Monitor
from risk.portfolio import Basis, Portfolio
from risk.report import BacktestChanged, PriceGapSeen, RiskReport
from risk.repositories import AccountRepository, ExchangeClient, PortfolioRepository
from risk.settings import Settings
from risk.standings import Guard, GuardRepository

KINDS: Final = (RiskReport.kind, BacktestChanged.kind, LimitChanged.kind, PriceGapSeen.kind)
WARM_TICKS: Final = 1000
_LOG_EVERY_S: Final = 1.0
_AGAIN_S: Final = 5.0
_GUARDS_S: Final = 5.0
_NEW: Final = Guard()

log = structlog.get_logger("risk")


class RiskService:
    """Reads the stream, follows accounts, publishes reports.

    Args:
        settings: of the service.
        hub: where reports go.
        repository: of the named portfolios.
        guards: of their limits.
        client: for the exchange; it stays open.
        silence_s: without a byte for this long the exchange's stream is dead.
        now: a clock that never goes back, in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        hub: Hub,
        repository: PortfolioRepository,
        client: httpx.AsyncClient,
        *,
        guards: GuardRepository,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self.settings, self.hub, self.repository = settings, hub, repository
        clock = SystemClock()
        self.monitor = Monitor(
            settings.symbols,
            settings.estimators,
            settings.terms,
            present=clock.now,
            guards=guards.all(),
        )
        self._exchange = ExchangeClient(client, settings.exchange_url)
        known = AccountRepository(self._exchange, settings.keys)
        self.accounts = Accounts(settings, self.monitor, known, client, now)
        silence_s = 3 * settings.stream.heartbeat_s
        url = f"{settings.exchange_url.rstrip('/')}/stream"
        self.feed = Feed(url, client=client, silence_s=silence_s, retry_cap_s=2.0)
        self._now = now
        self._told: dict[str, int] = {}
        self._logged_at = -_LOG_EVERY_S
        self.guards = guards
        self._kept: dict[str, Guard] = {}
        self._kept_at = -_GUARDS_S
        self.failure = ""
        self.streams: Callable[[], int] = int  # whoever serves the hub knows better

    def open(self) -> None:
        """Take up the portfolios: the default one, and those that were saved."""
        saved = {portfolio.name: portfolio for portfolio in self.repository.all()}
        for portfolio in ({self.settings.portfolio.name: self.settings.portfolio} | saved).values():
            self.monitor.put(portfolio)
        for account in self.settings.accounts:
            self.monitor.put(
                Portfolio(
                    name=f"account:{account}",
                    assets=(),
                    basis=Basis.ACCOUNT,
                    account=account,
                    limits=self.settings.account_limits,
                    known=False,
                )
            )

    async def run(self) -> None:
        """Work until cancelled; raise what ends it otherwise, which is a bug."""
        await self._warm()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read())
            tasks.create_task(self.accounts.run())
            tasks.create_task(self._publish())

    # -- the exchange ----------------------------------------------------------------------------

    async def _warm(self) -> None:
        """Let the estimators see what the exchange remembers; without it they begin cold."""
        ticks: list[Tick] = []
        try:
            for symbol in self.settings.symbols:
                query = {"symbol": symbol, "limit": str(WARM_TICKS)}
                ticks += await self._exchange.get("/ticks", list[Tick], query) or []
        except ExchangeAwayError as error:
            log.info("cold_start", reason=error.problem)
            return
        log.info("warm_start", ticks=self.monitor.warm(ticks))

    async def _read(self) -> None:
        while True:
            try:
                async for fact in self.feed:
                    self._take(fact)
                return  # the exchange says that there is nothing more, ever
            except StreamError as error:
                self.monitor.lost = f"the stream cannot be read: {error.problem}"
                log.warning("stream_refused", url=error.url, problem=error.problem)
            await asyncio.sleep(_AGAIN_S)

    def _take(self, fact: Fact) -> None:
        before = self.monitor.lost
        self.monitor.take(fact)
        self._tell_news()
        if self.monitor.lost != before:
            log.info("stream", state=self.monitor.lost or "live")

    async def follow(self, account: str) -> str:
        """Follow an account for a while; return the name of its portfolio; see Accounts."""
        return await self.accounts.follow(account)

    # -- reports ---------------------------------------------------------------------------------

    async def _publish(self) -> None:
        due = self._now()
        while True:
            await asyncio.sleep(max(0.0, due - self._now()))
            self.publish()
            await self._keep_guards()
            due = self._now() + self.settings.interval_s

    def publish(self) -> None:
        """Tell what is new of each portfolio, and what else happened."""
        self._tell_news()
        due = self._now() - self._logged_at >= _LOG_EVERY_S
        contexts = self.monitor.contexts
        self._told = {name: at for name, at in self._told.items() if name in contexts}
        for name in sorted(contexts):
            self._publish_one(name, logged=due)
        if due:
            self._logged_at = self._now()

    def _tell_news(self) -> None:
        for fact in self.monitor.news():
            self.hub.publish(fact)
            log.info(fact.kind, **told(fact))

    def arm(self, name: str) -> None:
        """Let every limit of a portfolio count from now; KeyError when there is none such."""
        self.monitor.arm(name)
        self._tell_news()

    async def _keep_guards(self) -> None:
        """Keep where the limits stand: a halt at once, a peak now and then."""
        now = self.monitor.guards()
        halts = any(g.halted != self._kept.get(n, _NEW).halted for n, g in now.items())
        if not halts and self._now() - self._kept_at < _GUARDS_S:
            return
        changed = {name: guard for name, guard in now.items() if guard != self._kept.get(name)}
        self._kept, self._kept_at = now, self._now()
        if changed:
            await asyncio.to_thread(self.guards.save, changed)

    def _publish_one(self, name: str, *, logged: bool) -> None:
        if self._told.get(name) == self.monitor.version:
            return
        try:
            report = self.monitor.report(name)
        except UnavailableError:  # nothing is known of the market: there is nothing to tell
            return
        self._told[name] = self.monitor.version
        self.hub.publish(report)
        if logged:
            log.info("risk", **main_numbers(report))

    # -- health ----------------------------------------------------------------------------------

    def ailments(self) -> list[str]:
        """Return what is wrong now; nothing is a healthy service."""
        monitor = self.monitor
        found = [self.failure] if self.failure else []
        if monitor.lost:
            found.append(monitor.lost)
        elif monitor.market.time is None:
            found.append("no market data yet")
        found += [
            f"source of {name} is {state}"
            for name, state in monitor.sources.items()
            if state is not State.UP and name in monitor.market.index
        ]
        return found


def main_numbers(report: RiskReport) -> dict[str, object]:
    """Return the numbers of a report that a log line has; what is not there is its reason."""
    numbers: dict[str, object] = {
        "portfolio": report.portfolio,
        "state": report.state,
        "value": report.value,
        "weighted_risk": report.weighted_risk,
        "volatility": report.volatility,
        "var_95": report.value_at_risk["0.95"],
        "var_99": report.value_at_risk["0.99"],
        "es_99": report.expected_shortfall["0.99"],
        "drawdown": report.drawdown,
        "horizon_s": report.horizon_s,
        "samples": report.samples,
    }
    return {name: "-" if number is None else number for name, number in numbers.items()}


def told(fact: Fact) -> dict[str, object]:
    """Return what a log line tells of a fact."""
    return {name: getattr(fact, name) for name in fact.__struct_fields__ if name != "time"}
