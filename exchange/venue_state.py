"""The state of a venue as a snapshot keeps it."""

from datetime import datetime
from decimal import Decimal
from hashlib import sha256

from msgspec import Struct, structs

from exchange.commands import Charter
from exchange.statement import AccountState
from exchange.ticket import Ticket
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


def staying(old: Charter, new: Charter) -> frozenset[Symbol]:
    """Return the symbols that trade on the same grid under both charters."""
    return frozenset(symbol for symbol, *_ in _grids(old) & _grids(new))


def _grids(charter: Charter) -> set[tuple[Symbol, Decimal, Decimal]]:
    return {(of.symbol, of.tick_size, of.lot_size) for of in charter.instruments}


def adapted(old: EngineState, new: EngineState, symbols: frozenset[Symbol]) -> EngineState:
    """Return ``new``, an unused engine's, with the customers' orders of the symbols that stay.

    The house quotes again under its new rules, at the next price of the source.
    """
    kept = {
        pit.symbol: structs.replace(pit, orders=tuple(o for o in pit.orders if o.id >= 0))
        for pit in old.pits
        if pit.symbol in symbols
    }
    return structs.replace(old, pits=tuple(kept.get(pit.symbol, pit) for pit in new.pits))


def digest(snapshot: bytes) -> str:
    """Return the state hash of a snapshot."""
    return sha256(snapshot).hexdigest()
