"""A simulated market against its peers from the package index, one core each, one run.

    python benchmarks/simulation.py [--only GROUP] [--rounds N] [--hours H] [--ticks N]
                                    [--peers FOLDER]

The *day*: three symbols, ten bots, house and risk on, with and without a journal, and the default
market of two bots; for ``--hours`` of virtual time, told per day. The rest is a comparison, of the
same work from the same list of prices (`benchmarks.markets.work`), ``--ticks`` of them:

- *turns*: one strategy buys on a peak and sells on a dip, market orders, nobody else. A peer fills
  at the next bar's price; our market has no such thing, and its house quotes as in the next one.
- *quotes*: the turns, and around each price five limit orders a side, a tick apart: those whose
  price is not theirs any more are withdrawn and placed anew. Ours are the house's, and the turner
  takes of them. Peers withdraw and place the same number at the same ticks through their own
  brokers, at limits that no bar reaches: whatever fills is the turner's, as in our market.
  ``bot, sandpit`` has a bot of ours quote, as any customer could, with the house off.
- *orders*: ten agents that place limit orders around the price at random, and take them back, in an
  order book that matches them with each other (a tenth of the ticks).

An *event* is a tick, an order placed, an order withdrawn, or a fill; an order that is moved is
withdrawn and placed, a trade is one fill. The table has all four, so that it shows what was equal:
in the quotes and the turns all but the fill of a last order (a peer has no next bar for it); in the
orders everything, for PAMS keeps the same sequence: the same trades, the same holdings of each
agent at the end. bourse draws its own. ``x`` is what an event costs there, in events of the group's
first line; where the same was done, it is also what a tick costs there, and what an order does.

What is not equal. In favor of us: the house's quotes are orders in the book like any other, but
nobody is told of them, they have no client to check, and they are moved side by side; peers (and
the bot) enter theirs one by one, and some tell the strategy of each. Peers also look at every
resting order at every bar; a book need not. In favor of the peers: they keep no log and no journal,
while we hash a line for every fact (``logged, pams`` does that too); but for PAMS their fills meet
no order in a book and concern one account, not two, and PAMS asks nobody whether he can pay; cash
and positions are floats in all but Basana; their prices are in memory, ours are read from a
recording and checked meanwhile; they know the quotes beforehand; PAMS is spared its draws.

Who of them is event-driven, by how it works: in PyAlgoTrade a feed emits bars to those who have
subscribed, the broker first, and orders come back to the strategy as events; in Basana a dispatcher
orders the events of all sources by time and awaits their handlers, balances are decimals; in
backtrader with ``runonce=False`` the engine steps bar by bar, delivers what the broker notified,
and calls ``next`` (with ``runonce=True`` and no check of cash, its cheapest setup, indicators come
in vectors before the same steps); in PAMS a runner steps through time and hands each order to a
book, each fill to the agents and events that wait for it. All four are Python alone (in PAMS numpy
draws fundamental prices, which nobody asks for here). backtesting.py is a loop over the rows of one
table: no queue, no dispatch, one asset; bourse is Rust.

Peers are not installed with this project. ``FOLDER`` has a folder for each, made by
``pip install --target FOLDER/NAME NAME``. One that is missing is left out with a notice. Times are
those of the processor (`time.process_time`), in a process each; with ``--rounds`` all jobs are run
one after the other so many times, and the fastest of each is told.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.markets import backtests, crowds, ours
from benchmarks.markets.work import Figures
from exchange.compile import extensions
from simulation.sweep import quiet

ROOT: Final = Path(__file__).resolve().parents[1]
GROUPS: Final = ("day", "turns", "quotes", "orders")
OURS: Final = "sandpit"
EVENT_DRIVEN: Final = ("pyalgotrade", "basana", "backtrader", "pams")  # and Python alone
HEAD: Final = (
    f"{'job':39}{'ticks':>8}{'placed':>9}{'withdrawn':>10}{'fills':>8}{'s':>8}"
    f"{'us/tick':>9}{'us/order':>9}{'us/event':>9}{'x':>7}"
)


@dataclass(frozen=True, slots=True)
class Job:
    """Something to be measured: its group, what is special about it, and whose it is."""

    group: str
    variant: str
    peer: str
    run: Callable[[], Figures]

    @property
    def name(self) -> str:
        """What it is called in the table."""
        return ", ".join(filter(None, (self.group, self.variant, self.peer)))


def jobs(hours: float, ticks: int) -> list[Job]:
    """Return what can be run."""
    return [*_days(hours), *_turns(ticks), *_quotes(ticks), *_orders(max(1, ticks // 10))]


def _days(hours: float) -> Iterable[Job]:
    day = partial(partial, ours.day, hours)
    yield Job("day", "2 bots, risk", OURS, day(ten=False))
    yield Job("day", "10 bots, risk", OURS, day(ten=True))
    yield Job("day", "10 bots, risk, journaled", OURS, day(ten=True, journaled=True))
    yield Job("day", "10 bots", OURS, day(ten=True, risk=False))


def _turns(ticks: int) -> Iterable[Job]:
    yield Job("turns", "", OURS, partial(ours.turns, ticks))
    yield Job("turns", "journaled", OURS, partial(ours.turns, ticks, journaled=True))
    yield Job("turns", "risk", OURS, partial(ours.turns, ticks, risk=True))
    yield Job(
        "turns", "risk, journaled", OURS, partial(ours.turns, ticks, journaled=True, risk=True)
    )
    yield from _backtests("turns", ticks, quoting=False)


def _quotes(ticks: int) -> Iterable[Job]:
    yield Job("quotes", "", OURS, partial(ours.quotes, ticks))
    yield Job("quotes", "journaled", OURS, partial(ours.quotes, ticks, journaled=True))
    yield Job("quotes", "bot", OURS, partial(ours.quotes_of_a_bot, ticks))
    yield from _backtests("quotes", ticks, quoting=True)


def _backtests(group: str, ticks: int, *, quoting: bool) -> Iterable[Job]:
    for peer in (backtests.pyalgotrade, backtests.basana, backtests.backtrader):
        yield Job(group, "", peer.__name__, partial(peer, ticks, quoting=quoting))
    fastest = partial(backtests.backtrader, ticks, quoting=quoting, fastest=True)
    yield Job(group, "runonce", "backtrader", fastest)
    yield Job(group, "", "backtesting", partial(backtests.backtesting, ticks, quoting=quoting))


def _orders(ticks: int) -> Iterable[Job]:
    yield Job("orders", "", OURS, partial(ours.orders, ticks))
    yield Job("orders", "journaled", OURS, partial(ours.orders, ticks, journaled=True))
    yield Job("orders", "", "pams", partial(crowds.pams, ticks))
    yield Job("orders", "logged", "pams", partial(crowds.pams, ticks, logged=True))
    yield Job("orders", "", "bourse", partial(crowds.bourse, ticks))


# --- table ----------------------------------------------------------------------------------------


def main() -> None:
    """Run every job in a process of its own and print the table."""
    asked = arguments()
    found = jobs(asked.hours, asked.ticks)
    if asked.job:
        quiet()
        (job,) = (job for job in found if job.name == asked.job)
        print(json.dumps(asdict(job.run())))
        return
    compiled = len(extensions(ROOT))
    print(f"{OURS}: {f'compiled, {compiled} extension modules' if compiled else 'pure Python'}")
    chosen = [job for job in found if asked.only in {None, job.group} and is_there(job, asked)]
    rounds = [[(job, in_process(job, asked)) for job in chosen] for _ in range(asked.rounds)]
    measured = [fastest(of) for of in zip(*rounds, strict=True)]
    print(HEAD)
    for job, figures in measured:
        print(line(job, figures) + remark(job, figures, base(job, measured), asked.hours))
    for text in summary(measured):
        print(text)


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=GROUPS, help="one group of jobs")
    parser.add_argument("--rounds", type=int, default=1, help="times that all are run")
    parser.add_argument("--hours", type=float, default=1.0, help="virtual hours of a day's run")
    parser.add_argument("--ticks", type=int, default=10_000, help="ticks of the turns")
    parser.add_argument("--peers", type=Path, help="folder of the peers")
    parser.add_argument("--job", help=argparse.SUPPRESS)  # one of them, its figures as JSON
    return parser.parse_args()


def is_there(job: Job, asked: argparse.Namespace) -> bool:
    """Tell whether a job can be run, with a notice where its peer is missing."""
    if job.peer == OURS or (asked.peers is not None and (asked.peers / job.peer).is_dir()):
        return True
    print(
        f"{job.name}: left out, no {job.peer} (pip install --target FOLDER/{job.peer} {job.peer})"
    )
    return False


def in_process(job: Job, asked: argparse.Namespace) -> Figures:
    """Return the figures of a job that is run in a process of its own; end where it fails."""
    environment = dict(os.environ)
    if job.peer != OURS:
        environment["PYTHONPATH"] = str(asked.peers / job.peer)
    command = [sys.executable, __file__, "--job", job.name]
    command += ["--hours", str(asked.hours), "--ticks", str(asked.ticks)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{job.name} failed:\n{done.stderr}")
    return Figures(**json.loads(done.stdout.splitlines()[-1]))


def fastest(rounds: Iterable[tuple[Job, Figures]]) -> tuple[Job, Figures]:
    """Return a job and its figures in the round that was the fastest."""
    return min(rounds, key=lambda each: each[1].seconds)


def base(job: Job, measured: list[tuple[Job, Figures]]) -> Figures:
    """Return the figures of the first line of a job's group."""
    return next(figures for other, figures in measured if other.group == job.group)


def line(job: Job, found: Figures) -> str:
    """Return a line of the table."""
    text = f"{job.name:39}{found.ticks:8}{found.placed:9}{found.withdrawn:10}{found.fills:8}"
    text += f"{found.seconds:8.2f}{found.us_a_tick:9.1f}{found.us_an_order:9.2f}"
    return text + f"{found.us_an_event:9.2f}"


def remark(job: Job, found: Figures, first: Figures, hours: float) -> str:
    """Return the end of a line: what an event costs in events of the first; of a day, its time."""
    if job.group != "day":
        return f"{found.us_an_event / first.us_an_event:7.2f}"
    seconds = found.seconds * 24 / hours
    return f"{'':9}{seconds:.1f} s a day, {found.orders / found.seconds:.0f} orders/s"


def summary(measured: list[tuple[Job, Figures]]) -> Iterable[str]:
    """Return who of the event-driven peers is the fastest at what, against our first line."""
    for group in GROUPS:
        rivals = [(j, f) for j, f in measured if j.group == group and j.peer in EVENT_DRIVEN]
        if rivals:
            job, figures = min(rivals, key=lambda each: each[1].us_an_event)
            ratio = figures.us_an_event / base(job, measured).us_an_event
            yield (
                f"{group}: fastest event-driven peer {job.peer}, {figures.us_an_event:.2f} us an "
                f"event, {ratio:.2f} times ours"
            )


if __name__ == "__main__":
    main()
