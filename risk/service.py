"""The running service: one reader of the exchange, accounts kept fresh, reports told in time."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import Final

import httpx
import msgspec
import structlog

from market.clock import SystemClock
from market.errors import MarketError, StreamError
from market.events import Fact, State, Tick
from market.feed import Feed
from market.hub import Hub
from risk.errors import ExchangeAwayError, UnavailableError, UnknownAccountError
from risk.limits import LimitChanged
from risk.monitor import Monitor
from risk.portfolio import Basis, Portfolio
from risk.report import BacktestChanged, PriceGapSeen, RiskReport
from risk.repositories import AccountRepository, ExchangeClient, PortfolioRepository
from risk.settings import Settings

KINDS: Final = (RiskReport.kind, BacktestChanged.kind, LimitChanged.kind, PriceGapSeen.kind)
WARM_TICKS: Final = 1000
_LOG_EVERY_S: Final = 1.0
_AGAIN_S: Final = 5.0
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}", re.ASCII)

log = structlog.get_logger("risk")


class RiskService:
    """Reads the stream, follows accounts, publishes reports.

    Args:
        settings: of the service.
        hub: where reports go.
        repository: of the named portfolios.
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
        now: Callable[[], float] = monotonic,
    ) -> None:
        self.settings, self.hub, self.repository = settings, hub, repository
        clock = SystemClock()
        self.monitor = Monitor(
            settings.symbols, settings.estimators, settings.terms, present=clock.now
        )
        self._exchange = ExchangeClient(client, settings.exchange_url)
        self._accounts = AccountRepository(self._exchange)
        silence_s = 3 * settings.stream.heartbeat_s
        url = f"{settings.exchange_url.rstrip('/')}/stream"
        self.feed = Feed(url, client=client, silence_s=silence_s, retry_cap_s=2.0)
        self._now = now
        self._asked: dict[str, float] = {}
        self._fetched: dict[str, float] = {}
        self._account_trouble: dict[str, str] = {}
        self._told: dict[str, int] = {}
        self._logged_at = -_LOG_EVERY_S
        self.failure = ""
        self.streams: Callable[[], int] = int  # whoever serves the hub knows better

    def open(self) -> None:
        """Take up the portfolios: the default one, and those that were saved."""
        saved = {portfolio.name: portfolio for portfolio in self.repository.all()}
        for portfolio in ({self.settings.portfolio.name: self.settings.portfolio} | saved).values():
            self.monitor.put(portfolio)

    async def run(self) -> None:
        """Work until cancelled; raise what ends it otherwise, which is a bug."""
        await self._warm()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read())
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
        if self.monitor.lost != before:
            log.info("stream", state=self.monitor.lost or "live")

    # -- accounts --------------------------------------------------------------------------------

    async def follow(self, account: str) -> str:
        """Follow an account for a while; return the name of its portfolio.

        Raises:
            UnknownAccountError: the exchange has no such account.
            ExchangeAwayError: the exchange does not answer.
        """
        if not _ACCOUNT.fullmatch(account):  # such a name would ask the exchange something else
            raise UnknownAccountError(account)
        name = f"account:{account}"
        if self._is_due(name):
            portfolio = await self._positions(name, account)
            if name not in self._asked and len(self._asked) >= self.settings.max_portfolios:
                self._release(min(self._asked, key=self._asked.__getitem__))
            self.monitor.put(portfolio)
        self._asked[name] = self._now()
        return name

    def _is_due(self, name: str) -> bool:
        fetched = self._fetched.get(name)
        return fetched is None or self._now() - fetched >= self.settings.interval_s

    async def _positions(self, name: str, account: str) -> Portfolio:
        """Ask for the positions of an account; they keep the limits that were set for them."""
        portfolio = await self._accounts.get(account, name)
        self._fetched[name] = self._now()
        known = self.monitor.contexts.get(name)
        if known is None:
            return portfolio
        return replace(portfolio, limits=known.portfolio_context.portfolio.limits)

    async def _refresh_all(self) -> None:
        for name, asked in list(self._asked.items()):
            if self._now() - asked > self.settings.account_s:
                self._release(name)
        followed = {
            name: context.portfolio_context.portfolio.account
            for name, context in self.monitor.contexts.items()
            if context.portfolio_context.portfolio.basis is Basis.ACCOUNT
        }
        for name, account in followed.items():
            if self._is_due(name):
                await self._refresh(name, account)

    async def _refresh(self, name: str, account: str) -> None:
        try:
            portfolio = await self._positions(name, account)
            if name in self.monitor.contexts:  # else it was released in the meantime
                self.monitor.put(portfolio)
        except UnknownAccountError:
            if name in self._asked:
                self._release(name)
            trouble = "unknown"
        except ExchangeAwayError as error:
            trouble = error.problem
        else:
            trouble = ""
        if trouble != self._account_trouble.get(name, ""):
            self._account_trouble[name] = trouble
            log.info("account", portfolio=name, trouble=trouble or "none")

    def _release(self, name: str) -> None:
        self._asked.pop(name, None)
        self._fetched.pop(name, None)
        self._account_trouble.pop(name, None)
        self._told.pop(name, None)
        self.monitor.drop(name)

    # -- reports ---------------------------------------------------------------------------------

    async def _publish(self) -> None:
        due = self._now()
        while True:
            await self._refresh_all()
            await asyncio.sleep(max(0.0, due - self._now()))
            self.publish()
            due = self._now() + self.settings.interval_s

    def publish(self) -> None:
        """Tell what is new of each portfolio, and what else happened."""
        for fact in self.monitor.news():
            self.hub.publish(fact)
            log.info(fact.kind, **told(fact))
        due = self._now() - self._logged_at >= _LOG_EVERY_S
        for name in sorted(self.monitor.contexts):
            self._publish_one(name, logged=due)
        if due:
            self._logged_at = self._now()

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


def decoded(body: bytes) -> object:
    """Return the JSON in ``body``; raise MarketError when it is none."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MarketError(str(error)) from error
