"""The matching engine against its peers from the package index: the same commands, one run.

    python benchmarks/matching.py [--quick] [--peers FOLDER] [--json FILE]

The mix is 70 % limit orders, 20 % cancels of resting orders and 10 % market orders on a book of
1 000 price levels, drawn once with a fixed seed; every limit price is one of the 1 000, so about
one limit order in ten crosses. Every contender starts from plain whole numbers and builds its own
orders from them within the time that is taken, which is that of one core; they take turns, and the
best of several turns counts. What they traded is compared trade by trade.

We come three times. The *book* does the work that a peer does: it matches, finds orders by id, and
keeps a record of every trade. The *engine* around it also applies the rules, the limits, the
trading state and self-trade prevention, on whole ticks and lots, and tells all that happens, every
acceptance, cancel, expiry and trade. *In decimals* it is as the exchange has it at its door: each
command comes in decimals and is measured first, and what happens is told in facts, an acceptance,
and for each trade one for the public and one for each party. All three come as plain Python and,
where there is a C compiler, through mypyc: a copy of the project is compiled into a temporary
folder, and its trades are compared by their digest.

Peers are pure Python, and not installed with this project. ``FOLDER`` has a folder for each, made
by ``pip install --target FOLDER/NAME NAME``; one that is missing is left out with a notice. Each
gets its cheapest way in. One that is too slow for the whole stream gets the longest beginning of it
that it manages in about ``PATIENCE_S`` seconds.
"""

import argparse
import gc
import json
import platform
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from time import process_time
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.peers.engines import (
    CANCEL,
    DOES,
    LIMIT,
    MARKET,
    OURS,
    PEERS,
    Command,
    Engine,
    OurBook,
    Traded,
    installed_in,
)
from exchange.compile import PACKAGES, compile_in

ROOT: Final = Path(__file__).resolve().parents[1]
SEED: Final = 20260105
LEVELS: Final = 1_000
MIDDLE: Final = 10_000
ORDERS_A_LEVEL: Final = 4
PATIENCE_S: Final = 8.0


@dataclass(frozen=True, slots=True)
class Row:
    """What a contender did in a second; ``digest`` is that of its trades."""

    name: str
    does: str
    commands: int
    trades: int
    digest: str
    per_second: float


class Draw:
    """Draws the stream, and follows it with a book so that every cancel finds its order."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._book = OurBook()
        self._ids = 0
        self._rested: list[Command] = []  # and perhaps gone since
        self.commands: list[Command] = []

    def fill(self) -> None:
        """Put orders on every level: half of the levels are bids, half asks."""
        for price in range(MIDDLE - LEVELS // 2, MIDDLE + LEVELS // 2):
            for _ in range(ORDERS_A_LEVEL):
                self._order(LIMIT, price < MIDDLE, price)

    def more(self, count: int) -> None:
        """Draw ``count`` commands of the mix."""
        for _ in range(count):
            chance = self._random.random()
            buy = self._random.random() < 0.5
            if chance < 0.7:
                self._order(LIMIT, buy, self._price(buy))
            elif chance < 0.9:
                self._cancel()
            else:
                self._order(MARKET, buy, 0)

    def _price(self, buy: bool) -> int:
        """Return a price on the order's own side, or, one time in ten, a little beyond."""
        offset = self._random.randint(-9 * LEVELS // 20, LEVELS // 20)
        return MIDDLE + offset if buy else MIDDLE - 1 - offset

    def _order(self, kind: int, buy: bool, price: int) -> None:
        self._ids += 1
        quantity = self._random.randint(1, 100) * (3 if kind == MARKET else 1)
        command = (kind, self._ids, buy, price, quantity)
        self._do(command)
        self._rested.append(command)

    def _cancel(self) -> None:
        while True:
            at = self._random.randrange(len(self._rested))
            command = self._rested[at]
            self._rested[at] = self._rested[-1]
            self._rested.pop()
            if self._book.has(command[1]):
                self._do((CANCEL, *command[1:]))
                return

    def _do(self, command: Command) -> None:
        self._book.run([command])
        self.commands.append(command)


def drawn(count: int) -> tuple[list[Command], list[Command]]:
    """Return the commands that fill the book, and ``count`` commands of the mix."""
    draw = Draw(SEED)
    draw.fill()
    filled = len(draw.commands)
    draw.more(count)
    return draw.commands[:filled], draw.commands[filled:]


def timed(
    engine: Engine, filling: Sequence[Command], mix: Sequence[Command]
) -> tuple[float, list[Traded]]:
    """Return how many seconds ``engine`` takes for the mix, on a filled book, and the trades."""
    engine.run(filling)
    gc.collect()
    begin = process_time()
    engine.run(mix)
    return process_time() - begin, engine.trades()


def manageable(
    make: Callable[[], Engine], filling: Sequence[Command], mix: Sequence[Command]
) -> int:
    """Return how many commands an engine manages within our patience: all, or fewer."""
    count = 1_000
    seconds, _ = timed(make(), filling, mix[:count])
    while seconds < PATIENCE_S / 8 and count < len(mix):
        count = min(len(mix), count * 4)
        seconds, _ = timed(make(), filling, mix[:count])
    return min(len(mix), int(count * min(4.0, PATIENCE_S / seconds)))


def digest(trades: Sequence[Traded]) -> str:
    """Return what is the same for the same trades only."""
    return sha256(repr(trades).encode()).hexdigest()


def measured(
    contenders: dict[str, type[Engine]],
    filling: Sequence[Command],
    mix: Sequence[Command],
    runs: int,
) -> list[Row]:
    """Measure all of them, turn by turn."""
    counts = {name: manageable(make, filling, mix) for name, make in contenders.items()}
    seconds = dict.fromkeys(contenders, float("inf"))
    traded: dict[str, list[Traded]] = {}
    for _ in range(runs):
        for name, make in contenders.items():
            taken, traded[name] = timed(make(), filling, mix[: counts[name]])
            seconds[name] = min(seconds[name], taken)
    return [
        Row(
            name=name,
            does=DOES[name],
            commands=counts[name],
            trades=len(traded[name]),
            digest=digest(traded[name]),
            per_second=counts[name] / seconds[name],
        )
        for name in contenders
    ]


def importable(folder: Path | None, stack: ExitStack) -> dict[str, type[Engine]]:
    """Return the peers that are installed; say which is not."""
    found = {}
    for name, make in PEERS.items():
        stack.enter_context(installed_in(None if folder is None else folder / name))
        try:
            make()
        except ImportError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
        else:
            found[name] = make
    return found


def compiled(arguments: Sequence[str]) -> list[Row]:
    """Measure ours in a compiled copy of the project; say so where none can be made."""
    with tempfile.TemporaryDirectory() as copy:
        for package in ("benchmarks", *PACKAGES):
            shutil.copytree(ROOT / package, Path(copy) / package)
        try:
            compile_in(Path(copy))
        except subprocess.CalledProcessError as error:
            print(f"nothing is compiled, for want of mypyc or of a C compiler: {error}",
                  file=sys.stderr)  # fmt: skip
            return []
        found = Path(copy) / "rows.json"
        program = str(Path(copy) / "benchmarks" / "matching.py")
        command = [sys.executable, program, "--ours", "--json", str(found), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        rows = [Row(**row) for row in json.loads(found.read_text())["rows"]]
    return [Row(**asdict(row) | {"name": f"{row.name}, compiled"}) for row in rows]


class Result:
    """What everyone did, in the order of the table, and what of it is the same."""

    def __init__(
        self, rows: Sequence[Row], filling: Sequence[Command], mix: Sequence[Command]
    ) -> None:
        self.rows = rows
        self._fastest = max((row.per_second for row in rows if row.name in PEERS), default=None)
        book = OurBook()
        book.run(filling)
        done, self._digests = 0, dict.fromkeys(sorted(row.commands for row in rows), "")
        for count in self._digests:
            book.run(mix[done:count])
            self._digests[count], done = digest(book.trades()), count

    def ratio(self, row: Row) -> float | None:
        """Return how many times as fast as the fastest peer it is, if there is any peer."""
        return None if self._fastest is None else row.per_second / self._fastest

    def same(self, row: Row) -> bool:
        """Whether it traded what our book trades on the same commands."""
        return row.digest == self._digests[row.commands]

    def table(self) -> str:
        """Return the results as a person reads them."""
        widths = "{:<34}{:>12}{:>16}{:>11}  {:<20}  {}"
        names = "", "commands/s", "to fastest peer", "commands", "same trades", "what it does"
        lines = [widths.format(*names)]
        for row in self.rows:
            ratio = self.ratio(row)
            against = "" if ratio is None else f"{ratio:.2f} x"
            same = f"yes, all {row.trades:,}" if self.same(row) else "NO"
            rate, count = f"{row.per_second:,.0f}", f"{row.commands:,}"
            lines.append(widths.format(row.name, rate, against, count, same, row.does))
        return "\n".join(lines)

    def plain(self) -> dict[str, object]:
        """Return the results as a program reads them."""
        rows = [
            asdict(row) | {"to_fastest_peer": self.ratio(row), "same_trades": self.same(row)}
            for row in self.rows
        ]
        return {"python": platform.python_version(), "rows": rows}


def main(arguments: Sequence[str]) -> int:
    """Run everything, print a table and the same as JSON; return 1 when trades differ."""
    parser = argparse.ArgumentParser(description="The matching engine against its peers.")
    parser.add_argument("--quick", action="store_true", help="fewer commands, one run each")
    parser.add_argument("--ours", action="store_true", help="measure us alone, as we are")
    parser.add_argument("--peers", type=Path, help="folder with a folder for each peer")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args(arguments)
    count, runs = (50_000, 1) if options.quick else (300_000, 3)
    filling, mix = drawn(count)
    with ExitStack() as stack:
        peers = {} if options.ours else importable(options.peers, stack)
        rows = measured(peers | OURS, filling, mix, runs)
    if options.ours:
        told: dict[str, object] = {"rows": [asdict(row) for row in rows]}
        agreed = True
    else:
        rows += compiled(["--quick"] if options.quick else [])
        result = Result(rows, filling, mix)
        print(result.table())
        told, agreed = result.plain(), all(result.same(row) for row in rows)
    print(json.dumps(told))
    if options.json is not None:
        options.json.write_text(json.dumps(told, indent=2) + "\n")
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
