from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random

import pytest

from market.clock import ManualClock
from market.settings import Environment
from market.values import Symbol
from market.wire import Decoder, encode
from sources.app import ticker
from sources.processes import Hawkes
from sources.settings import Settings
from sources.ticker import bursts, regular

FIRST_PRICES = {
    "BTC": "70400 70395 70395 70395 70399 70400 70393 70390 70384 70379 "
    "70374 70369 70362 70357 70357 70360 70360 70370 70367 70372",
    "TCS": "33.93 33.90 33.88 33.88 33.96 33.92 33.87 33.80 33.80 33.76 "
    "33.69 33.59 33.53 33.46 33.42 33.42 33.48 33.56 33.60 33.62",
    "META": "505.09 504.69 504.68 504.32 504.25 503.97 503.63 503.42 503.36 503.51 "
    "503.86 504.00 504.49 504.51 504.62 504.86 504.41 504.07 503.59 503.55",
}


@pytest.mark.parametrize("symbol", FIRST_PRICES)
def test_the_first_prices_of_the_default_market_are_the_same_on_every_machine(
    symbol: str, market: Callable[..., Environment]
) -> None:
    made = ticker(Settings.from_env(market(), Symbol(symbol)), 42, ManualClock())

    prices = [str(made.tick().price) for _ in range(20)]

    assert " ".join(prices) == FIRST_PRICES[symbol]


def test_ticks_are_numbered_from_one_and_survive_the_wire(
    market: Callable[..., Environment],
) -> None:
    made = ticker(Settings.from_env(market(), Symbol("TCS")), 42, ManualClock())

    ticks = [made.tick() for _ in range(200)]

    assert [tick.seq for tick in ticks] == list(range(1, 201))
    assert [Decoder().decode("tick", encode(tick)) for tick in ticks] == ticks
    assert all(tick.volume >= 1 for tick in ticks)


def test_time_never_goes_back_even_when_the_clock_does(market: Callable[..., Environment]) -> None:
    class Wobbling:
        def __init__(self) -> None:
            self.times = iter([10, 20, 15, 30])

        def now(self) -> datetime:
            return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(self.times))

    made = ticker(Settings.from_env(market(), Symbol("BTC")), 42, Wobbling())

    assert [made.tick().time.second for _ in range(3)] == [20, 20, 30]


def test_the_volumes_do_not_move_the_prices(market: Callable[..., Environment]) -> None:
    plain = Settings.from_env(market(), Symbol("BTC"))
    other = Settings.from_env(market(BTC_LOT_SIZE="1", BTC_VOLUME_DEPTH="0.9"), Symbol("BTC"))

    one, two = (ticker(settings, 42, ManualClock()) for settings in (plain, other))

    assert [one.tick().price for _ in range(50)] == [two.tick().price for _ in range(50)]


def test_regular_ticks_are_due_at_once_and_then_every_interval() -> None:
    assert list(islice(regular(0.25), 4)) == [0.0, 0.25, 0.5, 0.75]


def test_bursts_keep_the_average_rate() -> None:
    due = list(islice(bursts(Hawkes(mu=0.5, alpha=0.5, beta=1.0), 0.1, Random(4)), 40_000))

    assert due[-1] == pytest.approx(4000, rel=0.05)
