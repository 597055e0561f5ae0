"""Whether the exchange is well."""

from msgspec import Struct

from market.events import State
from market.values import Symbol


class Health(Struct, frozen=True, kw_only=True):
    """How the exchange is: its sources, its open streams, the id of its newest event."""

    status: State
    sources: dict[Symbol, State]
    streams: int
    head: str
