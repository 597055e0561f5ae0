"""What is held: a portfolio and the newest market data of its assets."""

from collections.abc import Callable

from market.values import Symbol
from risk import measures
from risk.errors import UnavailableError
from risk.market_data import MarketData, MarketDataFactory, MarketDataFetched, MarketDataService
from risk.portfolio import UNHELD, Basis, Portfolio
from risk.repositories import PortfolioRepository

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
        if self._market_data_fetched_handler is not _ignore:  # of every tick of a stream
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
