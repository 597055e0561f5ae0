"""Recorded prices beside live ones: never a return over a time that was not theirs."""

from collections.abc import Iterable, Iterator
from datetime import timedelta

import pytest
from msgspec.structs import replace

from market.events import Tick
from market.values import Symbol
from risk.clocks import OTHER_CLOCK_S, is_other_clock, span
from risk.limits import LimitChanged, Limits
from risk.monitor import Monitor
from risk.portfolio import Portfolio
from risk.report import RiskReport
from tests.risk.builders import WEIGHTS, a_monitor, a_tick, fed, walks

BTC, FOUR_YEARS = Symbol("BTC"), timedelta(days=4 * 365)
LIVE = Portfolio.of("live", {"TCS": 0.5, "META": 0.5})
REASON = "its times are 4 years behind"


def moved(ticks: Iterable[Tick], by: timedelta, *names: str) -> Iterator[Tick]:
    for tick in ticks:
        yield replace(tick, time=tick.time + by) if tick.symbol in names else tick


def mixed(count: int = 60) -> Iterator[Tick]:
    """Yield walks of which that of BTC was recorded four years ago, a price a minute."""
    for tick in walks(5, count):
        if tick.symbol == BTC:
            yield replace(tick, time=tick.time - FOUR_YEARS + timedelta(seconds=59 * tick.seq))
        else:
            yield tick


def report(monitor: Monitor, name: str = "default") -> RiskReport:
    return monitor.report(name)


def test_what_needs_a_price_of_another_clock_is_unavailable_with_the_reason() -> None:
    told = report(fed(a_monitor(clock_s=1.0), mixed()))
    assert told.state == "stale"
    for name in ("volatility", "value_at_risk", "expected_shortfall", "contributions"):
        assert told.unavailable[name] == f"on another clock than the stream: BTC: {REASON}"
    assert told.volatility is None
    assert (told.estimate, told.tails, told.benchmark, told.contributions) == (None, {}, {}, {})
    assert told.flags == (f"BTC: on another clock, {REASON}",)
    assert told.stale[BTC] == pytest.approx(FOUR_YEARS.total_seconds(), rel=0.01)
    assert told.stale_share == pytest.approx(0.5, abs=0.05)


def test_what_needs_only_the_price_is_there() -> None:
    told = report(fed(a_monitor(), mixed()))
    assert told.value == pytest.approx(1_000_000, rel=0.05)
    assert told.stress["crash"] == pytest.approx(0.1 * sum(told.exposures.values()), rel=1e-9)
    assert "worst_window" not in told.stress


def test_assets_on_the_common_clock_are_told_as_if_the_other_were_not_there() -> None:
    both = report(fed(a_monitor(LIVE, clock_s=1.0), mixed()), "live")
    alone = (tick for tick in walks(5, 60) if tick.symbol != BTC)
    without = report(fed(a_monitor(LIVE, clock_s=1.0), alone), "live")
    assert both.state == "live"
    assert both.volatility == pytest.approx(without.volatility, rel=1e-12)
    assert both.tails.keys() == without.tails.keys()
    assert both.flags == ()
    assert both.unavailable == {"benchmark": f"on another clock than the stream: BTC: {REASON}"}


def test_prices_that_are_all_recorded_at_once_are_told_as_live_ones_are() -> None:
    live = report(fed(a_monitor(), walks(5, 60)))
    old = report(fed(a_monitor(), moved(walks(5, 60), -FOUR_YEARS, *WEIGHTS)))
    assert (old.state, old.flags, old.unavailable) == ("live", (), {})
    assert old.volatility == pytest.approx(live.volatility, rel=1e-6)


def test_an_asset_that_was_estimated_leaves_when_others_go_on_four_years_later() -> None:
    monitor = fed(a_monitor(), walks(5, 60))
    later = [
        replace(tick, seq=tick.seq + 60, time=tick.time + timedelta(minutes=1))
        for tick in walks(6, 60)
    ]
    fed(monitor, moved(later, FOUR_YEARS, "TCS", "META"))
    told = report(monitor)
    assert told.volatility is None
    assert told.unavailable["volatility"].endswith(f"BTC: {REASON}")


def test_an_asset_that_comes_back_to_the_common_clock_begins_anew() -> None:
    alone = Portfolio.of("default", {"BTC": 1})
    monitor = fed(a_monitor(alone), mixed())
    again = [
        replace(tick, seq=tick.seq + 60, time=tick.time + timedelta(minutes=1))
        for tick in walks(6, 60)
    ]
    fed(monitor, again[:12])
    assert "warming" in report(monitor).unavailable["volatility"]
    told = report(fed(monitor, again[12:]))
    assert (told.state, told.flags, told.samples) == ("live", (), 59)
    assert told.volatility == pytest.approx(
        report(fed(a_monitor(alone), again)).volatility, rel=1e-9
    )


def test_a_tick_that_is_late_by_less_than_the_bound_counts_as_of_now() -> None:
    assert not is_other_clock(0.0, OTHER_CLOCK_S)
    assert is_other_clock(0.0, OTHER_CLOCK_S + 1)
    monitor = fed(a_monitor(), walks(5, 30))
    monitor.take(a_tick("BTC", 70000.0, t=29.5, seq=31))
    assert report(monitor).flags == ()


def test_limits_on_prices_alone_are_watched_on_any_clock() -> None:
    limits = Limits(max_gross=1e5, max_stress=1e3, max_concentration=0.1, max_var=1.0)
    limited = Portfolio.of("default", WEIGHTS, limits=limits)
    monitor = fed(a_monitor(limited), mixed(20))
    breached = {fact.limit for fact in monitor.news() if isinstance(fact, LimitChanged)}
    assert breached == {"max_gross", "max_stress", "max_concentration"}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3_601, "1 hour"),
        (7_300, "2 hours"),
        (90_000, "1 day"),
        (8_640_000, "100 days"),
        (FOUR_YEARS.total_seconds(), "4 years"),
    ],
)
def test_a_span_is_told_in_its_largest_unit(seconds: float, words: str) -> None:
    assert span(seconds) == words
