import sqlite3
import subprocess
import sys
from concurrent.futures import Executor, Future
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from simulation.errors import ConfigError
from simulation.results import RunResult
from simulation.store import Store
from simulation.sweep import (
    Unit,
    dask,
    duel,
    processes,
    seeds_of,
    summaries,
    sweep,
    work,
)
from tests.simulation.runs import a_config


class Here(Executor):
    """Does the work at once, in this process, until it is told to break down."""

    def __init__(self, breaks_after: int = 1000) -> None:
        self.left, self.done = breaks_after, 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self.done >= self.left:
            future.set_exception(KeyboardInterrupt())
        else:
            self.done += 1
            future.set_result(fn(*args, **kwargs))
        return future


def test_seeds_are_numbers_and_ranges() -> None:
    assert seeds_of("1..3,7,2") == [1, 2, 3, 7]
    for wrong in ("", "a", "3..1", "-1", "1.5"):
        with pytest.raises(ConfigError, match="seeds"):
            seeds_of(wrong)


def test_a_sweep_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    config, path = a_config(20), tmp_path / "results.sqlite"
    with Store(path) as store, pytest.raises(KeyboardInterrupt):
        sweep(config, range(6), store, Here(breaks_after=4), in_flight=1)
    with Store(path) as store:
        assert len(store.seeds(config.digest)) == 4
        rest = Here()
        assert sweep(config, range(6), store, rest, in_flight=3) == 2
        assert rest.done == 2
        assert [result.seed for result in store.results(config.digest)] == [0, 1, 2, 3, 4, 5]
        assert sweep(config, range(6), store, rest) == 0


def test_what_goes_wrong_in_a_worker_is_told_with_its_seed(tmp_path: Path) -> None:
    config = a_config(20, agents={"investor": {"amount": "0.5"}})
    with (
        Store(tmp_path / "results.sqlite") as store,
        processes(1) as executor,
        pytest.raises(ConfigError, match=r"seed 3: agents.investor: amount"),
    ):
        sweep(config, [3], store, executor)


def test_processes_give_the_bytes_that_one_process_gives(tmp_path: Path) -> None:
    config = a_config(20)
    with Store(tmp_path / "results.sqlite") as store, processes(2) as executor:
        sweep(config, [1, 2], store, executor)
        found = {
            result.seed: msgspec.json.encode(result) for result in store.results(config.digest)
        }
    here = work(msgspec.json.encode(Unit(config=config, seed=2)))

    assert msgspec.json.decode(found[2]) == msgspec.json.decode(here)


EMPLOYER = """
import signal
from simulation.sweep import processes

with processes(1) as executor:
    executor.submit(print, "at work", flush=True)
    executor.submit(signal.pause).result()
"""


def test_a_worker_leaves_when_the_process_it_works_for_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", EMPLOYER], stdout=subprocess.PIPE) as employer:
        assert employer.stdout is not None
        assert employer.stdout.readline() == b"at work\n"
        employer.kill()
        rest, _ = employer.communicate(timeout=30)  # ends when nobody holds our pipe any more
    assert rest == b""


def test_a_unit_of_work_runs_unchanged_on_a_cluster_of_two_workers(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="the extra `sweep` is not installed")
    config = a_config(20)
    with Store(tmp_path / "results.sqlite") as store, dask("local", 2) as executor:
        assert sweep(config, [1, 2, 3], store, executor) == 3
        found = {result.seed: result for result in store.results(config.digest)}
    here = msgspec.json.decode(
        work(msgspec.json.encode(Unit(config=config, seed=3))), type=RunResult
    )

    assert found[3] == here


def test_bots_are_compared_in_the_same_runs() -> None:
    results = [
        msgspec.json.decode(
            work(msgspec.json.encode(Unit(config=a_config(120), seed=s))), type=RunResult
        )
        for s in range(4)
    ]
    found = {each.name: each for each in summaries(results)}
    fight = duel(results, "investor", "hamster")

    assert found["investor"].pnl.n == 4
    mean = found["investor"].pnl.mean - found["hamster"].pnl.mean
    assert fight.difference.mean == pytest.approx(mean)
    assert fight.wins <= fight.n <= 4
    with pytest.raises(ConfigError, match="nobody"):
        duel(results, "investor", "nobody")


def test_a_file_that_is_no_store_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    path.write_text("not a database, but long enough to look like one at least" * 20)

    with pytest.raises(ConfigError, match="not a database"):
        Store(path)


def test_a_spoiled_result_is_said_with_its_seed(tmp_path: Path) -> None:
    config = a_config(2, agents={})
    with Store(tmp_path / "results.sqlite") as store:
        sweep(config, [1, 2], store, Here())
    with closing(sqlite3.connect(tmp_path / "results.sqlite")) as connection, connection:
        connection.execute("UPDATE runs SET result = '{broken' WHERE seed = 2")
    with (
        Store(tmp_path / "results.sqlite") as store,
        pytest.raises(ConfigError, match="the result of seed 2 is spoiled"),
    ):
        list(store.results(config.digest))
