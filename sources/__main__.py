"""A source as a process: ``python -m sources SYMBOL``, ``replay`` or ``facts``."""

import asyncio
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Final

import structlog

from market.errors import InvalidValueError, MarketError, SettingsError
from market.logs import configure_from
from market.server import serve
from market.settings import Environment, environment, symbols
from market.values import Symbol, symbol
from sources.app import create_app, dues, live, process_prices, real, recorded
from sources.binance import BinanceSettings
from sources.command import facts_parser, live_parser, replay_parser
from sources.facts import Series, log_returns
from sources.facts_report import draw, table
from sources.processes import create_process, generator
from sources.recording import BadRowError, Columns, RecordingError, Row, heading, rows
from sources.replay import Speed, replayed
from sources.settings import BINANCE, Settings, SourceSettings, process_name
from sources.source import Source

START: Final = 70_400.0  # of a process that no symbol gives a start
MOST_STEPS: Final = 10_000_000

log = structlog.get_logger("sources")


def run_live(env: Environment, asked: Namespace) -> int:
    """Stream a symbol's live prices until the process is asked to end."""
    of = _symbol(asked.symbol)
    if of in symbols(env) and process_name(env, of) == BINANCE:
        return run_real(env, of)
    settings = Settings.from_env(env, of)
    configure_from(env, f"source-{asked.symbol.lower()}")
    return _run(live(settings, on_failure=_stop), settings.source, failed=1)


def run_real(env: Environment, of: Symbol) -> int:
    """Stream a symbol's prices of a real market until the process is asked to end."""
    settings = BinanceSettings.from_env(env, of)
    configure_from(env, f"source-{of.lower()}")
    return _run(real(settings, on_failure=_stop), settings.source, failed=1)


def run_replay(env: Environment, asked: Namespace) -> int:
    """Stream a recording, and its end, until the process is asked to end."""
    settings = SourceSettings.from_env(env, _symbol(asked.symbol))
    if asked.port is not None:
        server = replace(settings.server, port=asked.port, port_setting="--port")
        settings = replace(settings, server=server)
    configure_from(env, f"source-{asked.symbol.lower()}")
    speed = Speed(factor=asked.speed, interval_s=asked.interval)
    plan = replayed(_rows(asked, settings), settings.instrument, speed, datetime.now(UTC))
    source = recorded(settings, plan, waits=asked.wait, on_failure=_stop)
    return _run(source, settings, failed=2)


def run_facts(env: Environment, asked: Namespace) -> int:
    """Print the gates of a series of prices, and draw it when asked to."""
    series = _series(env, asked)
    found = table(series.gates())
    sys.stdout.write(f"{series.title}: {len(series.prices) - 1} returns\n{found}")
    if asked.plot is not None:
        draw(log_returns(series.prices), series.title, asked.plot)
        sys.stdout.write(f"drawn in {asked.plot}\n")
    return 0


COMMANDS: Final[
    dict[str, tuple[Callable[[], ArgumentParser], Callable[[Environment, Namespace], int]]]
] = {
    "replay": (replay_parser, run_replay),
    "facts": (facts_parser, run_facts),
}


def main(arguments: Sequence[str] | None = None, env: Environment | None = None) -> int:
    """Do what the command line asks for; return 2 when it, a setting or a recording is wrong."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    word = given[0] if given else ""
    parser, run = COMMANDS.get(word, (live_parser, run_live))
    asked = parser().parse_args(given[1:] if word in COMMANDS else given)
    try:
        return run(env or environment(), asked)
    except MarketError as error:
        sys.stderr.write(f"sources: {error}\n")
        return 2


def _run(source: Source, settings: SourceSettings, *, failed: int) -> int:
    app = create_app(source, settings.stream, cors_origins=settings.cors_origins)
    server = settings.server
    log.info("starting", symbol=source.symbol, url=f"http://{server.host}:{server.port}/stream")
    try:
        asyncio.run(serve(app, server, source.hub.close))
    except MarketError as error:
        log.error("not_started", problem=str(error))
        return 1
    if source.failure is not None:
        sys.stderr.write(f"sources: {source.failure}\n")
        return failed
    return 0


def _stop() -> None:
    """Ask the server of this process to end, as a supervisor would."""
    signal.raise_signal(signal.SIGTERM)


def _symbol(text: str) -> Symbol:
    try:
        return symbol(text)
    except InvalidValueError as error:
        raise SettingsError("SYMBOLS", str(error)) from error


def _rows(asked: Namespace, settings: SourceSettings) -> Iterator[Row]:
    """Return the rows to replay; the first is read now, so that a wrong file is never served."""
    found = rows(
        asked.file,
        _columns(asked),
        lowest=settings.instrument.tick_size / 2,
        on_bad=_skipped if asked.skip_bad else None,
    )
    first = next(found, None)
    if first is None:
        raise RecordingError(asked.file, "has no rows")
    return chain([first], found)


def _columns(asked: Namespace) -> Columns:
    names = heading(asked.file)
    time = asked.time_column
    if time is None and asked.interval is None:
        if "timestamp" not in names:
            raise RecordingError(
                asked.file, "no column 'timestamp': give --time-column or --interval"
            )
        time = "timestamp"
    volume = asked.volume_column or ("volume" if "volume" in names else None)
    return Columns(price=asked.column, time=time, volume=volume)


def _skipped(error: BadRowError) -> None:
    log.warning("row_skipped", line=error.line, problem=error.problem)


def _series(env: Environment, asked: Namespace) -> Series:
    if asked.csv is not None:
        return _recorded(asked)
    if asked.volume_column is not None:
        raise InvalidValueError("--volume-column is a column of --csv FILE")
    if not 0 < asked.steps <= MOST_STEPS:
        raise InvalidValueError(f"--steps {asked.steps} must be 1 to {MOST_STEPS}")
    if asked.symbol is not None:
        return _of_symbol(Settings.from_env(env, _symbol(asked.symbol)), asked)
    name = asked.process or "realistic"
    process = create_process(name, lambda _, default: default)
    prices = process.prices(START, generator(asked.seed, "facts"))
    return Series(title=f"{name}, seed {asked.seed}", prices=list(islice(prices, asked.steps + 1)))


def _of_symbol(settings: Settings, asked: Namespace) -> Series:
    """Return the prices of a symbol, with the times of its ticks where they come in bursts."""
    count = asked.steps + 1
    regular = settings.arrivals is None
    return Series(
        title=f"{asked.symbol}, seed {asked.seed}",
        prices=list(islice(process_prices(settings, asked.seed), count)),
        times=None if regular else list(islice(dues(settings, asked.seed), count)),
    )


def _recorded(asked: Namespace) -> Series:
    found = list(rows(asked.csv, Columns(price=asked.column, volume=asked.volume_column)))
    return Series(
        title=f"{asked.csv.name}, {asked.column}",
        prices=[float(row.price) for row in found],
        volumes=[float(row.volume or 0) for row in found] if asked.volume_column else None,
    )


if __name__ == "__main__":
    sys.exit(main())
