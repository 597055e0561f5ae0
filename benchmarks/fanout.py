"""The stream against its peers: one load generator, one run, one machine.

    python benchmarks/fanout.py [--quick] [--json FILE] [--only NAME ...]

Each server runs alone on the first core and the load generator on the second; nchan's publisher,
which the others have inside, runs beside the load generator. A rate is *sustained* when
every reader got every event once and the 99th percentile of the latency is under 100 ms, where an
event that the publisher was late to publish counts from when it was due. The highest is looked for
in steps of a fifth, and in rounds in which all have their turn, so that a bad moment of the machine
is nobody's figure.

Our server is measured with everything on that the exchange has on: a history of 100 000 events,
metrics that are scraped every second, and two readers more than the others have, which are not
counted: one with a filter, and each drops its connection in the middle of a run and resumes. They
too must get every event of theirs once.

The load generator is the same for all. Where the latency of a modest load is measured it is
prompt: it sleeps until there is something to read. Where the limit is sought it rests for 10 ms
after a round of reads that brought little. A server that writes every event by itself has nobody to
wake then, as on a network, where that is the reader's machine's work. With prompt readers nchan's
limit is a quarter lower, and the load generator, which is busy with being woken, at 65 to 90 % of
its core instead of 25 to 50. The rest is in the latency. A figure is marked where the load
generator was busy for more than seven tenths of the time all the same, as it is with a server that
sends as many bytes as can be read; how busy the server was is printed beside it. Only the ratios of
one run are worth comparing.
"""

import argparse
import gc
import json
import os
import shutil
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.peers import nchan
from benchmarks.peers.load import SAMPLE_OF, Load, Outcome, room_for
from benchmarks.peers.pace import SYMBOLS
from benchmarks.peers.reader import LostError
from benchmarks.peers.server import Peer, Server, cores, python

MAX_P99_MS: Final = 100.0
MAX_OWN_CPU: Final = 0.70
PROBE_TURNS: Final = 2
REST_S: Final = 0.01
STEP: Final = 2**0.25
METRICS: Final = "/metrics"
GUESTS: Final = {f"?symbols={SYMBOLS[0]}": len(SYMBOLS), "?events=tick": 1}
OURS, ENDPOINT, USUAL, NCHAN = "sandpit", "sandpit, sse-starlette", "sse-starlette", "nchan"


@dataclass(frozen=True, slots=True)
class Length:
    """How long a run takes: seconds a step, and how often what is repeated."""

    climb_s: float = 1.0
    confirm_s: float = 3.0
    modest_s: float = 3.0
    rounds: int = 3
    repeats: int = 3
    tries: int = 2


QUICK: Final = Length(climb_s=0.5, confirm_s=1.0, modest_s=1.0, rounds=1, repeats=1, tries=1)


@dataclass(slots=True)
class Sustained:
    """The most deliveries/s that a server sustained, and what that cost the load generator."""

    deliveries: float = 0.0
    p99_ms: float = 0.0
    server_cpu: float = 0.0
    load_cpu: float = 0.0

    @property
    def load_bound(self) -> bool:
        """Tell whether the load generator may have been what was measured."""
        return self.load_cpu > MAX_OWN_CPU


@dataclass(slots=True)
class Modest:
    """A load that every server carries: how late, at what cost."""

    p50_us: float = 0.0
    p99_us: float = 0.0
    cpu: float = 0.0


@dataclass(slots=True)
class Figures:
    """What was measured of one peer."""

    name: str
    at_100: Sustained = field(default_factory=Sustained)
    at_1000: Sustained = field(default_factory=Sustained)
    modest_100: Modest = field(default_factory=Modest)
    modest_1000: Modest = field(default_factory=Modest)
    idle_kib: float = 0.0
    fairness_ms: float = 0.0


class Stand:
    """A server that runs and its readers, ready for orders."""

    def __init__(self, server: Server, load: Load) -> None:
        self.server, self.load = server, load

    def run(self, rate: float, seconds: float, *, sweep: bool) -> tuple[Outcome, float]:
        """Publish at ``rate`` for a while; return what the readers saw and the server's CPU."""
        count = len(SYMBOLS) * max(PROBE_TURNS, int(rate * seconds / len(SYMBOLS)))
        self.load.begin()
        self.server.order(rate, count, scheduled=sweep)
        cpu = self.server.cpu_s()
        limit = count / rate + 0.5
        sample_of, rest_s = (SAMPLE_OF, REST_S) if sweep else (1, 0.0)
        outcome = self.load.run(count, limit, sample_of=sample_of, rest_s=rest_s)
        cpu = (self.server.cpu_s() - cpu) / outcome.seconds
        if outcome.complete:
            self.server.answer()
        return outcome, cpu


@contextmanager
def stand(peer: Peer, readers: int) -> Iterator[Stand]:
    """Start a server, connect its readers, and make sure that they all hear it."""
    server = Server(peer)
    try:
        load = Load(server.port, readers, guests=peer.guests, metrics=peer.metrics)
        try:
            load.settle()
            load.begin()
            yield Stand(server, load)
        finally:
            load.close()
    finally:
        server.close()


class Search:
    """The search for the highest rate of one peer that holds, in rounds."""

    def __init__(self, peer: Peer, readers: int, length: Length) -> None:
        self._peer, self._readers, self._length = peer, readers, length
        self._standing = ExitStack()
        self._stood: Stand | None = None
        self.best = Sustained()

    def __str__(self) -> str:
        return (
            f"{self._peer.name}, {self._readers} readers: {self.best.deliveries:,.0f} deliveries/s,"
            f" p99 {self.best.p99_ms:.1f} ms"
        )

    def go_on(self) -> None:
        """Find a rate that holds; in a later round, try whether a higher one holds now."""
        with self._standing:
            if self.best.deliveries:
                self._raise(self.best.deliveries / self._readers)
            else:
                self._find(self._peer.guess[self._readers] / self._readers)
        self._stood = None

    def _find(self, rate: float) -> None:
        """Close in on the limit in short tries, then hold the highest rate that can be held."""
        while not self._holds(rate, self._length.climb_s) and rate > 1:
            rate /= STEP**4
        while self._holds(rate * STEP, self._length.climb_s):
            rate *= STEP
        self.best = Sustained()
        while not self._holds(rate, self._length.confirm_s) and rate > 1:
            rate /= STEP

    def _raise(self, rate: float) -> None:
        while self._holds(rate * STEP, self._length.confirm_s):
            rate *= STEP

    def _holds(self, rate: float, seconds: float) -> bool:
        """Try again before giving up: a machine that does other things too spoils a try."""
        return any(self._held(rate, seconds) for _ in range(self._length.tries))

    def _held(self, rate: float, seconds: float) -> bool:
        """Try a rate; where it was too much, what comes next begins with another server."""
        try:
            if self._stood is None:
                self._stood = self._standing.enter_context(stand(self._peer, self._readers))
            outcome, cpu = self._stood.run(rate, seconds, sweep=True)
        except LostError:
            return self._give_up()
        if not outcome.complete:
            return self._give_up()
        p99 = outcome.latency_ms(0.99)
        if p99 < MAX_P99_MS:
            self.best = Sustained(rate * self._readers, p99, cpu, outcome.own_cpu)
        return p99 < MAX_P99_MS

    def _give_up(self) -> bool:
        self._stood = None
        self._standing.close()
        return False


def modest(peer: Peer, readers: int, rate: float, seconds: float) -> Modest:
    """Return how a peer carries a load far from its limit."""
    with stand(peer, readers) as stood:
        stood.run(rate, 0.5, sweep=False)
        outcome, cpu = stood.run(rate, seconds, sweep=False)
    return Modest(1000 * outcome.latency_ms(0.5), 1000 * outcome.latency_ms(0.99), cpu)


def median(runs: list[Modest]) -> Modest:
    """Return the medians of some runs."""
    return Modest(
        statistics.median(run.p50_us for run in runs),
        statistics.median(run.p99_us for run in runs),
        statistics.median(run.cpu for run in runs),
    )


def idle_kib(peer: Peer, readers: int = 1000) -> float:
    """Return the memory that a reader costs which gets nothing."""
    server = Server(peer)
    try:
        first = Load(server.port, 10)
        first.settle()
        before = server.rss_kib()
        load = Load(server.port, readers)
        load.settle()
        grown = server.rss_kib() - before
        load.close()
        first.close()
    finally:
        server.close()
    return grown / readers


def fairness_ms(peer: Peer, deliveries: float, seconds: float) -> float:
    """Return how far behind the fastest of 1 000 readers the slowest ever was.

    It is infinite when a reader did not get everything, or no rate was sustained to measure it at.
    """
    if not deliveries:
        return float("inf")
    with stand(peer, 1000) as stood:
        outcome, _ = stood.run(deliveries / 1000, seconds, sweep=True)
    return 1000 * outcome.spread_s if outcome.complete else float("inf")


def everyone() -> list[Peer]:
    """Return the peers that this machine has."""
    found = [
        Peer(OURS, python("ours"), {100: 1.2e7, 1000: 1e7}, guests=GUESTS, metrics=METRICS),
        Peer(ENDPOINT, python("ours", "--endpoint"), {100: 3e6, 1000: 2e5}),
        Peer(USUAL, python("usual"), {100: 4e4, 1000: 3e4}),
    ]
    if nchan.module() is not None:
        found.append(
            Peer(NCHAN, python("nchan"), {100: 2e5, 1000: 1e5}, apart=True, metrics=METRICS)
        )
    else:
        print("nchan is left out: it needs the packages nginx and libnginx-mod-nchan")
    if node := shutil.which("node"):
        script = str(Path(__file__).with_name("peers") / "broadcaster.js")
        found.append(
            Peer("node, a write a burst", (node, script, "batched"), {100: 8e6, 1000: 4e6})
        )
        found.append(Peer("node, a write an event", (node, script, "each"), {100: 3e5, 1000: 2e5}))
    else:
        print("the broadcasters on node are left out: node is not installed")
    return found


def sustained(peers: list[Peer], readers: int, length: Length) -> list[Sustained]:
    """Return the most that each sustained; in rounds, so that a bad moment hits all alike."""
    searches = [Search(peer, readers, length) for peer in peers]
    for _ in range(length.rounds):
        for search in searches:
            search.go_on()
            print(f"  {search}", file=sys.stderr)
    return [search.best for search in searches]


def measure(peers: list[Peer], length: Length) -> list[Figures]:
    """Measure every peer."""
    table = [Figures(peer.name) for peer in peers]
    for row, of in zip(table, sustained(peers, 100, length), strict=True):
        row.at_100 = of
    for row, of in zip(table, sustained(peers, 1000, length), strict=True):
        row.at_1000 = of
    for peer, row in zip(peers, table, strict=True):
        row.idle_kib = idle_kib(peer)
        row.fairness_ms = fairness_ms(peer, row.at_1000.deliveries / 2, length.confirm_s)
    rounds = range(length.repeats)
    hundred = [[modest(peer, 100, 200, length.modest_s) for peer in peers] for _ in rounds]
    thousand = [[modest(peer, 1000, 50, length.modest_s) for peer in peers] for _ in rounds]
    for n, row in enumerate(table):
        row.modest_100 = median([one[n] for one in hundred])
        row.modest_1000 = median([one[n] for one in thousand])
    return table


HEAD: Final = (
    f"{'':24}{'max/s, 100':>14}{'p99 ms':>8}{'max/s, 1000':>14}{'p99 ms':>8}"
    f"{'100x200: p50 us':>17}{'p99 us':>8}{'CPU %':>7}{'1000x50: p99 ms':>17}"
    f"{'KiB/reader':>12}{'fairness ms':>13}"
)


def line(row: Figures) -> str:
    """Return one line of the table; ``*`` marks a figure that the load generator may limit."""
    most = "".join(
        f"{one.deliveries:>13,.0f}{'*' if one.load_bound else ' '}{one.p99_ms:>8.1f}"
        for one in (row.at_100, row.at_1000)
    )
    few = row.modest_100
    return (
        f"{row.name:24}{most}{few.p50_us:>17,.0f}{few.p99_us:>8,.0f}{100 * few.cpu:>7.0f}"
        f"{row.modest_1000.p99_us / 1000:>17.1f}{row.idle_kib:>12.1f}{row.fairness_ms:>13.1f}"
    )


def ratios(table: list[Figures]) -> dict[str, float]:
    """Return how we stand to nchan and to the usual broadcast, where they were measured."""
    by_name = {row.name: row for row in table}
    ours = by_name.get(OURS)
    found: dict[str, float] = {}
    for name in (NCHAN, USUAL):
        theirs = by_name.get(name)
        if ours is None or theirs is None or not theirs.at_100.deliveries:
            continue
        found[f"{name}: sustained, 100 readers"] = ours.at_100.deliveries / theirs.at_100.deliveries
        if theirs.at_1000.deliveries:
            found[f"{name}: sustained, 1000 readers"] = (
                ours.at_1000.deliveries / theirs.at_1000.deliveries
            )
        found[f"{name}: p50, 100x200"] = ours.modest_100.p50_us / theirs.modest_100.p50_us
        found[f"{name}: p99, 100x200"] = ours.modest_100.p99_us / theirs.modest_100.p99_us
        if theirs.modest_100.cpu:
            found[f"{name}: CPU, 100x200"] = ours.modest_100.cpu / theirs.modest_100.cpu
    return found


def report(table: list[Figures]) -> None:
    """Print the table, the ratios, and how busy the load generator was."""
    print(HEAD)
    for row in table:
        print(line(row))
    for row in table:
        for readers, of in ((100, row.at_100), (1000, row.at_1000)):
            print(
                f"  {row.name}, {readers} readers: server {of.server_cpu:.0%} of its core,"
                f" load generator {of.load_cpu:.0%}{' *' if of.load_bound else ''}"
            )
    for name, ratio in ratios(table).items():
        print(f"  {OURS} / {name}: {ratio:.2f}")


def main() -> None:
    """Read the command line, measure, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="shorter steps, less exact")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="measure these peers alone")
    chosen = parser.parse_args()
    room_for(4000)
    pinned = cores()
    if pinned is None:
        print("there is one core for all: servers and load disturb each other")
    else:
        os.sched_setaffinity(0, {pinned[1]})
    gc.disable()
    peers = [
        replace(peer, cores=pinned)
        for peer in everyone()
        if not chosen.only or peer.name in chosen.only
    ]
    table = measure(peers, QUICK if chosen.quick else Length())
    report(table)
    if chosen.json:
        result = {"peers": [asdict(row) for row in table], "ratios": ratios(table)}
        chosen.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
