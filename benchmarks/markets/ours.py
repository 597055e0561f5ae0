"""This project's simulation at the work: one run is measured, another is counted.

That has the same seed, hence the same facts; to count them would cost the measured one time.
"""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import process_time
from typing import Any, Final

import msgspec

from benchmarks.markets import customers, work
from benchmarks.markets.work import AGENTS, Figures
from exchange.venue_state import VenueState
from simulation.config import RunConfig, parsed
from simulation.event_log import EventLog
from simulation.journal import journal
from simulation.run import Simulation

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
SEED: Final = 7
NO_HOUSE: Final = {"HOUSE_LEVELS": 0}
KINDS: Final = ("investor", "hamster", "noise", "market-maker")


@dataclass(frozen=True, slots=True)
class Count:
    """What happened in a run.

    Attributes:
        facts: how many of each kind.
        placed: orders that agents have sent.
        quoted: ids that the house has given out.
        standing: quotes of the house that rest at the end.
        positions: what each account holds at the end.
    """

    facts: Mapping[str, int]
    placed: int
    quoted: int
    standing: int
    positions: Mapping[str, int]

    def figures(self, seconds: float, *, house: bool) -> Figures:
        """Return the figures, with the orders of the ``house`` or without.

        Whoever withdraws an order that has just traded has entered a withdrawal all the same. Of
        the house's orders nobody may have taken a whole one, nor the house anybody's: more would
        count as withdrawn than were.
        """
        facts = self.facts
        answered = facts["order_accepted"] + facts["order_rejected"] + facts["order_cancelled"]
        placed, withdrawn = self.placed, answered - self.placed
        if house:
            placed += self.quoted
            withdrawn += self.quoted - self.standing
        return Figures(seconds, facts["tick"], placed, withdrawn, facts["trade"])


def counted(config: RunConfig) -> Count:
    """Return what happens in a run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.log"
        with EventLog(path) as log:
            market = Simulation(config, SEED, log)
            result = market.run()
        with path.open("rb") as lines:
            facts = Counter(line.partition(b" ")[0].decode() for line in lines)
    state = msgspec.json.decode(market.floor.venue.snapshot(), type=VenueState)
    standing = sum(order.id < 0 for pit in state.engine.pits for order in pit.orders)
    held = {bot.name: sum(map(int, bot.positions.values())) for bot in result.bots}
    return Count(facts, result.orders, -state.engine.house_id, standing, held)


def timed(config: RunConfig, *, journaled: bool = False) -> float:
    """Return the seconds that a run takes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite" if journaled else None
        with EventLog() as log, journal(path, config) as keeping:
            market = Simulation(config, SEED, log, keeping)
            begin = process_time()
            market.run()
            return process_time() - begin


def day(hours: float, *, ten: bool, journaled: bool = False, risk: bool = True) -> Figures:
    """Run the default market, or that with ten bots; the house's quotes are not counted."""
    bots = {f"bot-{n}": {"strategy": KINDS[n % len(KINDS)]} for n in range(AGENTS)}
    table: dict[str, Any] = {"days": hours / 24, "risk": {"on": risk}}
    config = parsed(table | {"agents": bots} if ten else table)
    return counted(config).figures(timed(config, journaled=journaled), house=False)


def turns(ticks: int, *, journaled: bool = False, risk: bool = False) -> Figures:
    """Run the turns; of the orders only the strategy's are counted, though the house quotes."""
    return _recorded(ticks, _turner(), {}, house=False, journaled=journaled, risk=risk)


def quotes(ticks: int, *, journaled: bool = False) -> Figures:
    """Run the turns in a market where the house quotes."""
    return _recorded(ticks, _turner(), {}, house=True, journaled=journaled)


def quotes_of_a_bot(ticks: int) -> Figures:
    """Run the turns in a market where a bot quotes, over the same desk as everyone."""
    quoter = _agent("Quoter", ticks=ticks)
    return _recorded(ticks, {"quoter": quoter} | _turner(), NO_HOUSE, house=False)


def orders(ticks: int, *, journaled: bool = False) -> Figures:
    """Run the ten agents, the house off."""
    return _recorded(ticks, crowd(), NO_HOUSE, house=False, journaled=journaled)


def _turner() -> dict[str, Any]:
    return {"turner": _agent("Turner")}


def crowd() -> dict[str, Any]:
    """Return the ten agents."""
    return {f"zero-{n}": _agent("Zero", number=n) for n in range(AGENTS)}


def _agent(strategy: str, **given: object) -> dict[str, Any]:
    return {
        "strategy": f"{customers.__file__}:{strategy}",
        "events": ["tick"],
        "starting_cash": work.CASH,
        "short_selling": True,
        "with": given,
    }


def _recorded(
    ticks: int,
    agents: Mapping[str, Any],
    settings: Mapping[str, object],
    *,
    house: bool,
    journaled: bool = False,
    risk: bool = False,
) -> Figures:
    """Run agents on the prices, as recorded."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prices.csv"
        config = recorded(path, work.prices(ticks), agents, settings, risk=risk)
        return counted(config).figures(timed(config, journaled=journaled), house=house)


def recorded(
    path: Path,
    path_of_price: Sequence[int],
    agents: Mapping[str, Any],
    settings: Mapping[str, object],
    *,
    risk: bool = False,
) -> RunConfig:
    """Return a run on prices in ticks, which are written to a file for it."""
    lines = ["timestamp,price"]
    for number, price in enumerate(path_of_price):
        lines.append(f"{(BEGIN + timedelta(seconds=number)).isoformat()},{price * work.STEP:.2f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return parsed(
        {
            "days": len(path_of_price) / 86_400,
            "start": BEGIN.isoformat(),
            "sample_s": 60.0,
            "settings": {"SYMBOLS": "TCS", "PORTFOLIO": "TCS:1", **settings},
            "recordings": {"TCS": {"file": str(path)}},
            "risk": {"on": risk},
            "agents": dict(agents),
        }
    )
