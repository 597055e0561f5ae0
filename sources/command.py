"""What can be asked for on the command line."""

from argparse import ArgumentParser, BooleanOptionalAction, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Final

from market.settings import port
from sources.processes import PROCESSES

USAGE: Final = """\
python -m sources SYMBOL           stream the live prices of a symbol of the settings
python -m sources replay FILE ...  stream recorded prices; `replay --help` says more
python -m sources facts ...        measure how lifelike prices are; `facts --help` says more
"""


def live_parser() -> ArgumentParser:
    """Return the parser of ``python -m sources SYMBOL``."""
    parser = ArgumentParser(
        "python -m sources", description=USAGE, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("symbol", type=str.upper, metavar="SYMBOL", help="one of SYMBOLS")
    return parser


def replay_parser() -> ArgumentParser:
    """Return the parser of ``python -m sources replay``."""
    parser = ArgumentParser(
        "python -m sources replay", description="Stream the recorded prices of a CSV file."
    )
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="CSV with a heading, plain or gzip")
    add(
        "--symbol", type=str.upper, required=True, help="one of SYMBOLS: whose grid and port to use"
    )
    add("--column", default="close", help="column of the price (%(default)s)")
    times = parser.add_mutually_exclusive_group()
    times.add_argument(
        "--time-column",
        metavar="NAME",
        help="column of the time, ISO 8601 or s, ms, us since 1970 (timestamp)",
    )
    times.add_argument(
        "--interval",
        type=float,
        metavar="S",
        help="seconds from row to row, where there are no times",
    )
    add("--volume-column", metavar="NAME", help="column of the volume (volume, if there is one)")
    add("--speed", type=float, default=1.0, help="times the recorded speed; 0: full (%(default)s)")
    add("--port", type=port, help="TCP port instead of the symbol's")
    add("--skip-bad", action="store_true", help="leave bad rows out instead of stopping at one")
    add(
        "--wait",
        action=BooleanOptionalAction,
        default=True,
        help="hold the prices until there is a reader, and never outrun it",
    )
    return parser


def facts_parser() -> ArgumentParser:
    """Return the parser of ``python -m sources facts``."""
    parser = ArgumentParser(
        "python -m sources facts",
        description="Measure a series of prices against the stylized facts of markets.",
    )
    add = parser.add_argument
    origin = parser.add_mutually_exclusive_group()
    origin.add_argument(
        "--process", choices=sorted(PROCESSES), help="a process with its default parameters"
    )
    origin.add_argument("--symbol", type=str.upper, help="a symbol's process, as in the settings")
    origin.add_argument("--csv", type=Path, metavar="FILE", help="recorded prices, plain or gzip")
    add("--column", default="close", help="column of the price in the file (%(default)s)")
    add("--volume-column", help="column of the volume in the file, for gate g6")
    add("--steps", type=int, default=100_000, help="prices to draw (%(default)s)")
    add("--seed", type=int, default=1, help="of the generator (%(default)s)")
    add("--plot", type=Path, metavar="PNG", help="also draw a picture; needs matplotlib")
    return parser
