"""What a test of risk is not about."""

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from market.events import Fact, Tick
from market.feed import FeedOpened
from market.values import Symbol
from risk.market_state import Estimators
from risk.monitor import Monitor
from risk.portfolio import Portfolio
from risk.settings import Settings
from risk.terms import Terms

START = datetime(2026, 1, 1, tzinfo=UTC)
SYMBOLS = (Symbol("BTC"), Symbol("TCS"), Symbol("META"))
PRICES = {"BTC": 70400.0, "TCS": 33.95, "META": 505.47}
WEIGHTS = {"BTC": 0.5, "TCS": 0.3, "META": 0.2}


def at(seconds: float) -> datetime:
    return START + timedelta(microseconds=round(seconds * 1e6))


def a_tick(
    symbol: str = "BTC", price: float = 70400.0, *, t: float = 0.0, seq: int = 1, volume: float = 5
) -> Tick:
    return Tick(
        symbol=Symbol(symbol),
        price=Decimal(repr(price)),
        volume=Decimal(repr(volume)),
        time=at(t),
        seq=seq,
    )


def walks(seed: int, count: int, *, step_s: float = 1.0, start_s: float = 0.0) -> Iterator[Tick]:
    """Yield ``count`` ticks of each symbol, in order of time, a little apart."""
    rng = random.Random(seed)
    prices = dict(PRICES)
    for k in range(count):
        for place, name in enumerate(SYMBOLS):
            prices[name] *= 1 + rng.gauss(0, 1e-3)
            yield a_tick(
                name,
                round(prices[name], 4),
                t=start_s + k * step_s + 0.1 * place * step_s,
                seq=k + 1,
                volume=rng.randint(1, 100),
            )


def a_monitor(*portfolios: Portfolio, **changes: Any) -> Monitor:
    estimators = Estimators(**{"half_lives_s": (60.0, 900.0), "headline": 0, **changes})
    monitor = Monitor(SYMBOLS, estimators, Terms(shocks={"crash": {"*": -0.1}}, benchmark=WEIGHTS))
    for portfolio in portfolios or (Portfolio.of("default", WEIGHTS),):
        monitor.put(portfolio)
    monitor.take(FeedOpened())
    return monitor


def fed(monitor: Monitor, facts: Iterable[Fact]) -> Monitor:
    for fact in facts:
        monitor.take(fact)
    return monitor


def a_settings(url: str, folder: Path, **changes: Any) -> Settings:
    given: dict[str, Any] = {
        "exchange_url": url,
        "symbols": SYMBOLS,
        "portfolio": Portfolio.of("default", WEIGHTS),
        "database": folder / "risk.sqlite3",
        "interval_s": 0.02,
    }
    return Settings(**given | changes)
