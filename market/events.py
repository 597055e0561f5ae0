"""Frozen facts of the market: what happened, in the past tense; the stream carries them."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from msgspec import Struct

from market.values import Side, Symbol


class Fact(Struct, frozen=True, kw_only=True):
    """Whatever a stream carries; ``kind`` is its name there, in the ``event:`` line."""

    kind: ClassVar[str]

    @property
    def subject(self) -> str:
        """What a reader filters by: the symbol, where the fact is about one."""
        return getattr(self, "symbol", "")

    @property
    def topic(self) -> tuple[str, str]:
        """What a filter goes by: the kind, or a variant of it, and the subject."""
        return self.kind, self.subject


class Tick(Fact, frozen=True, kw_only=True, gc=False):
    """A price of one symbol; ``seq`` is dense per symbol, so that loss is arithmetic."""

    kind: ClassVar[str] = "tick"

    symbol: Symbol
    price: Decimal
    volume: Decimal
    time: datetime
    seq: int

    @property
    def topic(self) -> tuple[str, str]:
        """As of any fact; there are more ticks than of all others, so they go a shorter way."""
        return "tick", self.symbol


class Trade(Fact, frozen=True, kw_only=True, gc=False):
    """An execution, as everyone sees it; ``side`` is the taker's."""

    kind: ClassVar[str] = "trade"

    symbol: Symbol
    price: Decimal
    quantity: Decimal
    side: Side
    trade_id: int
    time: datetime


class BookUpdate(Fact, frozen=True, kw_only=True):
    """The best levels of a book, best first, each a price and the quantity that stands there."""

    kind: ClassVar[str] = "book"

    symbol: Symbol
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]
    time: datetime


class Candle(Fact, frozen=True, kw_only=True, omit_defaults=True):
    """What a symbol's price did in one interval; ``time`` is when that begins.

    ``trades`` counts the ticks in it. A candle comes as ``closed`` once; should a tick of its time
    arrive after that, it comes again as ``amended``.
    """

    kind: ClassVar[str] = "candle"

    symbol: Symbol
    interval: str
    time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int
    closed: bool
    amended: bool = False

    @property
    def topic(self) -> tuple[str, str]:
        """A reader asks for the candles of an interval."""
        return f"{self.kind}:{self.interval}", self.subject


class State(StrEnum):
    """How a source is: heard from, lost, or connected and silent."""

    UP = "up"
    DOWN = "down"
    STALE = "stale"


class SourceState(Fact, frozen=True, kw_only=True):
    """A source was lost, went quiet, or came back."""

    kind: ClassVar[str] = "source"

    symbol: Symbol
    state: State
    since: datetime


class Snapshot(Fact, frozen=True, kw_only=True):
    """Where everything stands at the event ``id``: the join of a new reader."""

    kind: ClassVar[str] = "snapshot"

    id: str
    ticks: tuple[Tick, ...]
    sources: dict[Symbol, State] = {}


class Gap(Fact, frozen=True, rename={"since": "from", "until": "to"}, kw_only=True):
    """The events after ``since``, up to ``until``, that this reader will never get."""

    kind: ClassVar[str] = "gap"

    since: str
    until: str
    missed: int
    reason: str


class Lagging(Fact, frozen=True, kw_only=True):
    """This reader is ``behind`` events behind; at ``limit`` it will lose some."""

    kind: ClassVar[str] = "lagging"

    behind: int
    limit: int


class Shutdown(Fact, frozen=True, kw_only=True):
    """The server is going away; come back after the ``retry`` that came with it."""

    kind: ClassVar[str] = "shutdown"

    reason: str = "stopping"
