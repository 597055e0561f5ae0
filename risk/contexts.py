"""The bounded contexts: what is held, what it risks, and the application that joins them.

A portfolio context knows holdings and market data and no mathematics; a risk context asks it what
is held and answers with risk. `docs/context-map.md` draws them.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

import httpx
import structlog

from market.events import Fact
from market.settings import environment
from market.values import Symbol
from risk import measures
from risk.arrays import Array
from risk.book import UNHELD, Book, Terms
from risk.drawdowns import Peak
from risk.errors import UnavailableError
from risk.limits import HALTING, LimitChanged, Standing, Watch, worst
from risk.market_data import MarketData, MarketDataFactory, MarketDataFetched, MarketDataService
from risk.market_state import Estimators, MarketState
from risk.portfolio import Basis, Portfolio
from risk.report import BacktestChanged, LimitReport, RiskReport
from risk.reporting import Reporter
from risk.repositories import (
    ExchangeClient,
    InMemoryPortfolioRepository,
    MarketDataRepository,
    PortfolioRepository,
)
from risk.settings import Settings
from risk.standings import Guard, StandingReport

log = structlog.get_logger("risk.contexts")

MarketDataHandler = Callable[[MarketDataFetched], None]


def _ignore(_: MarketDataFetched) -> None:
    """Do nothing when market data arrives."""


class PortfolioContext:
    """One portfolio and the newest market data of its assets.

    Args:
        portfolio_repository: has the portfolio, and keeps what becomes of it.
        market_data_service: asked by `fetch_market_data`; None where a stream brings everything.
        market_data_factory: makes market data of raw values.
        market_data_fetched_handler: called with each MarketDataFetched.
        name: of the portfolio.
    """

    def __init__(
        self,
        portfolio_repository: PortfolioRepository,
        market_data_service: MarketDataService | None = None,
        market_data_factory: type[MarketDataFactory] = MarketDataFactory,
        market_data_fetched_handler: MarketDataHandler = _ignore,
        name: str = "default",
    ) -> None:
        self.portfolio_repository, self.market_data_service = (
            portfolio_repository,
            market_data_service,
        )
        self.market_data_factory = market_data_factory
        self.market_data: dict[Symbol, MarketData] = {}
        self._market_data_fetched_handler = market_data_fetched_handler
        found = portfolio_repository.get(name)
        if found is None:
            raise UnavailableError(f"there is no portfolio {name!r}")
        self.portfolio: Portfolio = found

    async def fetch_market_data(self) -> None:
        """Ask for the market data of all assets at once; raise MarketError when one has none."""
        if self.market_data_service is None:
            raise UnavailableError("this context reads a stream, it has nobody to ask")
        assets = self.portfolio.assets
        for data in await self.market_data_service.get_market_data_for_assets(assets):
            self.take(data)

    def take(self, data: MarketData) -> None:
        """Keep ``data`` as the newest of its symbol, and say that it arrived."""
        self.market_data[data.symbol] = data
        self._market_data_fetched_handler(
            MarketDataFetched(data.symbol, data.price, data.volume, data.time.timestamp())
        )

    def get_market_data(self, symbol: Symbol) -> MarketData:
        """Return the newest market data of ``symbol``; raise UnavailableError without any."""
        try:
            return self.market_data[symbol]
        except KeyError:
            raise UnavailableError(f"no market data of {symbol} yet") from None

    def calculate_risk(self) -> float:
        """Return sum(weight * price / volume) / sum(weight) over the assets.

        Raises:
            UnavailableError: market data is missing, a volume or the sum of the weights is zero.
        """
        if not self.portfolio.assets:
            raise UnavailableError("nothing is held" if self.portfolio.known else UNHELD)
        data = [self.get_market_data(name) for name in self.portfolio.symbols]
        if zero := [each.symbol for each in data if each.volume.value == 0]:
            raise UnavailableError(f"zero volume in {', '.join(zero)}")
        return measures.weighted_risk(
            list(self.weights().values()),
            [each.price.value for each in data],
            [each.volume.value for each in data],
        )

    def weights(self) -> dict[Symbol, float]:
        """Return the weights: as configured, or each position's share of what is held in all.

        Raises:
            UnavailableError: shares are needed, and there is no price or no value.
        """
        amounts = {asset.symbol: asset.weight.value for asset in self.portfolio.assets}
        if self.portfolio.basis is Basis.WEIGHTS:
            return amounts
        prices = {name: self.get_market_data(name).price.value for name in amounts}
        total = self.portfolio.cash + sum(q * prices[name] for name, q in amounts.items())
        if total == 0:
            raise UnavailableError("the portfolio is worth nothing")
        return {name: q * prices[name] / total for name, q in amounts.items()}

    def total_weight(self) -> float:
        """Return the sum of the configured weights."""
        return self.portfolio.total_weight()


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
            self.book.begin_anew()
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
                observations=self.book.coverage[level].observations,
                exceptions=self.book.coverage[level].exceptions,
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
        found = self.book.limited(self.market.index[data.symbol], self.watches)
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


class ApplicationContext:
    """The application of the original exercise: asks the exchange once, and tells the risk.

    ``asyncio.run(ApplicationContext().run())`` reads the environment; pass ``settings`` to have it
    otherwise. The service that follows the stream is `risk.app`, made of the same contexts.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        portfolio_repository: PortfolioRepository | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.settings = settings or Settings.from_env(environment())
        self.client = httpx.AsyncClient(transport=transport)
        self.portfolio_repository = portfolio_repository or InMemoryPortfolioRepository(
            self.settings.portfolio
        )
        self.market_data_repository = MarketDataRepository(
            ExchangeClient(self.client, self.settings.exchange_url)
        )
        self.market_data_service = MarketDataService(self.market_data_repository)
        self.market_data_factory = MarketDataFactory
        self.market_data_fetched_handler = self.on_market_data_fetched
        self.portfolio_context = PortfolioContext(
            portfolio_repository=self.portfolio_repository,
            market_data_service=self.market_data_service,
            market_data_factory=self.market_data_factory,
            market_data_fetched_handler=self.market_data_fetched_handler,
        )
        self.risk_management_context = RiskManagementContext(
            portfolio_context=self.portfolio_context
        )

    @classmethod
    def on_market_data_fetched(cls, event: MarketDataFetched) -> None:
        """Log the event."""
        log.info(
            "market_data_fetched",
            symbol=event.symbol,
            price=event.price.value,
            volume=event.volume.value,
        )

    async def run(self) -> float:
        """Fetch the market data of the portfolio, and return its risk.

        Raises:
            UnavailableError: the exchange has no price of an asset, or the figure cannot be had.
            ExchangeAwayError: the exchange does not answer.
        """
        async with self.client:
            await self.portfolio_context.fetch_market_data()
        risk = self.risk_management_context.calculate_portfolio_risk()
        log.info("portfolio_risk", portfolio=self.portfolio_context.portfolio.name, risk=risk)
        return risk
