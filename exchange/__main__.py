"""The exchange as a process: ``python -m exchange``; with a word, a command about it."""

import signal
import sys
from collections.abc import Sequence

import structlog

from exchange import export, halting, upkeep
from exchange.app import create_app
from exchange.exchange import Exchange
from exchange.settings import Settings, history_path, journal_path
from market.clock import SystemClock
from market.errors import MarketError
from market.logs import configure_from
from market.server import run_to_end, serve
from market.settings import Environment, environment

log = structlog.get_logger("exchange")


def main(arguments: Sequence[str] | None = None, env: Environment | None = None) -> int:
    """Do what the command line asks for; return 2 when it or a setting is wrong."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        env = env or environment()
        if given[:1] == ["export"]:
            return export.main(given[1:], history_path(env))
        if given[:1] in (["halt"], ["resume"]):
            return halting.main(given, env)
        return upkeep.main(given, journal_path(env)) if given else run(env)
    except MarketError as error:
        sys.stderr.write(f"exchange: {error}\n")
        return 2


def run(env: Environment) -> int:
    """Serve until the process is asked to end; return 1 when it had to end by itself."""
    settings = Settings.from_env(env)
    configure_from(env, "exchange")
    failed: list[str] = []

    def stop() -> None:
        failed.append("journal")
        signal.raise_signal(signal.SIGTERM)

    try:
        exchange = Exchange(settings, SystemClock(), on_failure=stop)
        run_to_end(serve(create_app(exchange), settings.server, exchange.leave))
    except MarketError as error:
        log.error("not_started", problem=str(error))
        return 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
