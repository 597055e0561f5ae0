"""``python -m charts``: the environment, then the page, until the process is asked to end."""

import asyncio
import secrets
import signal
import sys

import structlog

from charts.app import create_app
from charts.board import Board
from charts.settings import Settings
from market.errors import MarketError
from market.logs import configure_from
from market.server import serve
from market.settings import Environment, environment

log = structlog.get_logger("charts")


def main(env: Environment | None = None) -> int:
    """Serve; return 2 when a setting is wrong, 1 when the port is taken."""
    try:
        given = env or environment()
        settings = Settings.from_env(given)
        configure_from(given, "charts")
    except MarketError as error:
        sys.stderr.write(f"charts: {error}\n")
        return 2
    board = Board(secrets.token_hex(4))
    app = create_app(settings, board=board, on_failure=_stop)
    try:
        asyncio.run(serve(app, settings.server, board.close))
    except MarketError as error:
        log.error("not_started", problem=str(error))
        return 1
    return 0


def _stop() -> None:
    """Ask the server of this process to end, as a supervisor would."""
    signal.raise_signal(signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
