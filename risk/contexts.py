"""The bounded contexts: what is held, what it risks, and the application that joins them.

A portfolio context knows holdings and market data and no mathematics; a risk context asks it what
is held and answers with risk. `docs/context-map.md` draws them.
"""

import httpx
import structlog

from market.client import http_client
from market.settings import environment
from risk.market_data import MarketDataFactory, MarketDataFetched, MarketDataService
from risk.portfolio_context import PortfolioContext
from risk.repositories import (
    ExchangeClient,
    InMemoryPortfolioRepository,
    MarketDataRepository,
    PortfolioRepository,
)
from risk.risk_context import RiskManagementContext
from risk.settings import Settings

__all__ = ["ApplicationContext", "PortfolioContext", "RiskManagementContext"]

log = structlog.get_logger("risk.contexts")


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
        self.client = http_client(transport=transport)
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
