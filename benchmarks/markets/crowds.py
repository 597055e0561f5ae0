"""The peers that have an order book and agents: ten agents without a thought in each.

In PAMS a runner steps through time, asks each agent for its orders, hands them one by one to the
market, which matches by price and time and books cash and positions, and tells agents and events
what became of each; all of it is Python. Its runner draws the order of the agents at each step;
here they have the order of their numbers, so that the same orders come in the same sequence as to
ours. bourse has its order book in Rust, draws a sequence of its own, and keeps no accounts.
"""

from hashlib import sha256
from importlib import import_module
from random import Random
from time import process_time
from typing import Any, TypeVar

from benchmarks.markets.work import AGENTS, AMOUNT, CASH, MOST_RESTING, Dice, Figures, prices

T = TypeVar("T")


class InOrder(Random):
    """A generator that draws everything in the order in which it is."""

    def sample(self, population: Any, k: int, *, counts: Any = None) -> list[Any]:
        """Return the first ``k``."""
        del counts
        return list(population)[:k]


def pams(steps: int, *, logged: bool = False) -> Figures:
    """Run the ten agents in PAMS; ``logged`` hashes a line of each order, cancel and trade."""
    agents: Any = import_module("pams.agents")
    ordering: Any = import_module("pams.order")
    runners: Any = import_module("pams.runners")
    path, counts = prices(steps), [0, 0, 0]

    class Zero(agents.Agent):  # type: ignore[misc]
        def setup(self, *args: Any, **kwargs: Any) -> None:
            super().setup(*args, **kwargs)
            self.dice = Dice(self.agent_id)
            self.mine: list[Any] = []

        def submit_orders(self, markets: Any) -> list[Any]:
            market, found = markets[0], []
            self.mine = [order for order in self.mine if order.volume]
            if len(self.mine) >= MOST_RESTING:
                found.append(ordering.Cancel(self.mine.pop(0)))
                counts[1] += 1
            order = ordering.Order(
                agent_id=self.agent_id,
                market_id=market.market_id,
                is_buy=self.dice.buys,
                kind=ordering.LIMIT_ORDER,
                volume=AMOUNT,
                price=self.dice.limit(path[market.get_time()]),
            )
            self.mine.append(order)
            found.append(order)
            counts[0] += 1
            return found

        def executed_order(self, log: Any) -> None:
            counts[2] += log.buy_agent_id == self.agent_id

    runner = runners.SequentialRunner(
        settings=_settings(steps), prng=InOrder(7), logger=_logger() if logged else None
    )
    runner.class_register(Zero)
    runner._setup()  # noqa: SLF001 - as its main() does first, which is not what is measured
    begin = process_time()
    runner._run()  # noqa: SLF001
    return Figures(process_time() - begin, steps, *counts)


def _settings(steps: int) -> dict[str, Any]:
    session = {
        "sessionName": 0,
        "iterationSteps": steps,
        "withOrderPlacement": True,
        "withOrderExecution": True,
        "withPrint": False,
        "maxNormalOrders": AGENTS,
        "maxHighFrequencyOrders": 0,
    }
    crowd = {"class": "Zero", "numAgents": AGENTS, "markets": ["Market"]}
    return {
        "simulation": {"markets": ["Market"], "agents": ["Crowd"], "sessions": [session]},
        "Market": {"class": "Market", "tickSize": 1.0, "marketPrice": 10_000},
        "Crowd": crowd | {"assetVolume": 0, "cashAmount": CASH},
    }


def _logger() -> Any:
    """Return a logger that keeps a hash over lines, as our event log does, encoded as fast."""
    logs: Any = import_module("pams.logs.base")
    encode = import_module("msgspec").json.encode
    told = (logs.OrderLog, logs.CancelLog, logs.ExecutionLog)

    class Hashing(logs.Logger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.hash = sha256()

        def process(self, logs: Any) -> None:
            for log in logs:
                if isinstance(log, told):
                    line = b"%b %b\n" % (type(log).__name__.encode(), encode(vars(log)))
                    self.hash.update(line)

    return Hashing()


def bourse(steps: int) -> Figures:
    """Run the ten agents in bourse."""
    market: Any = import_module("bourse.core").StepEnv(7, 0, 1, 1_000_000)
    dice = [Dice(number) for number in range(AGENTS)]
    mine: list[list[int]] = [[] for _ in range(AGENTS)]
    path, placed, withdrawn, active = prices(steps), 0, 0, 1
    begin = process_time()
    for price in path:
        for number, die in enumerate(dice):
            own = mine[number] = [o for o in mine[number] if market.order_status(o) == active]
            if len(own) >= MOST_RESTING:
                market.cancel_order(own.pop(0))
                withdrawn += 1
            limit = die.limit(price)
            own.append(market.place_order(die.buys, AMOUNT, number, price=limit))
            placed += 1
        market.step()
    seconds = process_time() - begin
    return Figures(seconds, steps, placed, withdrawn, len(market.get_trades()))
