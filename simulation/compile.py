"""Compile what a simulation runs through to machine code, which is optional, as `exchange.compile`.

    python -m simulation.compile [FOLDER]    # compile the checkout in FOLDER (default: this one)
    python -m simulation.compile --clean     # back to plain Python

That is the exchange's core, and from the bots and the simulation what every fact and every command
passes. Strategies stay as they are written; the bytes of a run are the same.
"""

from typing import Final

from exchange.compile import MODULES as EXCHANGE
from exchange.compile import command

MODULES: Final = (
    *EXCHANGE,
    "bots/addressing.py",
    "bots/blotter.py",
    "bots/bot.py",
    "bots/resting.py",
    "exchange/merging.py",
    "market/clock.py",
    "simulation/audience.py",
    "simulation/chronicle.py",
    "simulation/courier.py",
    "simulation/event_loop.py",
    "simulation/line.py",
    "simulation/participant.py",
    "simulation/trading_floor.py",
)


def main() -> None:
    """Compile them."""
    command("what a simulation runs through", MODULES)


if __name__ == "__main__":
    main()
