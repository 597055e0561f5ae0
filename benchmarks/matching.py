"""The matching engine against its peers from the package index: the same commands, one process.

    python benchmarks/matching.py [--quick] [--compiled] [--peers FOLDER] [--json FILE]

The mix is 70 % limit orders, 20 % cancels of resting orders and 10 % market orders on a book of
1 000 price levels, drawn once with a fixed seed; every limit price is one of the 1 000, so about
one limit order in ten crosses. Every engine starts from plain whole numbers and builds its own
orders from them within the time that is taken, which is that of one core. What they traded is
compared trade by trade.

We come twice. The *book* does the work that a peer does: it matches, finds orders by id, and keeps
a record of every trade. The *engine* around it also takes decimals, applies the rules, and answers
with facts: an acceptance, and for each trade one for the public and one for each party.
``--compiled`` measures a copy of the project whose engine went through mypyc.

Peers are pure Python, and not installed with this project. ``FOLDER`` has a folder for each, made
by ``pip install --target FOLDER/NAME NAME``; one that is missing is left out with a notice. A peer
that is too slow for the whole stream gets the longest beginning of it that it manages in about
``PATIENCE_S`` seconds, and is compared with us over the same commands.
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
from dataclasses import asdict, dataclass
from pathlib import Path
from time import process_time
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.peers.engines import (
    CANCEL,
    LIMIT,
    MARKET,
    PEERS,
    Command,
    Engine,
    OurBook,
    Ours,
    Traded,
    installed_in,
)
from exchange import pit
from exchange.compile import compile_in

SEED: Final = 20260105
LEVELS: Final = 1_000
MIDDLE: Final = 10_000
ORDERS_A_LEVEL: Final = 4
PATIENCE_S: Final = 8.0


@dataclass(frozen=True, slots=True)
class Row:
    """What a peer did in a second, and what our engine and our book did with the same commands."""

    peer: str
    commands: int
    trades: int
    same_trades: bool
    peer_per_second: float
    engine_per_second: float
    book_per_second: float

    @property
    def engine_ratio(self) -> float:
        """How many times as fast our engine is."""
        return self.engine_per_second / self.peer_per_second

    @property
    def book_ratio(self) -> float:
        """How many times as fast our book is."""
        return self.book_per_second / self.peer_per_second


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


def timed(engine: Engine, filling: Sequence[Command], mix: Sequence[Command]) -> float:
    """Return how many seconds ``engine`` takes for the mix, on a filled book."""
    engine.run(filling)
    gc.collect()
    begin = process_time()
    engine.run(mix)
    return process_time() - begin


def best(
    make: Callable[[], Engine], filling: Sequence[Command], mix: Sequence[Command], runs: int
) -> tuple[float, list[Traded]]:
    """Return the shortest time of several runs, and the trades."""
    seconds = []
    trades: list[Traded] = []
    for _ in range(runs):
        engine = make()
        seconds.append(timed(engine, filling, mix))
        trades = engine.trades()
    return min(seconds), trades


def manageable(
    make: Callable[[], Engine], filling: Sequence[Command], mix: Sequence[Command]
) -> int:
    """Return how many commands an engine manages within our patience: all, or fewer."""
    count = 1_000
    seconds = timed(make(), filling, mix[:count])
    while seconds < PATIENCE_S / 8 and count < len(mix):
        count = min(len(mix), count * 4)
        seconds = timed(make(), filling, mix[:count])
    return min(len(mix), int(count * min(4.0, PATIENCE_S / seconds)))


def against(
    name: str,
    make: Callable[[], Engine],
    filling: Sequence[Command],
    mix: Sequence[Command],
    runs: int,
) -> Row:
    """Measure a peer and, over the same commands, us."""
    count = manageable(make, filling, mix)
    theirs, their_trades = best(make, filling, mix[:count], runs)
    engine, engine_trades = best(Ours, filling, mix[:count], runs)
    book, book_trades = best(OurBook, filling, mix[:count], runs)
    return Row(
        peer=name,
        commands=count,
        trades=len(their_trades),
        same_trades=their_trades == engine_trades == book_trades,
        peer_per_second=count / theirs,
        engine_per_second=count / engine,
        book_per_second=count / book,
    )


def peers(
    folder: Path | None, filling: Sequence[Command], mix: Sequence[Command], runs: int
) -> list[Row]:
    """Measure every peer that is installed; say which is not."""
    rows = []
    for name, make in PEERS.items():
        with installed_in(None if folder is None else folder / name):
            try:
                make()
            except ImportError as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
                continue
            rows.append(against(name, make, filling, mix, runs))
    return rows


def table(rows: Sequence[Row]) -> str:
    """Return the results as a person reads them."""
    widths = "{:<20}{:>9}{:>11}{:>11}{:>9}{:>11}{:>10}  {}"
    names = ("commands/s", "commands", "peer", "engine", "", "book", "", "same trades")
    lines = [widths.format(*names)]
    for row in rows:
        same = f"yes, all {row.trades:,}" if row.same_trades else "NO"
        peer, engine, book = row.peer_per_second, row.engine_per_second, row.book_per_second
        ratios = f"{row.engine_ratio:.1f} x", f"{row.book_ratio:.1f} x"
        rates = f"{peer:,.0f}", f"{engine:,.0f}", ratios[0], f"{book:,.0f}", ratios[1]
        lines.append(widths.format(row.peer, f"{row.commands:,}", *rates, same))
    return "\n".join(lines)


def recompiled(arguments: Sequence[str]) -> int:
    """Run this benchmark on a compiled copy of the project; return how it ended."""
    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as copy:
        for package in ("benchmarks", "exchange", "market"):
            shutil.copytree(root / package, Path(copy) / package)
        compile_in(Path(copy))
        program = Path(copy) / "benchmarks" / "matching.py"
        return subprocess.run([sys.executable, str(program), *arguments], check=False).returncode


def main(arguments: Sequence[str]) -> int:
    """Run everything, print a table and the same as JSON; return 1 when trades differ."""
    parser = argparse.ArgumentParser(description="The matching engine against its peers.")
    parser.add_argument("--quick", action="store_true", help="fewer commands, one run each")
    parser.add_argument("--compiled", action="store_true", help="measure a compiled copy")
    parser.add_argument("--peers", type=Path, help="folder with a folder for each peer")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args(arguments)
    if options.compiled:
        return recompiled([argument for argument in arguments if argument != "--compiled"])
    count, runs = (50_000, 1) if options.quick else (300_000, 3)
    filling, mix = drawn(count)
    rows = [
        against("(ourselves)", OurBook, filling, mix, runs),
        *peers(options.peers, filling, mix, runs),
    ]
    print(table(rows))
    build = "compiled" if pit.__file__.endswith((".so", ".pyd")) else "pure Python"
    result = {
        "python": platform.python_version(),
        "build": build,
        "rows": [
            asdict(row) | {"engine_ratio": row.engine_ratio, "book_ratio": row.book_ratio}
            for row in rows
        ],
    }
    print(json.dumps(result))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if all(row.same_trades for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
