"""The simulation as a command: ``python -m simulation run | sweep | backtest | play | facts``."""

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from market.errors import MarketError
from market.settings import symbols
from market.values import Symbol
from simulation.backtest import backtest_config
from simulation.command import parser
from simulation.config import RunConfig, changed, check, load, parsed
from simulation.errors import ConfigError
from simulation.event_log import EventLog
from simulation.journal import journal
from simulation.live import play_live
from simulation.price_tape import traded
from simulation.results import RunResult
from simulation.run import Simulation
from simulation.store import Store
from simulation.sweep import dask, duel, processes, quiet, seeds_of, summaries, sweep
from simulation.tables import print_failures, print_run, print_sweep
from sources.facts import log_returns
from sources.facts_report import draw, table

RESULTS: Final = Path("data/sweeps.sqlite")
NOT_LIVE: Final = ("set", "seed", "log", "journal", "report")
WIDTH: Final = 120  # of tables that go to a file
FAILED: Final = 1  # an assertion does not hold, or an agent has left
WRONG: Final = 2  # what was asked for makes no sense


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return 1 for a run that failed, 2 for a wrong question."""
    asked = parser().parse_args(arguments)
    quiet()
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    try:
        return COMMANDS[asked.command](asked, console)
    except MarketError as error:
        sys.stderr.write(f"simulation: {error}\n")
        return WRONG
    except BrokenExecutor as error:  # a process of a sweep has died; what was done is kept
        sys.stderr.write(f"simulation: {error}\n")
        return FAILED
    except OSError as error:  # a file or a cluster that is not to be had
        sys.stderr.write(f"simulation: {error}\n")
        return WRONG
    except SystemExit as error:  # only a strategy could want that
        sys.stderr.write(f"simulation: a strategy has ended the process, exit({error.code!r})\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write("simulation: stopped\n")
        return 130


def run(asked: Namespace, console: Console) -> int:
    """Run one market."""
    return _run(_config(asked), asked, console)


def run_sweep(asked: Namespace, console: Console) -> int:
    """Run a market for many seeds, those of an earlier sweep left out."""
    config, seeds = _config(asked), seeds_of(asked.seeds)
    workers = asked.processes
    if workers < 1:
        raise ConfigError("--processes is 1 or more")
    names = tuple(asked.duel.split(","))
    if len(names) != 2:
        raise ConfigError(f"--duel {asked.duel}: it is two bots, such as investor,hamster")
    Simulation(config, seeds[0], EventLog())  # what makes no sense is said before any work begins
    with Store(asked.results or RESULTS) as store:
        left = set(seeds) - store.seeds(config.digest)
        with (
            dask(asked.dask, workers) if asked.dask else processes(workers) as executor,
            _bar("seeds", len(left), is_on=not asked.quiet) as step,
        ):
            sweep(config, seeds, store, executor, in_flight=4 * workers, done=lambda _: step(1))
        wanted = set(seeds)
        results = [result for result in store.results(config.digest) if result.seed in wanted]
    there = {bot.name for result in results for bot in result.bots}
    duels = [duel(results, *names)] if there.issuperset(names) else []
    print_sweep(console, config.name, summaries(results), duels)
    print_failures(console, results)
    if asked.report is not None:
        from simulation.report import write_report  # its libraries take a second

        first = Simulation(config, seeds[0], EventLog())
        write_report(asked.report, first, first.run(), results)
    return FAILED if any(_has_failed(result) for result in results) else 0


def run_backtest(asked: Namespace, console: Console) -> int:
    """Try a strategy on recorded prices."""
    config = backtest_config(asked, _settings(asked))
    return _run(config, asked, console)


def facts(asked: Namespace, console: Console) -> int:
    """Print the stylized-fact gates of the price that is made by trading."""
    config = _config(asked)
    seed = config.seed if asked.seed is None else asked.seed
    market = symbols(config.environment)
    symbol = Symbol(asked.symbol or market[0])
    if symbol not in market:
        raise ConfigError(f"there is no {symbol}, only {', '.join(market)}")
    with _percent(config.name, is_on=not asked.quiet) as progress:
        series = traded(config, seed, symbol, progress)
    found = f"{series.title}: {len(series.prices) - 1} returns\n{table(series.gates())}"
    console.print(found, highlight=False, markup=False, soft_wrap=True)
    if asked.plot is not None:
        draw(log_returns(series.prices), series.title, asked.plot)
    return 0


def play(asked: Namespace, console: Console) -> int:
    """Play a scenario; live, it is the exchange of the settings in force that is played before."""
    if not asked.live:
        return run(asked, console)
    if given := [name for name in NOT_LIVE if getattr(asked, name) not in (None, [])]:
        raise ConfigError(f"--{given[0]} is of a simulation; with --live there is none")
    result = play_live(_config(asked), for_s=asked.for_s, say=console.print)
    print_run(console, result, 0.0)
    return FAILED if _has_failed(result) else 0


COMMANDS: Final[dict[str, Callable[[Namespace, Console], int]]] = {
    "run": run,
    "sweep": run_sweep,
    "backtest": run_backtest,
    "play": play,
    "facts": facts,
}


def _run(config: RunConfig, asked: Namespace, console: Console) -> int:
    seed = config.seed if asked.seed is None else asked.seed
    started = monotonic()
    with EventLog(asked.log) as log, journal(asked.journal, config) as keeping:
        market = Simulation(config, seed, log, keeping)
        with _percent(config.name, is_on=not asked.quiet) as progress:
            result = market.run(progress)
    print_run(console, result, monotonic() - started)
    if asked.report is not None:
        from simulation.report import write_report  # its libraries take a second

        write_report(asked.report, market, result, [result])
        console.print(f"report in {asked.report}", highlight=False)
    return FAILED if _has_failed(result) else 0


def _has_failed(result: RunResult) -> bool:
    return bool(result.failed or any(bot.failure for bot in result.bots))


def _config(asked: Namespace) -> RunConfig:
    config = parsed({}) if asked.config is None else load(asked.config)
    settings = config.settings | _settings(asked)
    config = changed(
        config, settings=settings, days=config.days if asked.days is None else asked.days
    )
    check(config, "--set")
    return config


def _settings(asked: Namespace) -> dict[str, str]:
    pairs = [text.partition("=") for text in asked.set]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise ConfigError(f"--set {wrong[0]}: it is NAME=VALUE")
    return {name: value for name, _, value in pairs}


@contextmanager
def _percent(what: str, *, is_on: bool) -> Iterator[Callable[[float], None]]:
    """Show the share that is done."""
    with _bar(what, 100, is_on=is_on) as step:
        done = [0.0]

        def progress(share: float) -> None:
            step(100 * (share - done[0]))
            done[0] = share

        yield progress


@contextmanager
def _bar(what: str, total: float, *, is_on: bool) -> Iterator[Callable[[float], None]]:
    """Show how far it is and when it will be done, on the standard error."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn() if total != 100 else TextColumn("{task.percentage:>5.1f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not is_on) as bar:
        task = bar.add_task(what, total=total)
        yield lambda by: bar.update(task, advance=by)


if __name__ == "__main__":
    sys.exit(main())
