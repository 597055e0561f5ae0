from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import simulation
from benchmarks.markets import ours, work
from benchmarks.markets.work import Figures

TICKS = 400
FIGURES = Figures(seconds=2.0, ticks=100, placed=60, withdrawn=30, fills=10)


@pytest.mark.no_cover
def test_peers_are_given_the_orders_that_our_house_enters() -> None:
    path = work.prices(TICKS)
    plan, turns = work.quotes(path), sum(map(abs, work.turns(path)))

    found = ours.quotes(TICKS)

    assert found.ticks == TICKS
    assert found.placed == turns + sum(len(placed) for _, placed in plan)
    assert found.withdrawn == sum(len(withdrawn) for withdrawn, _ in plan)
    assert found.fills == turns > TICKS // 4


@pytest.mark.no_cover
def test_a_bot_that_quotes_enters_what_the_house_does_and_is_traded_with_as_often() -> None:
    house, bot = ours.quotes(TICKS), ours.quotes_of_a_bot(TICKS)

    assert replace(bot, seconds=house.seconds) == house


def test_no_price_reaches_the_quotes_of_a_peer() -> None:
    path = work.prices(TICKS)
    standing: set[int] = set()
    for price, (withdrawn, placed) in zip(path, work.quotes(path, work.MOST_MOVE), strict=True):
        bids = [quote for quote in standing if quote > 0]
        asks = [-quote for quote in standing if quote < 0]
        assert max(bids, default=0) < price < min(asks, default=price + 1)

        standing = (standing - set(withdrawn)) | set(placed)
        assert len(standing) == 2 * work.LEVELS


def test_only_what_has_no_place_or_was_taken_of_is_quoted_anew() -> None:
    rising = [100, 101, 101, 99, 99]

    (first, second, third, fourth, fifth) = work.quotes(rising)

    assert first == ([], [99, 98, 97, 96, 95, -101, -102, -103, -104, -105])
    assert second == ([-101, 95], [100, -106])
    assert third == ([], [])
    assert len(fourth[0]) == len(fourth[1]) == 4
    assert fifth == ([], [])


def test_what_is_taken_of_is_quoted_anew_where_it_stood() -> None:
    peak = [100, 101, 100, 100]

    *_, after = work.quotes(peak)

    assert work.turns(peak) == [0, 0, 1, 0]
    assert after == ([-101], [-101])


def test_the_agents_trade_with_each_other_and_everything_they_enter_is_counted(
    tmp_path: Path,
) -> None:
    steps = 40
    config = ours.recorded(tmp_path / "prices.csv", work.prices(steps), ours.crowd(), ours.NO_HOUSE)

    count = ours.counted(config)
    figures = count.figures(1.0, house=False)

    assert figures.placed == steps * work.AGENTS
    assert figures.fills > steps
    assert 0 < figures.withdrawn < figures.placed
    assert sum(count.positions.values()) == 0
    assert all(
        (held > 0) == work.Dice(int(name[-1])).buys for name, held in count.positions.items()
    )


def test_an_event_is_a_tick_an_order_placed_or_withdrawn_or_a_fill() -> None:
    assert FIGURES.orders == 90
    assert FIGURES.events == 200
    assert FIGURES.us_a_tick == 20_000
    assert FIGURES.us_an_event == 10_000


def test_every_job_has_a_name_of_its_own_and_each_group_begins_with_ours() -> None:
    jobs = simulation.jobs(1.0, 100)

    assert len({job.name for job in jobs}) == len(jobs)
    first = {job.group: job for job in reversed(jobs)}
    assert {job.peer for job in first.values()} == {simulation.OURS}


def test_the_fastest_of_the_event_driven_peers_is_told_against_ours() -> None:
    ours_, *others = [
        simulation.Job("quotes", "", peer, lambda: FIGURES)
        for peer in (simulation.OURS, "basana", "pyalgotrade", "backtesting")
    ]
    costs = (6.0, 4.0, 1.0)
    measured = [(ours_, FIGURES)] + [
        (job, replace(FIGURES, seconds=seconds)) for job, seconds in zip(others, costs, strict=True)
    ]

    (text,) = simulation.summary(measured)

    assert text.startswith("quotes: fastest event-driven peer pyalgotrade")
    assert text.endswith("2.00 times ours")


def test_the_fastest_round_of_a_job_is_told() -> None:
    job = simulation.jobs(1.0, 100)[0]
    rounds = [(job, replace(FIGURES, seconds=seconds)) for seconds in (3.0, 1.0, 2.0)]

    assert simulation.fastest(rounds) == (job, replace(FIGURES, seconds=1.0))


def test_a_peer_that_is_not_there_is_left_out_with_a_notice(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = Namespace(peers=tmp_path)
    (tmp_path / "bourse").mkdir()
    pams, bourse = (
        simulation.Job("orders", "", peer, lambda: FIGURES) for peer in ("pams", "bourse")
    )

    assert not simulation.is_there(pams, asked)
    assert simulation.is_there(bourse, asked)
    assert "left out, no pams" in capsys.readouterr().out
