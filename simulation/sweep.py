"""Many runs: units of work over processes, here or on a cluster, and what they say together.

A unit is a configuration and a seed as bytes, and its answer is a result as bytes, so that it runs
unchanged in a process of this machine and on a worker of Dask's on another.
"""

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Final

import msgspec
import structlog
from msgspec import Struct

from market.errors import MarketError
from simulation.config import RunConfig
from simulation.errors import ConfigError
from simulation.results import BotResult, RunResult
from simulation.run import simulate
from simulation.statistics import Estimate, mean_interval, share_interval, sign_test
from simulation.store import Store

MOST_SEEDS: Final = 10_000_000
IN_FLIGHT: Final = 4  # units that wait, a process

_ENCODER: Final = msgspec.json.Encoder(order="sorted")


class Unit(Struct, frozen=True, kw_only=True):
    """One run that is to be done."""

    config: RunConfig
    seed: int


class BotSummary(Struct, frozen=True, kw_only=True):
    """An agent over all runs; ``ahead`` is the share of runs that it ended with a profit."""

    name: str
    pnl: Estimate
    sharpe: Estimate | None
    max_drawdown: Estimate
    hit_rate: Estimate | None
    fills: Estimate
    ahead: float
    ahead_low: float
    ahead_high: float


class Duel(Struct, frozen=True, kw_only=True):
    """Two agents in the same runs: how much the first earned more, and how often."""

    first: str
    second: str
    difference: Estimate
    wins: int
    n: int
    low: float
    high: float
    p_value: float


def work(unit: bytes) -> bytes:
    """Do one unit of work and return its result; the same bytes give the same bytes.

    Raises:
        ConfigError: the run makes no sense; the message names the seed.
    """
    quiet()
    asked = msgspec.json.decode(unit, type=Unit)
    try:
        return _ENCODER.encode(simulate(asked.config, asked.seed))
    except MarketError as error:  # it has to reach another process in one piece
        raise ConfigError(f"seed {asked.seed}: {error}") from None


def begin() -> None:
    """Make this process one that works for another, quietly, and for as long as that is there."""
    quiet()
    if (employer := multiprocessing.parent_process()) is not None:
        Thread(target=_leave_with, args=(employer,), daemon=True).start()


def _leave_with(employer: BaseProcess) -> None:
    employer.join()
    os._exit(1)  # whoever would read the result is gone


def quiet() -> None:
    """Let nothing below an error be logged in this process: a scenario's faults are no news."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def seeds_of(text: str) -> list[int]:
    """Return the seeds in ``1..1000`` or ``1,5,7..9``; raise ConfigError when it is neither."""
    found: list[int] = []
    for part in text.split(","):
        first, dots, last = part.strip().partition("..")
        try:
            low, high = int(first), int(last if dots else first)
        except ValueError:
            raise ConfigError(f"seeds {text!r}: not numbers such as 1..1000") from None
        if not 0 <= low <= high or high - low >= MOST_SEEDS:
            raise ConfigError(f"seeds {text!r}: from 0 up, {MOST_SEEDS} at most")
        found += range(low, high + 1)
    return sorted(set(found))


def sweep(
    config: RunConfig,
    seeds: Iterable[int],
    store: Store,
    executor: Executor,
    *,
    in_flight: int = 8,
    done: Callable[[RunResult], None] = lambda _: None,
) -> int:
    """Run the seeds that the store has not yet; return how many that were.

    Each result is kept as soon as it is there, so that a sweep may be stopped at any time.
    """
    store.describe(config.digest, config.name, _ENCODER.encode(config).decode())
    missing = iter(sorted(set(seeds) - store.seeds(config.digest)))
    running: set[Future[bytes]] = set()
    count = 0
    while True:
        for seed in islice(missing, in_flight - len(running)):
            unit = _ENCODER.encode(Unit(config=config, seed=seed))
            running.add(executor.submit(work, unit))
        if not running:
            return count
        finished, running = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            result = msgspec.json.decode(future.result(), type=RunResult)
            store.add(result)
            done(result)
        count += len(finished)


@contextmanager
def processes(count: int) -> Iterator[Executor]:
    """Give an executor of that many processes; what was not begun is dropped at the end.

    Where the system can, they are forked from one process that has loaded the simulation already:
    its modules take more than a second of a core, once instead of in each.
    """
    is_forked = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if is_forked else "spawn")
    if is_forked:
        context.set_forkserver_preload([__name__])
    executor = ProcessPoolExecutor(count, mp_context=context, initializer=begin)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def dask(address: str, workers: int = 2) -> Iterator[Executor]:
    """Give an executor on a Dask cluster: that at ``address``, or ``local`` for one of our own.

    Raises:
        ConfigError: Dask is not installed.
    """
    try:
        distributed = import_module("distributed")
    except ImportError as error:
        raise ConfigError("a cluster needs Dask: pip install -e '.[sweep]'") from error
    if address != "local":
        with distributed.Client(address) as client:
            yield client.get_executor(pure=False)
        return
    with (
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=logging.ERROR,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client.get_executor(pure=False)


def summaries(results: Sequence[RunResult]) -> list[BotSummary]:
    """Return each agent over all runs, by name."""
    by_name: dict[str, list[BotResult]] = {}
    for result in results:
        for bot in result.bots:
            by_name.setdefault(bot.name, []).append(bot)
    return [_summary(name, bots) for name, bots in sorted(by_name.items())]


def duel(results: Sequence[RunResult], first: str, second: str) -> Duel:
    """Return how one agent did against another in the same runs; ConfigError without both.

    Runs are paired by their seed, so that what the market did to both of them cancels out. A run in
    which both earned the same counts for neither, as the sign test has it.
    """
    try:
        pairs = [(float(r.bot(first).pnl), float(r.bot(second).pnl)) for r in results]
    except KeyError as error:
        raise ConfigError(f"no run has an agent {error}") from error
    differences = [a - b for a, b in pairs]
    decided = [d for d in differences if d]
    wins = sum(d > 0 for d in decided)
    low, high = share_interval(wins, len(decided)) if decided else (0.0, 1.0)
    return Duel(
        first=first,
        second=second,
        difference=mean_interval(differences),
        wins=wins,
        n=len(decided),
        low=low,
        high=high,
        p_value=sign_test(wins, len(decided)) if decided else 1.0,
    )


def _summary(name: str, bots: Sequence[BotResult]) -> BotSummary:
    pnl = [float(bot.pnl) for bot in bots]
    ahead = sum(each > 0 for each in pnl)
    low, high = share_interval(ahead, len(pnl))
    return BotSummary(
        name=name,
        pnl=mean_interval(pnl),
        sharpe=_known([bot.sharpe for bot in bots]),
        max_drawdown=mean_interval([bot.max_drawdown for bot in bots]),
        hit_rate=_known([bot.hit_rate for bot in bots]),
        fills=mean_interval([float(bot.fills) for bot in bots]),
        ahead=ahead / len(pnl),
        ahead_low=low,
        ahead_high=high,
    )


def _known(values: Sequence[float | None]) -> Estimate | None:
    known = [value for value in values if value is not None]
    return mean_interval(known) if known else None
