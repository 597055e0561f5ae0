"""The matching engine against its peers from the package index: the same commands, one process.

    python benchmarks/matching.py [--quick] [--peers FOLDER] [--json FILE]

The mix is 70 % limit orders, 20 % cancels of resting orders and 10 % market orders on a book of
1 000 price levels, drawn once with a fixed seed; every limit price is one of the 1 000, so about
one limit order in ten crosses. Every engine starts from plain whole numbers and builds its own
orders from them within the time that is taken. What they traded is compared trade by trade.

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
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
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

SEED: Final = 20260105
LEVELS: Final = 1_000
MIDDLE: Final = 10_000
ORDERS_A_LEVEL: Final = 4
PATIENCE_S: Final = 8.0


@dataclass(frozen=True, slots=True)
class Row:
    """One engine's result: commands/s, how many commands, how ours did on them, the same trades?"""

    engine: str
    commands: int
    per_second: float
    ours_per_second: float | None = None
    ratio: float | None = None
    trades: int = 0
    same_trades: bool | None = None


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
    begin = perf_counter()
    engine.run(mix)
    return perf_counter() - begin


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
    ours, our_trades = best(Ours, filling, mix[:count], runs)
    return Row(
        engine=name,
        commands=count,
        per_second=count / theirs,
        ours_per_second=count / ours,
        ratio=theirs / ours,
        trades=len(their_trades),
        same_trades=their_trades == our_trades,
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
    head = (
        f"{'engine':<22}{'commands':>10}{'commands/s':>13}{'ours/s':>11}{'ours is':>9}  same trades"
    )
    lines = [head, "-" * len(head)]
    for row in rows:
        ours = "" if row.ours_per_second is None else f"{row.ours_per_second:,.0f}"
        ratio = "" if row.ratio is None else f"{row.ratio:.1f} x"
        same = {None: "", True: f"yes, {row.trades:,}", False: "NO"}[row.same_trades]
        lines.append(
            f"{row.engine:<22}{row.commands:>10,}{row.per_second:>13,.0f}{ours:>11}{ratio:>9}  {same}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run everything; print a table, and the same as JSON."""
    parser = argparse.ArgumentParser(description="The matching engine against its peers.")
    parser.add_argument("--quick", action="store_true", help="fewer commands, one run each")
    parser.add_argument("--peers", type=Path, help="folder with a folder for each peer")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args(arguments)
    count, runs = (50_000, 1) if options.quick else (300_000, 3)
    filling, mix = drawn(count)
    whole, trades = best(Ours, filling, mix, runs)
    book, book_trades = best(OurBook, filling, mix, runs)
    rows = [
        Row("sandpit", count, count / whole, trades=len(trades)),
        Row("sandpit, book alone", count, count / book, count / whole, book / whole,
            len(trades), book_trades == trades),
        *peers(options.peers, filling, mix, runs),
    ]  # fmt: skip
    print(table(rows))
    result = {"python": platform.python_version(), "rows": [asdict(row) for row in rows]}
    print(json.dumps(result))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
