"""The state of a venue as a snapshot keeps it."""

from datetime import datetime
from decimal import Decimal

from msgspec import Struct, structs

from exchange.accounts import AccountState
from exchange.blotter import Ticket
from exchange.commands import Charter
from exchange.working import EngineState
from market.values import Symbol


class VenueState(Struct, kw_only=True):
    """Everything that the answers to coming commands depend on."""

    charter: Charter
    time: datetime
    next_order_id: int
    accounts: tuple[AccountState, ...]
    marks: dict[Symbol, Decimal]
    fresh: list[Symbol]
    tickets: list[Ticket]
    closed: list[int]
    engine: EngineState


def adapted(old: EngineState, new: EngineState, staying: frozenset[Symbol]) -> EngineState:
    """Return ``new``, an unused engine's, with the customers' orders of the symbols that stay.

    The house quotes again under its new rules, at the next price of the source.
    """
    kept = {
        pit.symbol: structs.replace(pit, orders=tuple(o for o in pit.orders if o.id >= 0))
        for pit in old.pits
        if pit.symbol in staying
    }
    return structs.replace(old, pits=tuple(kept.get(pit.symbol, pit) for pit in new.pits))
