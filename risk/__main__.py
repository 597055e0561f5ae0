"""The risk service as a process: ``python -m risk``, or ``python -m risk report``."""

import asyncio
import signal
import sys
from collections.abc import Sequence

import structlog

from market.errors import MarketError
from market.logs import configure_from
from market.server import serve
from market.settings import Environment, environment
from risk import audit
from risk.app import create_app, create_hub
from risk.settings import Settings

log = structlog.get_logger("risk")


def main(env: Environment | None = None, arguments: Sequence[str] = ()) -> int:
    """Do what the command line asks for; return 2 when a setting is wrong, 1 when a port is taken.

    A command line that is wrong ends the process with 2.
    """
    given = environment() if env is None else env
    return audit.main(arguments, given) if arguments else run(given)


def run(given: Environment) -> int:
    """Serve until the process is asked to end."""
    try:
        settings = Settings.from_env(given)
        settings.require_streamed()
        configure_from(given, "risk")
    except MarketError as error:
        sys.stderr.write(f"risk: {error}\n")
        return 2
    hub = create_hub(settings)
    try:
        app = create_app(settings, hub=hub, on_failure=_stop)
        asyncio.run(serve(app, settings.server, hub.close))
    except MarketError as error:
        log.error("not_started", problem=str(error))
        return 1
    return 0


def _stop() -> None:
    """Ask the server of this process to end, as a supervisor would."""
    signal.raise_signal(signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(arguments=sys.argv[1:]))
