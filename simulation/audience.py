"""Who hears what: facts go down in the chronicle, and to the agents that they concern."""

from collections.abc import Callable
from typing import Final

from market.events import BookUpdate, Fact, SourceState, Tick, Trade
from market.orders import OrderFact
from simulation.chronicle import Chronicle
from simulation.courier import Courier
from simulation.participant import Participant
from simulation.trading_floor import Public

Deliver = Callable[[Fact], None]

KINDS: Final[tuple[type[Fact], ...]] = (Tick, Trade, SourceState, BookUpdate)
"""What an agent may ask for; what became of its own orders it hears unasked."""


class Audience:
    """The agents, in the order in which they were seated; before that nobody hears anything.

    Attributes:
        others: hears what became of the orders of accounts that are no agent's.
    """

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle
        self.others: Callable[[OrderFact], None] = _nobody
        self._own: dict[str, Deliver] = {}
        self._hearers: dict[tuple[type[Fact], str], list[Deliver]] = {}

    def seat(self, courier: Courier, agent: Participant) -> None:
        """Let an agent hear what it has asked for from now on."""
        self._own[agent.name] = courier.deliver
        for kind in KINDS:
            if kind.kind in agent.config.events:
                for symbol in agent.symbols:
                    self._hearers.setdefault((kind, symbol), []).append(courier.deliver)

    def publish(self, fact: Public) -> None:
        """Tell a fact to everyone who has asked for its kind and symbol."""
        self._chronicle.note(fact)
        for deliver in self._hearers.get((type(fact), fact.symbol), ()):
            deliver(fact)

    def tell(self, fact: OrderFact) -> None:
        """Tell what became of an order to whose it is."""
        self._chronicle.note(fact)
        self._own.get(fact.account, self.others)(fact)

    def show(self, book: BookUpdate) -> None:
        """Show a book, which is no part of the chronicle, to those who have asked for it."""
        for deliver in self._hearers.get((BookUpdate, book.symbol), ()):
            deliver(book)


def _nobody(fact: OrderFact) -> None:
    """Hear it, and do nothing."""
