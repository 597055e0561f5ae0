"""The aggregate: a portfolio by fixed weights, by fixed quantities, or as an account has it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite
from typing import Final, Self

from market.values import Symbol, symbol
from risk.errors import InvalidPortfolioError
from risk.limits import Limits

MAX_ASSETS: Final = 1000
UNHELD: Final = "a price of what is held, or the positions of the account, are not known yet"
NO_LIMITS: Final = Limits()
_DUST: Final = 1e-12
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,79}", re.ASCII)
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}", re.ASCII)


class Basis(StrEnum):
    """What stays the same while prices move."""

    WEIGHTS = "weights"
    QUANTITIES = "quantities"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Weight:
    """How much an asset counts in its portfolio; negative when it is sold short."""

    value: float

    def __post_init__(self) -> None:
        if not isfinite(self.value) or abs(self.value) > 1e12:
            raise InvalidPortfolioError("weights", f"{self.value} is not a weight")


@dataclass(frozen=True, slots=True)
class Asset:
    """One holding, known by its symbol: a weight, or a quantity where the basis says so."""

    symbol: Symbol
    weight: Weight


@dataclass(frozen=True, slots=True)
class Holdings:
    """What is held: units of each symbol, and cash in the quote currency."""

    quantities: Mapping[Symbol, float]
    cash: float = 0.0

    def value(self, prices: Mapping[Symbol, float]) -> float:
        """Return the worth at ``prices``; raise KeyError for a symbol without one."""
        return self.cash + sum(q * prices[name] for name, q in self.quantities.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """A named list of assets.

    Attributes:
        assets: each with its weight, or with its quantity in units when the basis is quantities.
        value: what a portfolio of weights is worth when it begins, in the quote currency.
        cash: held beside the assets, when the basis is quantities or account.
        account: whose positions these are, when the basis is account.
        limits: what it may not exceed.
        known: False for an account whose positions were not asked for yet.
    """

    name: str
    assets: tuple[Asset, ...]
    basis: Basis = Basis.WEIGHTS
    value: float = 1_000_000.0
    cash: float = 0.0
    account: str = ""
    limits: Limits = NO_LIMITS
    known: bool = True

    def __post_init__(self) -> None:
        names = self.symbols
        if not _NAME.fullmatch(self.name):
            raise InvalidPortfolioError("name", "1 to 80 of letters, digits and _.:@-")
        if len(set(names)) != len(names) or len(names) > MAX_ASSETS:
            raise InvalidPortfolioError("assets", f"each symbol once, {MAX_ASSETS} at most")
        if not names and self.basis is not Basis.ACCOUNT:
            raise InvalidPortfolioError("assets", "there is none")
        if not (isfinite(self.value) and 0 < self.value <= 1e15):
            raise InvalidPortfolioError("value", "a positive amount of money")
        if not (isfinite(self.cash) and abs(self.cash) <= 1e15):
            raise InvalidPortfolioError("cash", "an amount of money")
        if (self.basis is Basis.ACCOUNT) != bool(_ACCOUNT.fullmatch(self.account)):
            raise InvalidPortfolioError("account", "1 to 64 of letters, digits and _.@-")
        self.limits.bounds()

    @property
    def symbols(self) -> tuple[Symbol, ...]:
        """The symbols of the assets, in their order."""
        return tuple(asset.symbol for asset in self.assets)

    def total_weight(self) -> float:
        """Return the sum of the weights."""
        return sum(asset.weight.value for asset in self.assets)

    def after(self, name: Symbol, quantity: float, cash: float) -> Self:
        """Return the portfolio with so much more of an asset, and of cash; less where negative."""
        held: dict[str, float] = {asset.symbol: asset.weight.value for asset in self.assets}
        held[name] = held.get(name, 0.0) + quantity
        if abs(held[name]) < _DUST:  # what is left when all was sold is rounding
            del held[name]
        return replace(self, assets=assets(held), cash=self.cash + cash)

    def holdings(self, prices: Mapping[Symbol, float]) -> Holdings:
        """Return what is held; weights become quantities at ``prices``.

        Weights are relative where they add up to something positive: ``value`` is invested whole.
        Otherwise they are shares of ``value``, which stays in cash beside them.

        Raises:
            KeyError: a weight without a price.
        """
        if self.basis is not Basis.WEIGHTS:
            return Holdings({asset.symbol: asset.weight.value for asset in self.assets}, self.cash)
        total = self.total_weight()
        scale = self.value / total if total > 0 else self.value
        money = {asset.symbol: asset.weight.value * scale for asset in self.assets}
        cash = 0.0 if total > 0 else self.value * (1 - total)
        return Holdings({name: m / prices[name] for name, m in money.items()}, cash)

    @classmethod
    def of(
        cls,
        name: str,
        weights: Mapping[str, float],
        value: float = 1_000_000.0,
        limits: Limits | None = None,
    ) -> Self:
        """Return a portfolio of weights; raise InvalidPortfolioError when it cannot be."""
        return cls(name=name, assets=assets(weights), value=value, limits=limits or NO_LIMITS)


def account_name(account: str) -> str | None:
    """Return the name of the portfolio that an account is, None when there can be no such one."""
    return f"account:{account}" if _ACCOUNT.fullmatch(account) else None


def assets(weights: Mapping[str, float]) -> tuple[Asset, ...]:
    """Return the assets of a mapping from symbol to weight or quantity; raise when one is wrong."""
    return tuple(Asset(symbol(name), Weight(float(weight))) for name, weight in weights.items())


def limits_of(text: str) -> Limits:
    """Return the limits in ``max_var:20000,max_drawdown:0.1``; raise ValueError otherwise."""
    given = weights_of(text)
    if unknown := sorted(set(given) - set(Limits.__struct_fields__)):
        raise ValueError(f"{unknown[0]} is not one of {', '.join(Limits.__struct_fields__)}")
    limits = Limits(**given)
    limits.bounds()
    return limits


def weights_of(text: str) -> dict[str, float]:
    """Return the weights in ``BTC:0.5,TCS:0.3``; raise ValueError when it is something else."""
    found: dict[str, float] = {}
    for word in filter(None, (part.strip() for part in text.split(","))):
        name, colon, weight = word.partition(":")
        if not colon or name in found:
            raise ValueError(f"{word[:40]!r} is not name:number, or is there twice")
        found[name] = float(weight)
    return found
