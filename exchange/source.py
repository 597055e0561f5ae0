"""A source, as the exchange knows it."""

from dataclasses import dataclass, field

from market.events import State, Tick
from market.values import Instrument, Ruler


@dataclass(slots=True)
class Source:
    """What is known of one source: how it is, its last tick, and the faults it has had."""

    instrument: Instrument
    state: State = State.DOWN
    tick: Tick | None = None
    last_id: str = ""
    source_seq: int = 0
    heard: float = float("-inf")
    connected_at: float | None = None
    told: State | None = None
    ticks: int = 0
    faults: int = 0
    lost_ticks: int = 0
    prices: Ruler = field(init=False)
    volumes: Ruler = field(init=False)

    def __post_init__(self) -> None:
        self.prices = Ruler("price", self.instrument.tick_size)
        self.volumes = Ruler("quantity", self.instrument.lot_size)
