"""The rules for a dirty stream, on plain facts."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.errors import InvalidValueError
from market.events import Fact, Gap, Snapshot, SourceState, State, Tick
from market.feed import FeedGarbled, FeedLost, FeedOpened
from market.values import Symbol
from market.wire import encode
from risk.errors import UnavailableError
from risk.market_state import Estimators
from risk.monitor import Monitor
from risk.portfolio import Asset, Basis, Portfolio, Weight
from risk.report import PriceGapSeen, RiskReport
from risk.terms import Terms
from tests.risk.builders import SYMBOLS, WEIGHTS, a_monitor, a_tick, at, fed, walks

BTC = Symbol("BTC")


def bits(monitor: Monitor, name: str = "default") -> bytes:
    return encode(monitor.report(name))


def report(monitor: Monitor) -> RiskReport:
    return monitor.report("default")


def test_before_any_market_data_there_is_no_report() -> None:
    with pytest.raises(UnavailableError, match="no market data"):
        report(a_monitor())


def test_while_warming_numbers_are_null_with_a_reason() -> None:
    told = report(fed(a_monitor(), walks(1, 4)))
    assert told.state == "warming"
    assert told.volatility is None
    assert told.value_at_risk == {"0.95": None, "0.99": None}
    assert "10 are needed" in told.unavailable["volatility"]
    assert told.value == pytest.approx(1_000_000, rel=0.05)


def test_once_warm_every_number_is_there() -> None:
    told = report(fed(a_monitor(), walks(1, 40)))
    assert told.state == "live"
    assert told.unavailable == {}
    assert told.volatility is not None
    assert told.value is not None
    assert told.value_at_risk["0.95"] == pytest.approx(
        1.6448536269514722 * told.volatility * told.value, rel=1e-12
    )
    assert sum(told.contributions.values()) == pytest.approx(1, abs=1e-12)
    assert told.samples == 39


def test_an_asset_without_a_price_is_named() -> None:
    told = report(fed(a_monitor(), [a_tick("BTC", 100.0)]))
    assert told.value is None
    assert told.unavailable["value"]


def test_the_value_moves_with_prices_from_the_first_ones_on() -> None:
    monitor = fed(a_monitor(), [a_tick("BTC", 100.0), a_tick("TCS", 10.0), a_tick("META", 50.0)])
    assert report(monitor).value == pytest.approx(1_000_000)
    monitor.take(a_tick("BTC", 110.0, t=1, seq=2))
    assert report(monitor).value == pytest.approx(1_050_000)
    monitor.take(a_tick("BTC", 88.0, t=2, seq=3))
    told = report(monitor)
    assert told.value == pytest.approx(940_000)
    assert told.drawdown == pytest.approx(110 / 1050)
    assert told.weights == WEIGHTS


def test_weighted_risk_is_the_original_figure() -> None:
    ticks = [
        a_tick("BTC", 100.0, volume=1000),
        a_tick("TCS", 50.0, volume=500),
        a_tick("META", 20.0, volume=100),
    ]
    assert report(fed(a_monitor(), ticks)).weighted_risk == pytest.approx(0.12, rel=1e-12)


def test_zero_volume_makes_the_original_figure_unavailable_and_nothing_else() -> None:
    monitor = fed(a_monitor(), walks(1, 40))
    monitor.take(a_tick("TCS", 34.0, t=41, seq=41, volume=0))
    told = report(monitor)
    assert told.weighted_risk is None
    assert told.unavailable == {"weighted_risk": "zero volume in TCS"}
    assert told.volatility is not None


def test_a_tick_that_comes_twice_changes_nothing() -> None:
    once, twice = a_monitor(), a_monitor()
    for tick in walks(2, 60):
        once.take(tick)
        twice.take(tick)
        twice.take(tick)
    assert bits(once) == bits(twice)
    assert twice.marks.replayed == 180


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 150), st.integers(0, 60))
def test_a_stream_cut_and_resumed_anywhere_gives_the_same_bits(cut: int, overlap: int) -> None:
    facts: list[Fact] = list(walks(3, 60))
    whole = fed(a_monitor(), facts)
    parts = a_monitor()
    fed(parts, facts[:cut])
    fed(parts, [FeedLost(reason="cut", retry_s=1), FeedOpened()])
    fed(parts, facts[max(0, cut - overlap) :])
    assert bits(whole) == bits(parts)


@pytest.mark.no_cover
def test_the_same_facts_give_the_same_bits_at_every_step() -> None:
    a, b = a_monitor(clock_s=2.0), a_monitor(clock_s=2.0)
    for tick in walks(4, 150):
        a.take(tick)
        b.take(tick)
        assert bits(a) == bits(b)
    assert report(a).estimate.reference is not None  # type: ignore[union-attr]
    assert report(a).backtest["0.95"].observations > 50


def test_asking_for_reports_does_not_change_them() -> None:
    asked, silent = a_monitor(clock_s=2.0), a_monitor(clock_s=2.0)
    for tick in walks(4, 100):
        asked.take(tick)
        report(asked)
        silent.take(tick)
    assert bits(asked) == bits(silent)


def test_a_hole_in_the_numbers_is_counted() -> None:
    monitor = fed(a_monitor(), [a_tick(seq=1), a_tick(seq=5, t=1)])
    assert monitor.marks.missed == 3


def test_a_tick_of_an_earlier_time_is_a_replay() -> None:
    monitor = fed(a_monitor(), [a_tick(t=5, seq=5), a_tick(price=1.0, t=4, seq=6)])
    assert monitor.market.prices[0] == 70400.0


def test_a_source_that_begins_to_count_anew_is_followed() -> None:
    monitor = fed(a_monitor(), [a_tick(t=5, seq=500), a_tick(price=9.0, t=6, seq=1)])
    assert monitor.market.prices[0] == 9.0
    assert monitor.marks.renumbered == 1


def test_after_another_epoch_old_numbers_mean_nothing() -> None:
    gap = Gap(since="a-1", until="b-9", missed=4, reason="epoch")
    monitor = fed(a_monitor(), [a_tick(t=50, seq=500), gap, a_tick(price=9.0, t=6, seq=1)])
    assert monitor.market.prices[0] == 9.0
    assert monitor.missed == 4


def test_a_late_tick_of_another_symbol_counts_as_of_now() -> None:
    monitor = fed(a_monitor(), [a_tick("BTC", t=10), a_tick("TCS", 34.0, t=9.5)])
    assert monitor.market.prices[1] == 34.0
    assert monitor.market.ages_s()[1] == 0


def test_an_asset_that_falls_silent_is_stale_and_keeps_its_last_price() -> None:
    monitor = fed(a_monitor(), walks(5, 60))
    before = report(monitor)
    for k in range(60, 120):
        monitor.take(a_tick("BTC", 70400.0 + k, t=k, seq=k + 1))
        monitor.take(a_tick("TCS", 33.95 + k / 1000, t=k + 0.1, seq=k + 1))
    told = report(monitor)
    assert told.state == "stale"
    assert list(told.stale) == ["META"]
    assert told.stale_share == pytest.approx(
        told.exposures[Symbol("META")] / sum(told.exposures.values())
    )
    assert told.exposures[Symbol("META")] == before.exposures[Symbol("META")]


def test_variance_is_not_decayed_by_silence() -> None:
    monitor = fed(a_monitor(), walks(5, 60))
    own = monitor.market.live.rates[0, 2, 2]
    for k in range(60, 400):
        monitor.take(a_tick("BTC", 70400.0, t=k, seq=k + 1))
    assert monitor.market.live.rates[0, 2, 2] == own


def test_a_slow_asset_is_not_stale_between_its_ticks() -> None:
    ticks: list[Tick] = []
    ticks += [a_tick("META", 500.0 + k % 3, t=60.0 * k, seq=k + 1) for k in range(30)]
    ticks += [a_tick("BTC", 100.0 + k % 2, t=float(k), seq=k + 1) for k in range(1790)]
    ticks.sort(key=lambda tick: tick.time)
    monitor = fed(a_monitor(Portfolio.of("default", {"META": 1})), ticks)
    assert report(monitor).stale == {}


def test_a_source_that_is_down_makes_what_holds_it_stale() -> None:
    monitor = a_monitor(
        Portfolio.of("default", WEIGHTS), Portfolio.of("other", {"TCS": 1, "META": 1})
    )
    fed(monitor, walks(6, 40))
    monitor.take(SourceState(symbol=BTC, state=State.DOWN, since=at(40)))
    assert report(monitor).state == "stale"
    assert "BTC" in report(monitor).flags[0]
    assert monitor.report("other").state == "live"
    monitor.take(SourceState(symbol=BTC, state=State.UP, since=at(41)))
    assert report(monitor).state == "live"


def test_a_replayed_state_of_a_source_is_old_news() -> None:
    monitor = fed(a_monitor(), walks(6, 40))
    down = SourceState(symbol=BTC, state=State.DOWN, since=at(40))
    fed(monitor, [down, SourceState(symbol=BTC, state=State.UP, since=at(41)), down])
    assert report(monitor).state == "live"


def test_a_lost_stream_makes_reports_stale_and_says_why() -> None:
    monitor = fed(a_monitor(), walks(6, 40))
    monitor.take(FeedLost(reason="ConnectError", retry_s=1.0))
    assert report(monitor).state == "stale"
    assert "ConnectError" in report(monitor).flags[0]
    monitor.take(FeedOpened())
    assert report(monitor).state == "live"


def test_a_move_over_a_gap_counts_in_the_value_and_not_in_the_volatility() -> None:
    monitor = fed(a_monitor(), walks(7, 120))
    before = report(monitor)
    price = float(monitor.market.prices[0]) * 0.8
    for place, name in enumerate(SYMBOLS):
        kept = float(monitor.market.prices[place])
        monitor.take(a_tick(name, price if name == "BTC" else kept, t=800 + place, seq=500))
    after = report(monitor)
    assert after.value is not None
    assert before.value is not None
    assert after.value < 0.95 * before.value
    assert after.max_drawdown is not None
    assert after.max_drawdown > 0.05
    assert after.estimate is not None
    assert before.estimate is not None
    assert after.estimate.live["60"] == pytest.approx(before.estimate.live["60"], rel=0.2)
    gaps = [fact for fact in monitor.news() if isinstance(fact, PriceGapSeen)]
    assert [gap.symbol for gap in gaps] == list(SYMBOLS)
    assert gaps[0].z_score < -3


def test_a_gap_is_in_no_row_of_the_reference() -> None:
    monitor = fed(a_monitor(clock_s=2.0), walks(7, 120))
    doubled = 2 * monitor.market.prices
    for k in range(5):
        for place, name in enumerate(SYMBOLS):
            monitor.take(a_tick(name, float(doubled[place]), t=800 + 3 * k + place, seq=500 + k))
    clock = monitor.market.reference
    assert clock is not None
    assert clock.rows < 70
    assert np.abs(clock.scenarios).max() < 0.05


def test_negative_prices_switch_the_asset_to_differences() -> None:
    monitor = a_monitor(
        Portfolio(
            name="default", assets=(Asset(BTC, Weight(10.0)),), basis=Basis.QUANTITIES, cash=1000.0
        )
    )
    rng = np.random.default_rng(1)
    level = 0.5
    for k in range(200):
        level += float(rng.normal(0, 0.1))
        monitor.take(a_tick("BTC", round(level, 6) or 0.1, t=k, seq=k + 1))
    told = report(monitor)
    assert monitor.market.by_difference[0]
    assert told.value == pytest.approx(1000 + 10 * monitor.market.prices[0])
    assert told.estimate is not None
    wanted = 10 * 0.1 * 60**0.5  # units x deviation a second x root of the horizon, money
    assert told.value_at_risk["0.95"] == pytest.approx(1.645 * wanted, rel=0.5)
    assert any("price differences" in flag for flag in told.flags)


@pytest.mark.parametrize("price", ["NaN", "Infinity", "1E+400", "1E+15"])
def test_what_is_no_number_is_rejected_and_counted(price: str) -> None:
    tick = Tick(symbol=BTC, price=Decimal(price), volume=Decimal(1), time=at(0), seq=1)
    monitor = fed(a_monitor(), [tick])
    assert monitor.rejected == 1
    assert not monitor.market.seen.any()


def test_a_negative_volume_is_rejected() -> None:
    assert fed(a_monitor(), [a_tick(volume=-1)]).rejected == 1


def test_ticks_of_one_instant_give_the_same_risk_in_any_order() -> None:
    a, b = a_monitor(), a_monitor()
    for k in range(60):
        rng = np.random.default_rng(k)
        ticks = [
            a_tick(name, round(100 + float(rng.normal()), 4), t=k, seq=k + 1) for name in SYMBOLS
        ]
        fed(a, ticks)
        fed(b, ticks[::-1])
    one, other = report(a).volatility, report(b).volatility
    assert one == pytest.approx(other, rel=1e-9)


def test_a_snapshot_brings_prices_and_the_state_of_sources() -> None:
    ticks = (a_tick("BTC"), a_tick("TCS", 34.0), a_tick("META", 500.0))
    monitor = fed(a_monitor(), [Snapshot(id="a-1", ticks=ticks, sources={BTC: State.STALE})])
    assert report(monitor).value == pytest.approx(1_000_000)
    assert report(monitor).state == "stale"


def test_a_symbol_of_no_interest_is_counted_only() -> None:
    monitor = fed(a_monitor(), [a_tick("DOGE", 1.0)])
    assert monitor.market.unknown == 1


def test_a_garbled_frame_is_counted() -> None:
    assert fed(a_monitor(), [FeedGarbled(problem="x")]).garbled == 1


def test_history_warms_the_estimators_and_the_value_begins_at_its_end() -> None:
    monitor = a_monitor()
    past = list(walks(9, 50))
    assert monitor.warm(reversed(past)) == 150
    told = report(monitor)
    assert told.state == "live"
    assert told.value == pytest.approx(1_000_000)
    assert told.max_drawdown == 0


def test_several_portfolios_are_followed_at_once_and_changed_while_it_runs() -> None:
    monitor = fed(a_monitor(), walks(11, 30))
    held = Portfolio(
        name="two", assets=(Asset(BTC, Weight(2.0)),), basis=Basis.QUANTITIES, cash=5.0
    )
    monitor.put(held)
    told = monitor.report("two")
    assert told.value == pytest.approx(5 + 2 * monitor.market.prices[0])
    assert told.contributions == {BTC: pytest.approx(1)}
    monitor.put(Portfolio.of("two", {"TCS": 1}, value=100.0))
    assert monitor.report("two").value == pytest.approx(100)
    monitor.drop("two")
    with pytest.raises(KeyError):
        monitor.report("two")


def test_an_account_without_positions_risks_nothing() -> None:
    cash = Portfolio(
        name="account:me", assets=(), basis=Basis.ACCOUNT, cash=1_000_000, account="me"
    )
    told = fed(a_monitor(cash), walks(12, 30)).report("account:me")
    assert told.state == "live"
    assert told.value == 1_000_000
    assert told.volatility == 0
    assert told.value_at_risk == {"0.95": 0, "0.99": 0}
    assert told.weighted_risk is None
    assert told.unavailable == {"weighted_risk": "nothing is held"}


def test_an_account_that_trades_keeps_its_peak() -> None:
    def account(cash: float, **held: float) -> Portfolio:
        assets = tuple(Asset(Symbol(name), Weight(q)) for name, q in held.items())
        return Portfolio(
            name="account:me", assets=assets, basis=Basis.ACCOUNT, cash=cash, account="me"
        )

    monitor = fed(a_monitor(account(0, BTC=10)), [a_tick("BTC", 100.0), a_tick("TCS", 10.0)])
    monitor.take(a_tick("BTC", 90.0, t=1, seq=2))
    monitor.put(account(450, BTC=5))
    told = monitor.report("account:me")
    assert told.value == pytest.approx(900)
    assert told.drawdown == pytest.approx(0.1)
    assert told.weights == {BTC: pytest.approx(0.5)}


def test_a_holding_that_is_not_streamed_makes_the_value_unavailable() -> None:
    foreign = Portfolio(
        name="account:me",
        assets=(Asset(Symbol("DOGE"), Weight(1.0)),),
        basis=Basis.ACCOUNT,
        account="me",
    )
    told = fed(a_monitor(foreign), walks(12, 30)).report("account:me")
    assert told.value is None
    assert "DOGE" in told.unavailable["value"]


def test_portfolios_that_cannot_be_are_refused() -> None:
    for name, weights in (("x y", {"BTC": 1.0}), ("x", {}), ("x", {"BTC": float("nan")})):
        with pytest.raises(InvalidValueError):
            Portfolio.of(name, weights)


def test_a_live_estimate_that_fails_is_replaced_by_the_reference_with_a_reason() -> None:
    monitor = a_monitor(Portfolio.of("default", {"BTC": 1}), clock_s=3.0)
    for k in range(400):  # a pure bounce: its corrected variance is not positive
        monitor.take(a_tick("BTC", 100.0 + k % 2, t=k, seq=k + 1))
    told = report(monitor)
    assert told.estimate is not None
    assert told.estimate.published == "reference"
    assert "not positive" in told.estimate.reason
    assert told.volatility is not None


def test_a_long_short_portfolio_that_is_worth_its_cash() -> None:
    monitor = fed(a_monitor(Portfolio.of("default", {"BTC": 1, "TCS": -1})), walks(13, 40))
    told = report(monitor)
    assert told.value == pytest.approx(1_000_000, rel=0.1)
    assert told.weighted_risk is None
    assert "add up to zero" in told.unavailable["weighted_risk"]
    assert sum(told.contributions.values()) == pytest.approx(1, abs=1e-12)


def test_a_report_compares_with_the_benchmark_and_tells_ratios() -> None:
    monitor = fed(
        a_monitor(Portfolio.of("default", WEIGHTS), Portfolio.of("one", {"BTC": 1}), clock_s=2.0),
        walks(14, 120),
    )
    own, other = monitor.report("default"), monitor.report("one")
    assert own.benchmark["beta"] == pytest.approx(1, rel=0.05)
    assert own.benchmark["correlation"] == pytest.approx(1, rel=0.01)
    assert other.benchmark["tracking_error"] is not None
    assert other.benchmark["tracking_error"] > 10 * (own.benchmark["tracking_error"] or 0)
    assert set(own.performance) == {
        "sharpe",
        "sortino",
        "calmar",
        "conditional_drawdown",
        "ulcer_index",
    }
    assert own.value_at_risk["0.99"] == pytest.approx(
        sum(own.marginal_value_at_risk[name] * own.exposures[name] for name in SYMBOLS), rel=1e-9
    )
    assert own.estimate is not None
    assert own.estimate.attenuation["BTC-TCS"] == pytest.approx(0.567667, rel=1e-3)


def test_a_tick_of_the_future_is_rejected_and_does_not_hold_time_still() -> None:
    monitor = Monitor(SYMBOLS, Estimators(), Terms(), present=lambda: at(100))
    fed(monitor, [a_tick("BTC", t=90), a_tick("BTC", 9.0, t=9e8, seq=2), a_tick("TCS", t=95)])
    assert monitor.rejected == 1
    assert monitor.market.prices[0] == 70400.0
    assert monitor.market.latest_s == at(95).timestamp()
