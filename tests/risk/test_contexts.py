"""The contexts of the original exercise, against a stand-in for the exchange."""

import asyncio
from pathlib import Path

import httpx
import pytest

from market.errors import InvalidValueError, SettingsError
from market.values import Symbol
from risk.contexts import ApplicationContext, PortfolioContext, RiskManagementContext
from risk.errors import ExchangeAwayError, UnavailableError
from risk.market_data import MarketData, MarketDataFactory, MarketDataFetched, MarketDataService
from risk.portfolio import Portfolio, weights_of
from risk.repositories import (
    InMemoryPortfolioRepository,
    SqlitePortfolioRepository,
    from_document,
    to_document,
)
from tests.risk.builders import WEIGHTS, a_settings
from tests.risk.exchange import an_exchange

QUOTES = {"BTC": (100.0, 1000.0), "TCS": (50.0, 500.0), "META": (20.0, 100.0)}


class Quotes:
    """A market data repository that answers from memory, and counts how many ask at once."""

    def __init__(self) -> None:
        self.waiting = self.most = 0

    async def get_market_data(self, symbol: Symbol) -> MarketData:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await asyncio.sleep(0)
        self.waiting -= 1
        if symbol not in QUOTES:
            raise UnavailableError(f"no {symbol}")
        return MarketDataFactory.create_market_data(symbol, *QUOTES[symbol])


def a_portfolio_context(
    weights: dict[str, float] = WEIGHTS, heard: list[MarketDataFetched] | None = None
) -> tuple[PortfolioContext, Quotes]:
    quotes = Quotes()
    context = PortfolioContext(
        InMemoryPortfolioRepository(Portfolio.of("default", weights)),
        MarketDataService(quotes),
        MarketDataFactory,
        ([] if heard is None else heard).append,
    )
    return context, quotes


async def test_the_risk_of_fetched_market_data_is_the_original_figure() -> None:
    heard: list[MarketDataFetched] = []
    context, quotes = a_portfolio_context(heard=heard)
    await context.fetch_market_data()
    assert RiskManagementContext(context).calculate_portfolio_risk() == pytest.approx(0.12)
    assert [event.symbol for event in heard] == list(WEIGHTS)
    assert quotes.most == 3
    assert context.get_market_data(Symbol("BTC")).price.value == 100
    assert context.total_weight() == pytest.approx(1)


async def test_one_asset_without_market_data_is_a_failure_that_names_it() -> None:
    context, _ = a_portfolio_context({"BTC": 1, "DOGE": 1})
    with pytest.raises(UnavailableError, match="DOGE"):
        await context.fetch_market_data()


def test_before_it_is_fetched_there_is_no_risk() -> None:
    context, _ = a_portfolio_context()
    with pytest.raises(UnavailableError, match="BTC"):
        RiskManagementContext(context).calculate_portfolio_risk()


async def test_the_application_runs_once_and_returns_the_risk(tmp_path: Path) -> None:
    async with an_exchange() as (exchange, url):
        application = ApplicationContext(a_settings(url, tmp_path))
        risk = await application.run()
        latest = exchange.latest()
        wanted = sum(
            w * float(latest[name].price) / float(latest[name].volume)
            for name, w in WEIGHTS.items()
        )
        assert risk == pytest.approx(wanted, rel=1e-12)
        again = application.risk_management_context.calculate_portfolio_risk()
        assert again == risk


async def test_the_application_goes_straight_to_the_exchange_whatever_proxy_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with an_exchange() as (_, url):
        assert await ApplicationContext(a_settings(url, tmp_path)).run() > 0


def test_the_application_is_run_by_asyncio(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        name = request.url.path.rpartition("/")[2]
        price, volume = QUOTES[name]
        time = "2026-01-01T00:00:00.000000Z"
        return httpx.Response(
            200, json={"symbol": name, "price": price, "volume": volume, "time": time}
        )

    application = ApplicationContext(
        a_settings("http://exchange", tmp_path), transport=httpx.MockTransport(answer)
    )
    assert asyncio.run(application.run()) == pytest.approx(0.12)


@pytest.mark.parametrize(("status", "body"), [(500, b""), (200, b"{"), (200, b'{"symbol": "BTC"}')])
async def test_an_exchange_that_fails_is_said_so(tmp_path: Path, status: int, body: bytes) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body))
    with pytest.raises(ExchangeAwayError):
        await ApplicationContext(a_settings("http://exchange", tmp_path), transport=transport).run()


def test_a_saved_portfolio_outlives_the_process(tmp_path: Path) -> None:
    kept = [
        Portfolio.of("a", WEIGHTS, value=5.0),
        from_document("b", {"quantities": {"BTC": -2.5}, "cash": 7}),
        from_document("c", {"account": "investor"}),
    ]
    for portfolio in kept:
        SqlitePortfolioRepository(tmp_path / "x" / "risk.sqlite3").save(portfolio)
    again = SqlitePortfolioRepository(tmp_path / "x" / "risk.sqlite3")
    assert again.all() == kept
    assert again.get("b") == kept[1]
    assert again.get("z") is None
    again.save(Portfolio.of("a", {"BTC": 1}))
    again.remove("b")
    assert [portfolio.name for portfolio in again.all()] == ["a", "c"]


def test_a_document_comes_back_as_it_went() -> None:
    for document in (
        {"weights": {"BTC": 1.0}, "value": 9.0},
        {"quantities": {"BTC": 1.0}, "cash": 2.0},
        {"account": "me"},
    ):
        assert to_document(from_document("x", document)) == document


@pytest.mark.parametrize("text", ["BTC", "BTC:x", "BTC:1,BTC:2"])
def test_weights_in_words_are_checked(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        weights_of(text)


@pytest.mark.parametrize(("price", "volume"), [(float("nan"), 1), (1, -1), (1, float("inf"))])
def test_market_data_that_cannot_be_is_refused(price: float, volume: float) -> None:
    with pytest.raises(InvalidValueError):
        MarketDataFactory.create_market_data("BTC", price, volume)


def test_a_file_that_is_no_database_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "risk.sqlite3").write_bytes(b"no database" * 100)
    with pytest.raises(SettingsError, match="DATA_DIR"):
        SqlitePortfolioRepository(tmp_path / "risk.sqlite3")
