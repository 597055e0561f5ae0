"""Where portfolios, accounts and market data are kept: SQLite here, the exchange over HTTP."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from market.errors import InvalidValueError, SettingsError
from market.values import Symbol
from risk.errors import (
    ExchangeAwayError,
    InvalidPortfolioError,
    KeyRefusedError,
    UnavailableError,
    UnknownAccountError,
)
from risk.limits import Limits
from risk.market_data import MarketData, MarketDataFactory
from risk.portfolio import Asset, Basis, Portfolio, Weight, assets

T = TypeVar("T")


class PortfolioRepository(Protocol):
    """Keeps portfolios by name."""

    def get(self, name: str) -> Portfolio | None:
        """Return the portfolio, or None when there is none of that name."""
        ...

    def all(self) -> list[Portfolio]:
        """Return all portfolios, by name."""
        ...

    def save(self, portfolio: Portfolio) -> None:
        """Keep the portfolio, in place of one of the same name."""
        ...

    def remove(self, name: str) -> None:
        """Keep the portfolio no more; nothing happens when there is none of that name."""
        ...


class InMemoryPortfolioRepository:
    """Keeps portfolios for as long as the process lives."""

    def __init__(self, *portfolios: Portfolio) -> None:
        self._kept = {portfolio.name: portfolio for portfolio in portfolios}

    def get(self, name: str) -> Portfolio | None:
        return self._kept.get(name)

    def all(self) -> list[Portfolio]:
        return [self._kept[name] for name in sorted(self._kept)]

    def save(self, portfolio: Portfolio) -> None:
        self._kept[portfolio.name] = portfolio

    def remove(self, name: str) -> None:
        self._kept.pop(name, None)


class SqlitePortfolioRepository:
    """Keeps portfolios in a SQLite file; each call opens and closes it.

    Raises:
        SettingsError: the file cannot be made, or is no database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as database:
                database.execute(
                    "CREATE TABLE IF NOT EXISTS portfolios "
                    "(name TEXT PRIMARY KEY, document TEXT NOT NULL)"
                )
        except (OSError, sqlite3.Error) as error:
            raise SettingsError("DATA_DIR", f"{path} will not do: {error}") from error

    def get(self, name: str) -> Portfolio | None:
        with self._open() as database:
            row = database.execute(
                "SELECT document FROM portfolios WHERE name = ?", (name,)
            ).fetchone()
        return None if row is None else from_document(name, msgspec.json.decode(row[0]))

    def all(self) -> list[Portfolio]:
        with self._open() as database:
            rows = database.execute(
                "SELECT name, document FROM portfolios ORDER BY name"
            ).fetchall()
        return [from_document(name, msgspec.json.decode(document)) for name, document in rows]

    def save(self, portfolio: Portfolio) -> None:
        document = msgspec.json.encode(to_document(portfolio)).decode()
        with self._open() as database:
            database.execute(
                "INSERT INTO portfolios VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET document = excluded.document",
                (portfolio.name, document),
            )

    def remove(self, name: str) -> None:
        with self._open() as database:
            database.execute("DELETE FROM portfolios WHERE name = ?", (name,))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=5)) as database, database:
            yield database


def to_document(portfolio: Portfolio) -> dict[str, Any]:
    """Return the portfolio as JSON says it, the inverse of `from_document`."""
    amounts = {asset.symbol: asset.weight.value for asset in portfolio.assets}
    document: dict[str, Any] = {"weights": amounts, "value": portfolio.value}
    if portfolio.basis is Basis.ACCOUNT:
        document = {"account": portfolio.account}
    elif portfolio.basis is Basis.QUANTITIES:
        document = {"quantities": amounts, "cash": portfolio.cash}
    bounds = portfolio.limits.bounds()
    return document | ({"limits": bounds} if bounds else {})


class PortfolioDocument(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A portfolio as JSON says it: one of ``weights``, ``quantities`` and ``account``."""

    weights: dict[str, float] | None = None
    quantities: dict[str, float] | None = None
    account: str | None = None
    value: float | None = None
    cash: float = 0.0
    limits: Limits = Limits()


def from_document(name: str, document: Any, *, value: float = 1_000_000.0) -> Portfolio:
    """Return the portfolio of a document: ``weights``, or ``quantities``, or an ``account``.

    Raises:
        InvalidPortfolioError: it names the field that is wrong.
    """
    try:
        found = msgspec.convert(document, PortfolioDocument)
    except msgspec.ValidationError as error:
        raise InvalidPortfolioError(_field(str(error)), str(error)) from error
    return of_document(name, found, value=value)


def of_document(name: str, found: PortfolioDocument, *, value: float = 1_000_000.0) -> Portfolio:
    """Return the portfolio of a document; raise InvalidPortfolioError, naming what is wrong."""
    given = [key for key in ("weights", "quantities", "account") if getattr(found, key) is not None]
    if len(given) != 1:
        raise InvalidPortfolioError("portfolio", "one of weights, quantities and account")
    try:
        return _portfolio(name, found, Basis(given[0]), value)
    except InvalidPortfolioError:
        raise
    except InvalidValueError as error:
        raise InvalidPortfolioError(given[0], str(error)) from error


def _portfolio(name: str, found: PortfolioDocument, basis: Basis, value: float) -> Portfolio:
    amounts = found.weights or found.quantities or {}
    return Portfolio(
        name=name,
        assets=assets(amounts),
        basis=basis,
        value=value if found.value is None else found.value,
        cash=found.cash,
        account=found.account or "",
        limits=found.limits,
        known=basis is not Basis.ACCOUNT,
    )


def _field(problem: str) -> str:
    _, found, path = problem.partition("`$.")
    return path.split("`")[0].split("[")[0] if found else "portfolio"


class _Quote(msgspec.Struct):
    symbol: str
    price: float
    volume: float
    time: datetime


class Position(msgspec.Struct, frozen=True):
    """What an account holds of one symbol, as the exchange says it."""

    symbol: str
    quantity: float


class Account(msgspec.Struct, frozen=True):
    """An account, as the exchange says it; risk needs no more of it."""

    account: str
    cash: float
    positions: list[Position]

    def portfolio(self, name: str) -> Portfolio:
        """Return what is held as a portfolio of this name."""
        held = tuple(
            Asset(Symbol(position.symbol), Weight(position.quantity))
            for position in self.positions
            if position.quantity
        )
        return Portfolio(
            name=name, assets=held, basis=Basis.ACCOUNT, cash=self.cash, account=self.account
        )


class ExchangeClient:
    """Asks the exchange over HTTP, and says in our words what went wrong."""

    def __init__(self, client: httpx.AsyncClient, url: str, *, timeout_s: float = 5.0) -> None:
        self._client, self._url, self._timeout_s = client, url.rstrip("/"), timeout_s

    async def get(
        self,
        path: str,
        kind: type[T],
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T | None:
        """Return what the exchange says at ``path``, or None when it says 404.

        Raises:
            ExchangeAwayError: it does not answer, or not with a ``kind``; its status says which.
        """
        try:
            answer = await self._client.get(
                self._url + path, params=query, headers=headers, timeout=self._timeout_s
            )
        except httpx.HTTPError as error:
            raise ExchangeAwayError(f"{type(error).__name__} {error}".strip()) from error
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            problem = f"HTTP status {answer.status_code} for {path[:80]}"
            raise ExchangeAwayError(problem, answer.status_code)
        try:
            return msgspec.json.decode(answer.content, type=kind, strict=False)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise ExchangeAwayError(f"{path[:80]}: {error}") from error


class MarketDataRepository:
    """The latest market data of a symbol, from the exchange's ``GET /market-data/{symbol}``."""

    def __init__(self, exchange: ExchangeClient) -> None:
        self._exchange = exchange

    async def get_market_data(self, symbol: Symbol) -> MarketData:
        """Return the latest of ``symbol``.

        Raises:
            UnavailableError: the exchange has none.
            ExchangeAwayError: it does not answer.
        """
        found = await self._exchange.get(f"/market-data/{quote(symbol, safe='')}", _Quote)
        if found is None:
            raise UnavailableError(f"the exchange has no price of {symbol} yet")
        return MarketDataFactory.create_market_data(
            found.symbol, found.price, found.volume, found.time
        )


class AccountRepository:
    """The positions of an account, from the exchange's ``GET /accounts/{account}``.

    Args:
        keys: the secret of each account that the exchange guards.
    """

    def __init__(self, exchange: ExchangeClient, keys: Mapping[str, str] | None = None) -> None:
        self._exchange, self._keys = exchange, dict(keys or {})

    def headers(self, account: str) -> dict[str, str]:
        """Return what a request about the account has to carry."""
        secret = self._keys.get(account)
        return {"Authorization": f"Bearer {secret}"} if secret else {}

    async def get(self, account: str, name: str | None = None) -> Portfolio:
        """Return the account as a portfolio.

        Raises:
            UnknownAccountError: there is no such account.
            KeyRefusedError: the exchange guards it, and our key is wrong or missing.
            ExchangeAwayError: the exchange does not answer.
        """
        path, headers = f"/accounts/{quote(account, safe='')}", self.headers(account)
        try:
            found = await self._exchange.get(path, Account, headers=headers)
        except ExchangeAwayError as error:
            if error.status in {401, 403}:
                raise KeyRefusedError(account, given=bool(headers)) from error
            raise
        if found is None:
            raise UnknownAccountError(account)
        return found.portfolio(name or f"account:{account}")
