"""The command line of the simulation."""

from argparse import ArgumentParser
from pathlib import Path


def parser() -> ArgumentParser:
    """Return the parser of ``python -m simulation``."""
    made = ArgumentParser(
        prog="python -m simulation", description="The whole market in one process, on virtual time."
    )
    commands = made.add_subparsers(dest="command", required=True)
    _run(commands.add_parser("run", help="run a market, and print what became of it"))
    _sweep(commands.add_parser("sweep", help="run it for many seeds, and say how surely"))
    _backtest(commands.add_parser("backtest", help="try a strategy on recorded prices"))
    _play(commands.add_parser("play", help="play a scenario, here or before a live exchange"))
    _facts(commands.add_parser("facts", help="hold the price that traders make against real ones"))
    return made


def _facts(made: ArgumentParser) -> None:
    made.add_argument("config", type=Path, help="a TOML file, such as simulation/population.toml")
    made.add_argument("--symbol", help="whose trades; else the first of the market")
    made.add_argument("--seed", type=int, help="else as the file says")
    made.add_argument("--plot", type=Path, help="file for a picture")
    made.add_argument("--quiet", action="store_true", help="no progress bar")
    _common(made)


def _common(made: ArgumentParser) -> None:
    made.add_argument("--days", type=float, help="virtual days; else as the file says")
    made.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of .env_template",
    )


def _outputs(made: ArgumentParser) -> None:
    made.add_argument("--seed", type=int, help="of every generator; else as the file says")
    made.add_argument("--log", type=Path, help="file for the event log, a line a fact")
    made.add_argument("--journal", type=Path, help="file for the exchange's journal")
    made.add_argument("--report", type=Path, help="folder for report.html and report.png")
    made.add_argument("--quiet", action="store_true", help="no progress bar")


def _run(made: ArgumentParser) -> None:
    made.add_argument(
        "config", type=Path, nargs="?", help="a TOML file; without one, the default market"
    )
    _common(made)
    _outputs(made)


def _sweep(made: ArgumentParser) -> None:
    made.add_argument("config", type=Path, nargs="?", help="as for run")
    _common(made)
    made.add_argument("--seeds", default="1..100", help="such as 1..1000 or 1,5,7..9")
    made.add_argument("--processes", type=int, default=2, help="processes on this machine")
    made.add_argument("--dask", help="address of a Dask scheduler, or local: instead of processes")
    made.add_argument("--results", type=Path, help="SQLite file; default data/sweeps.sqlite")
    made.add_argument("--report", type=Path, help="folder for report.html and report.png")
    made.add_argument("--duel", default="investor,hamster", help="two bots that are compared")
    made.add_argument("--quiet", action="store_true", help="no progress bar")


def _backtest(made: ArgumentParser) -> None:
    made.add_argument("strategy", help="path/to/file.py:Class, or a strategy in the box")
    made.add_argument(
        "--data",
        action="append",
        required=True,
        metavar="[SYMBOL=]FILE",
        help="recorded prices, CSV; of the first symbol if none is named",
    )
    made.add_argument("--column", default="price", help="column of the price")
    made.add_argument("--time-column", help="column of the time; timestamp if it is there")
    made.add_argument("--volume-column", help="column of the volume; volume if it is there")
    made.add_argument("--interval", type=float, help="seconds a row, for prices without times")
    made.add_argument("--latency", type=float, default=0.0, help="of orders, in milliseconds")
    made.add_argument("--hearing", type=float, default=0.0, help="of prices, in milliseconds")
    made.add_argument("--amount", help="quantity that it is offered to trade at a time")
    _common(made)
    _outputs(made)


def _play(made: ArgumentParser) -> None:
    made.add_argument("config", type=Path, help="a scenario: a file, or a name of those in the box")
    _common(made)
    _outputs(made)
    made.add_argument("--live", action="store_true", help="before the exchange that runs now")
    made.add_argument("--for", dest="for_s", type=float, help="seconds to play live")
