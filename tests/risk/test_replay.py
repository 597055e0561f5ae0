"""Reports of what was recorded: on a page of its own, and the same bits each time."""

import asyncio
import re
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from market.events import Fact, Snapshot, Tick
from market.feed import FeedLost, FeedOpened
from market.hub import Hub
from market.settings import environment
from market.tape import Tape
from risk.__main__ import main
from risk.audit import PAGE, audit
from risk.errors import UnavailableError
from risk.limits import LimitChanged, Limits
from risk.portfolio import Basis, Portfolio
from risk.replay import replay
from risk.report_page import page
from risk.repositories import SqlitePortfolioRepository
from risk.settings import Settings
from tests.exchange.markets import NOON, TCS, Market, a_market
from tests.risk.builders import WEIGHTS, a_settings, a_tick, at, walks
from tests.risk.exchange import an_exchange
from tests.streams import PATIENCE_S, eventually

TICKS = list(walks(5, 240))


def recorded_in(folder: Path, ticks: Iterable[Tick]) -> Path:
    """Put ticks on a tape as the exchange does, and leave it open."""
    tape = Tape(folder / "stream", 400)
    hub = Hub(epoch=tape.epoch, history=400, kinds=["tick"], log=tape)
    tape.begin(0, bytes)
    for tick in ticks:
        hub.publish(tick)
        hub.commit()
    return folder / "stream"


def a_replay(tmp_path: Path, **changes: object) -> Settings:
    return a_settings("http://127.0.0.1:9", tmp_path, **{"interval_s": 1.0} | changes)


@pytest.mark.no_cover
def test_the_same_events_give_the_same_report_bit_for_bit(tmp_path: Path) -> None:
    settings = a_replay(tmp_path)
    once = replay(TICKS, settings, settings.portfolio)
    again = replay(TICKS, settings, settings.portfolio)
    assert once.digest == again.digest
    assert page(once) == page(again)
    other = replay([*TICKS, a_tick("BTC", 1.0, t=240, seq=241)], settings, settings.portfolio)
    assert other.digest != once.digest


@pytest.mark.no_cover
def test_a_stream_that_was_cut_and_replayed_gives_the_same_report(tmp_path: Path) -> None:
    settings = a_replay(tmp_path)
    cut: list[Fact] = [*TICKS[:300], FeedLost(reason="cut", retry_s=1.0), FeedOpened()]
    cut += [Snapshot(id="0000000a-300", ticks=tuple(TICKS[297:300])), *TICKS[280:]]
    once, again = (replay(f, settings, settings.portfolio) for f in (TICKS, cut))
    assert once.outcomes == again.outcomes
    assert once.digest == again.digest


def test_what_came_before_warms_up_and_is_not_told(tmp_path: Path) -> None:
    settings = a_replay(tmp_path)
    record = replay(TICKS, settings, settings.portfolio, at(120), at(180))
    assert record.reports[0].state == "live"
    assert record.reports[0].time >= at(120)
    assert record.last.time <= at(180)
    assert all(at(120) <= outcome.time <= at(180) for outcome in record.outcomes)


def test_a_long_time_is_told_in_a_bounded_number_of_reports(tmp_path: Path) -> None:
    settings = a_replay(tmp_path, interval_s=0.001)
    ticks = [a_tick("BTC", 70_000.0 + k % 7, t=k, seq=k + 1) for k in range(500)]
    record = replay(ticks, settings, Portfolio.of("default", {"BTC": 1}), points=100)
    assert 50 < len(record.reports) <= 101


def test_limits_that_were_breached_are_in_the_record(tmp_path: Path) -> None:
    limited = Portfolio.of("default", WEIGHTS, limits=Limits(max_gross=1.0))
    record = replay(TICKS, a_replay(tmp_path), limited)
    assert [fact.limit for fact in record.events if isinstance(fact, LimitChanged)] == ["max_gross"]


def test_a_time_without_ticks_has_no_report(tmp_path: Path) -> None:
    settings = a_replay(tmp_path)
    with pytest.raises(UnavailableError):
        replay(TICKS, settings, settings.portfolio, at(1000))


def test_the_tape_of_an_exchange_that_runs_becomes_a_page_that_opens_offline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded_in(tmp_path, TICKS)
    out = tmp_path / "report.html"
    env = environment(process={"DATA_DIR": str(tmp_path)})
    since = (at(0) + timedelta(seconds=60)).isoformat()
    arguments = ["report", "--from", since, "--out", str(out)]
    assert main(env, arguments) == 0
    first = out.read_bytes()
    assert main(env, arguments) == 0
    assert out.read_bytes() == first
    text = first.decode()
    digest = re.findall(r"sha256 ([0-9a-f]{64})", capsys.readouterr().out)
    assert len(set(digest)) == 1
    assert digest[0] in text
    for name in ("Returns", "filtered", "exception", "Contributions", "Drawdown"):
        assert name in text
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", text[:2000] + text[-20_000:])


async def test_the_history_of_an_exchange_gives_what_its_tape_gives(tmp_path: Path) -> None:
    tape = recorded_in(tmp_path, walks(1, 50))
    async with an_exchange() as (_, url):
        settings = a_replay(tmp_path)
        asked = await asyncio.to_thread(audit, settings, tape, url=url)
    assert asked.digest == audit(settings, tape).digest


async def test_the_history_of_a_real_exchange_is_read_page_by_page_and_warms_up_as_its_tape_does(
    tmp_path: Path,
) -> None:
    begin = NOON + timedelta(hours=1)
    since = begin + timedelta(seconds=PAGE + 50)
    async with a_market(tmp_path / "exchange", TCS, candle_interval_s=0.02) as market:
        prices = [tick.price for tick in walks(3, PAGE + 200) if tick.symbol == TCS]
        for n, price in enumerate(prices):
            at_n = begin + timedelta(seconds=n)
            market.sources[TCS].tick(price.quantize(Decimal("0.01")), time=at_n)
        merged = market.exchange.merging.sources[TCS]
        await eventually(lambda: merged.ticks == len(prices) + 1)
        await eventually_told(market, merged.ticks)
        portfolio = Portfolio.of("default", {TCS: 1.0})
        settings = a_replay(tmp_path, symbols=(TCS,), portfolio=portfolio)
        of_url = await asyncio.to_thread(audit, settings, tmp_path, since=since, url=market.base)
        of_tape = audit(settings, tmp_path / "exchange" / "stream", since=since)

    assert of_url.facts == len(prices) + 1
    assert of_url.reports[0].time >= since
    assert of_url.reports[0].volatility is not None
    assert of_url.digest == of_tape.digest


async def eventually_told(market: Market, count: int) -> None:
    """Wait until the history has the newest tick."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            newest = (await market.get("/ticks?symbol=TCS&limit=1")).json()
            if newest and newest[0]["seq"] == count:
                return
            await asyncio.sleep(0.02)


def test_what_cannot_be_reported_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = environment(process={"DATA_DIR": str(tmp_path)})
    assert main(env, ["report"]) == 2
    assert "no tape" in capsys.readouterr().err
    recorded_in(tmp_path, TICKS)
    assert main(env, ["report", "--portfolio", "mine"]) == 2
    assert "no portfolio" in capsys.readouterr().err
    account = Portfolio(name="mine", assets=(), basis=Basis.ACCOUNT, account="me", known=False)
    SqlitePortfolioRepository(tmp_path / "risk.sqlite3").save(account)
    assert main(env, ["report", "--portfolio", "mine"]) == 2
    assert "is an account" in capsys.readouterr().err
