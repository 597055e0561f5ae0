import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exchange.journal_file import JournalFile
from exchange.recovery import verify
from exchange.settings import Settings as ExchangeSettings
from market.events import Fact
from simulation.config import parsed
from simulation.event_log import EventLog
from simulation.journal import journal
from simulation.results import RiskResult
from simulation.risk_watch import RiskWatch
from simulation.run import Simulation
from simulation.series import Series
from simulation.trading_floor import Public
from tests.simulation.runs import a_config, ran

ROOT = Path(__file__).resolve().parents[2]

ONE_HASH = """
import json, sys
from simulation.config import parsed
from simulation.run import simulate
from simulation.sweep import quiet
quiet()
print(simulate(parsed(json.loads(sys.argv[1])), int(sys.argv[2])).log)
"""

TABLE: dict[str, Any] = {
    "days": 150 / 86_400,
    "settings": {"SYMBOLS": "BTC,TCS,META", "TAKER_FEE_BPS": "2"},
    "agents": {
        "investor": {"latency": {"model": "lognormal", "median_ms": 40, "sigma": 0.6}},
        "hamster": {"latency": {"model": "uniform", "low_ms": 5, "high_ms": 50}, "hearing": 12},
        "noise": {"count": 2, "events": ["tick", "trade"]},
    },
}


def permuted(table: dict[str, Any]) -> dict[str, Any]:
    """The same configuration, everything in it the other way round."""
    turned = {
        key: permuted(value) if isinstance(value, dict) else value
        for key, value in reversed(table.items())
    }
    if "SYMBOLS" in turned:
        turned["SYMBOLS"] = "META,TCS,BTC"
    return turned


def a_hash(table: dict[str, Any], seed: int, hash_seed: str) -> str:
    command = [sys.executable, "-c", ONE_HASH, json.dumps(table), str(seed)]
    environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT), "HOUSE_LEVELS": "1"}
    found = subprocess.run(command, capture_output=True, env=environment, check=True, cwd=ROOT)
    return found.stdout.decode().split()[-1]


@pytest.mark.no_cover
def test_a_run_has_the_same_bytes_in_every_process_and_any_setup_order() -> None:
    here = ran(parsed(TABLE), 7)[1].log

    assert a_hash(permuted(TABLE), 7, "99") == here
    assert ran(parsed(TABLE), 8)[1].log != here


def test_the_log_is_what_its_hash_says(tmp_path: Path) -> None:
    from hashlib import sha256

    path = tmp_path / "events.log"
    with EventLog(path) as log:
        result = Simulation(a_config(60), 7, log).run()

    assert sha256(path.read_bytes()).hexdigest() == result.log
    kinds = Counter(line.split(b" ", 1)[0] for line in path.read_bytes().splitlines())
    assert kinds[b"tick"] == result.ticks == 180
    assert len(path.read_bytes().splitlines()) == result.events


def test_a_run_that_breaks_off_has_logged_what_happened_before(tmp_path: Path) -> None:
    def stop(share: float) -> None:
        if share > 0.5:
            raise InterruptedError

    path = tmp_path / "events.log"
    with EventLog(path) as log, pytest.raises(InterruptedError):
        Simulation(a_config(60), 7, log).run(stop)

    ticks = [line for line in path.read_bytes().splitlines() if line.startswith(b"tick ")]
    assert 90 <= len(ticks) < 180


def test_books_agree_and_money_is_conserved() -> None:
    market, result = ran(a_config(600, settings={"TAKER_FEE_BPS": "3", "MAKER_FEE_BPS": "-1"}))

    assert result.orders > 20
    assert all(bot.agrees for bot in result.bots)
    for bot in result.bots:
        assert bot.pnl == bot.realized_pnl + bot.unrealized_pnl
    totals = market.floor.venue.totals()
    assert totals.cash == sum((bot.starting_cash for bot in result.bots), Decimal(0))


def test_latency_delays_what_happens_and_changes_the_outcome() -> None:
    near = ran(a_config(300))[1]
    far = ran(a_config(300, agents={"investor": {"latency": 1500}, "hamster": {}}))[1]

    assert near.bot("investor").fills != 0
    assert near.log != far.log


def test_an_agent_hears_facts_in_their_order_however_the_latency_varies(tmp_path: Path) -> None:
    file = tmp_path / "listener.py"
    file.write_text(LISTENER)
    hearing = {"model": "uniform", "low_ms": 0, "high_ms": 5000}
    agents = {"ear": {"strategy": f"{file}:Listener", "hearing": hearing}}
    market, _ = ran(a_config(200, agents=agents))

    assert market.participants["ear"].failure == ""
    assert market.participants["ear"].log.warnings == {}


LISTENER = """
from market.events import Snapshot, Tick

class Listener:
    def __init__(self):
        self.seqs, self.first = {}, True

    def decide(self, fact):
        if self.first:
            self.first = False
            assert isinstance(fact, Snapshot)
        if isinstance(fact, Tick):
            assert fact.seq == self.seqs.get(fact.symbol, 0) + 1
            self.seqs[fact.symbol] = fact.seq
"""


def test_a_strategy_that_breaks_leaves_and_the_market_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("class Broken:\n    def decide(self, fact):\n        return 1 / 0\n")
    agents = {"broken": {"strategy": f"{file}:Broken"}, "hamster": {}}
    _, result = ran(a_config(200, agents=agents))

    assert "ZeroDivisionError" in result.bot("broken").failure
    assert result.bot("hamster").failure == ""
    assert result.ticks == 600


def test_a_strategy_that_orders_on_each_fill_of_its_own_leaves_and_time_goes_on(
    tmp_path: Path,
) -> None:
    file = tmp_path / "greedy.py"
    file.write_text(
        "from bots.strategy import buy\n"
        "class Greedy:\n    def decide(self, fact):\n        return [buy('BTC', '0.00001')] * 9\n"
    )
    agents = {"greedy": {"strategy": f"{file}:Greedy"}, "hamster": {}}
    _, result = ran(a_config(5, agents=agents))

    assert result.bot("greedy").failure == "10000 of its commands are under way at once"
    assert result.bot("hamster").failure == ""
    assert result.ticks == 15


def test_a_strategy_that_fails_now_and_then_stays_and_its_failures_are_counted(
    tmp_path: Path,
) -> None:
    file = tmp_path / "moody.py"
    file.write_text(
        "class Moody:\n    def decide(self, fact):\n"
        "        if getattr(fact, 'seq', 1) % 2 == 0:\n            raise KeyError('even')\n"
    )
    config = a_config(
        20,
        agents={"moody": {"strategy": f"{file}:Moody", "symbols": ["TCS"]}, "hamster": {}},
        assertions=['failures("moody") == 10', 'failures("hamster") == 0', 'not failed("moody")'],
    )
    _, result = ran(config)

    assert result.bot("moody").failures == {"KeyError at moody.py:4": 10}
    assert result.failed == ()


BOOKWORM = """
class Bookworm:
    def __init__(self):
        self.books = 0

    def decide(self, fact):
        if type(fact).__name__ == "BookUpdate":
            assert fact.symbol == "TCS" and (fact.bids or fact.asks)
            self.books += 1
        assert self.books <= 5, "enough"
"""


def test_an_agent_that_asks_for_books_is_shown_those_of_its_symbols(tmp_path: Path) -> None:
    file = tmp_path / "bookworm.py"
    file.write_text(BOOKWORM)
    given = {"strategy": f"{file}:Bookworm", "symbols": ["TCS"], "events": ["tick", "book"]}
    _, result = ran(a_config(60, agents={"bookworm": given}))

    assert "AssertionError('enough')" in result.bot("bookworm").failure


THIEF = """
from bots.strategy import buy
from msgspec.structs import replace

class Thief:
    def decide(self, fact):
        yield replace(buy("TCS", 1), account="hamster")
"""


def test_a_strategy_cannot_trade_for_another_account(tmp_path: Path) -> None:
    file = tmp_path / "thief.py"
    file.write_text(THIEF)
    _, alone = ran(a_config(60, agents={"hamster": {}}))
    _, result = ran(a_config(60, agents={"hamster": {}, "thief": {"strategy": f"{file}:Thief"}}))

    assert result.bot("hamster") == alone.bot("hamster")
    assert "this order is for 'hamster'" in result.bot("thief").failure


@pytest.mark.no_cover
def test_prices_move_together_as_their_correlation_says_and_in_any_setup_order() -> None:
    given = {f"{of}_PROCESS": "correlated" for of in ("BTC", "TCS", "META")}
    settings = given | {"CORRELATION": "BTC:TCS:0.9,BTC:META:0.3", "TICK_INTERVAL_S": 0.1}
    table = {"days": 200 / 86_400, "agents": {}, "risk": {"on": False}, "settings": settings}
    market, result = ran(parsed(table))
    turned = permuted(table | {"settings": settings | {"SYMBOLS": "BTC,TCS,META"}})

    paths = {of: instrument.path.points for of, instrument in market.recorder.instruments.items()}
    returns = {of: np.diff(np.log([price for _, price in path])) for of, path in paths.items()}
    assert np.corrcoef(returns["BTC"], returns["TCS"])[0, 1] == pytest.approx(0.9, abs=0.1)
    assert np.corrcoef(returns["BTC"], returns["META"])[0, 1] == pytest.approx(0.3, abs=0.1)
    assert ran(parsed(turned))[1].log == result.log


def test_risk_watches_and_reports() -> None:
    market, result = ran(a_config(400, risk={"on": True, "report_s": 20, "accounts": True}))

    assert {each.portfolio for each in result.risk} >= {"default", "account:investor"}
    assert market.risk is not None
    assert market.risk.watched["default"].reports == 19


def test_a_simulated_journal_is_one_that_the_exchange_can_replay(tmp_path: Path) -> None:
    config, path = a_config(120), tmp_path / "journal.sqlite"
    with EventLog() as log, journal(path, config) as keeping:
        market = Simulation(config, 7, log, keeping)
        market.run()
    with JournalFile(path, read_only=True) as file:
        found = verify(file)

    assert found.problem is None
    assert found.state_hash == market.floor.venue.state_hash()


def test_memory_does_not_grow_with_the_days() -> None:
    series: Series[int] = Series(64)
    for number in range(100_000):
        series.add(number)

    assert len(series.points) <= 64
    assert series.points[0] == 0
    assert series.points == sorted(series.points)
    gaps = {b - a for a, b in zip(series.points, series.points[1:], strict=False)}
    assert len(gaps) == 1


def test_a_series_keeps_of_many_points_what_it_would_keep_one_by_one() -> None:
    single: Series[int] = Series(8)
    many: Series[int] = Series(8)
    for count in (3, 1, 0, 9, 40, 2, 100):
        first = single.seen
        for number in range(first, first + count):
            single.add(number)
        many.extend(count, range(first, first + count).__getitem__)

    assert many.points == single.points


def test_closed_orders_are_forgotten_so_that_memory_is_flat_in_the_days() -> None:
    settings = ExchangeSettings.from_env(a_config().environment)
    market, result = ran(a_config(300, settings={"ORDERS_KEPT": "5"}))
    kept = list(market.floor.venue.blotter)

    assert settings.charter.orders_kept == 1000
    assert result.orders > 20
    assert len(kept) <= 5 + sum(ticket.working for ticket in kept)


def test_risk_that_takes_facts_in_batches_reports_what_it_would_tick_by_tick() -> None:
    config = a_config(200, risk={"on": True, "report_s": 50})
    batched, at_once = RiskWatch(config.environment), RiskWatch(config.environment)
    with EventLog() as log:
        market = Simulation(config, 7, log)
        market.risk, publish = Both(batched, at_once), market.floor.publish

        def published(fact: Public) -> None:
            at_once.hear([fact])
            publish(fact)

        market.floor.publish = published
        market.run()

    assert batched.watched["default"].path.points == at_once.watched["default"].path.points
    assert len(batched.watched["default"].path.points) > 1


class Both(RiskWatch):
    """Two watches that report together; what happened in between is told to the first alone."""

    def __init__(self, batched: RiskWatch, at_once: RiskWatch) -> None:
        self.both = batched, at_once

    def hear(self, facts: Iterable[Fact]) -> None:
        self.both[0].hear(facts)

    def report(self, seconds: float) -> None:
        for each in self.both:
            each.report(seconds)

    def results(self) -> tuple[RiskResult, ...]:
        return self.both[0].results()


def test_an_exchange_that_hears_no_source_takes_no_order() -> None:
    _, result = ran(
        a_config(
            100,
            agents={"hamster": {}},
            event=[
                {"do": "stall", "at_s": 5, "symbol": "META"},
                {"do": "order", "at_s": 60, "symbol": "META", "side": "buy", "quantity": 1},
            ],
        )
    )

    assert result.market("META").stale == 1
    assert result.market("META").trades == 0


@pytest.mark.parametrize("option", [{"short_selling": True}, {"starting_cash": 500}])
def test_an_account_may_open_on_terms_of_its_own(option: dict[str, Any]) -> None:
    market, result = ran(a_config(5, agents={"ann": {"strategy": "investor", **option}}))
    account = market.floor.venue.account("ann")

    assert account is not None
    assert account.short_selling is option.get("short_selling", False)
    assert result.bot("ann").starting_cash == option.get("starting_cash", 1_000_000)
