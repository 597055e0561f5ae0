"""``python -m risk``: the environment, then the service, until the process is asked to end."""

import asyncio
import signal
import sys

import structlog

from market.errors import MarketError
from market.logs import configure_from
from market.server import serve
from market.settings import Environment, environment
from risk.app import create_app, create_hub
from risk.settings import Settings

log = structlog.get_logger("risk")


def main(env: Environment | None = None) -> int:
    """Serve; return 2 when a setting is wrong, 1 when the port is taken."""
    try:
        given = env or environment()
        settings = Settings.from_env(given)
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
    sys.exit(main())
