"""What a scenario can do, and when: each event of its file is one of these."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from exchange.rules import House
from market.orders import OrderType, PlaceOrder
from market.values import Side, Symbol
from simulation.config import MOST_AGENTS, account_name, decimal
from simulation.distortion import NEVER, Distortion, Lie, Shock, Spell
from simulation.errors import ConfigError

MOST_FACTOR: Final = 1e6


class Stage(Protocol):
    """Where a scenario is played: in a simulation, or before a live exchange."""

    @property
    def seconds(self) -> float:
        """The seconds since the scenario began."""
        ...

    def distortion(self, symbol: str) -> Distortion:
        """Return what changes the ticks of a symbol; raise ConfigError when it is unknown."""
        ...

    def order(self, order: PlaceOrder, terms: Mapping[str, object]) -> None:
        """Place an order for an account that opens on these terms."""
        ...

    def lose(self, symbol: str) -> None:
        """Break the line to a source."""
        ...

    def find(self, symbol: str) -> None:
        """Mend the line to a source."""
        ...

    def halt(self, symbol: str) -> None:
        """Stop the trading of an instrument."""
        ...

    def resume(self, symbol: str) -> None:
        """Open an instrument to trading again."""
        ...

    def thin(self, quantity: Decimal | None, levels: int | None) -> None:
        """Have the house quote less; as before without arguments."""
        ...

    def later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Do something after a while."""
        ...


class Event(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    """Something that happens ``at_s`` seconds from the start, or at a ``tick`` of its symbol."""

    at_s: float | None = None
    tick: int | None = None
    symbol: str = ""

    def __post_init__(self) -> None:
        if (self.at_s is None) == (self.tick is None):
            raise ValueError("an event has either at_s or tick")
        if self.tick is not None and (self.tick < 1 or not self.symbol):
            raise ValueError("a tick is 1 or more, and of a symbol")
        if self.at_s is not None and not 0 <= self.at_s <= 1e10:
            raise ValueError("at_s is 0 or more")
        if not self.symbol and self.needs_symbol:
            raise ValueError("symbol is missing")
        self._check_numbers()

    def _check_numbers(self) -> None:
        for name in ("quantity", "price"):
            if (value := getattr(self, name, None)) is not None and decimal(name, value) <= 0:
                raise ValueError(f"{name} is above 0")
        for name in ("starting_cash", "for_s", "over_s", "hold_s", "recover_s"):
            if decimal(name, getattr(self, name, None) or 0) < 0:
                raise ValueError(f"{name} is 0 or more")

    @property
    def needs_symbol(self) -> bool:
        """Whether it happens to one instrument."""
        return True

    @property
    def accounts(self) -> tuple[str, ...]:
        """The accounts that it trades for."""
        return ()

    def perform(self, stage: Stage) -> None:
        """Do it, on ``stage``; each kind of event has its own way."""
        raise TypeError(f"an event without an action: {stage}")


class _Lasting(Event, frozen=True, kw_only=True):
    for_s: float | None = None

    def _spell(self, stage: Stage, factor: float = 1.0, lie: Lie | None = None) -> Spell:
        now = stage.seconds
        end = NEVER if self.for_s is None else now + self.for_s
        return Spell(start=now, end=end, factor=factor, lie=lie)

    def _afterwards(self, stage: Stage, action: Callable[[], None]) -> None:
        if self.for_s is not None:
            stage.later(self.for_s, action)


class PriceShock(Event, frozen=True, kw_only=True, tag="shock"):
    """The price moves by a share of itself, and may recover."""

    move: float
    over_s: float = 0.0
    hold_s: float = 0.0
    recover_s: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not -1 < self.move < 1e6:
            raise ValueError("a move is above -1")

    def perform(self, stage: Stage) -> None:
        shock = Shock(
            start=stage.seconds,
            move=self.move,
            over_s=self.over_s,
            hold_s=self.hold_s,
            recover_s=self.recover_s,
        )
        stage.distortion(self.symbol).shock(shock)


class VolatilityRegime(_Lasting, frozen=True, kw_only=True, tag="volatility"):
    """Every return is ``factor`` times as large for a while."""

    factor: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.factor <= MOST_FACTOR:
            raise ValueError(f"factor is 0 to {MOST_FACTOR:g}")

    def perform(self, stage: Stage) -> None:
        stage.distortion(self.symbol).stir(self._spell(stage, factor=self.factor))


class SourceStalls(_Lasting, frozen=True, kw_only=True, tag="stall"):
    """The source stays connected and says nothing."""

    def perform(self, stage: Stage) -> None:
        stage.distortion(self.symbol).silence(self._spell(stage))


class SourceLies(_Lasting, frozen=True, kw_only=True, tag="lie"):
    """The source tells what is not so: ``off_grid``, ``foreign``, ``stuck``, or ``far``."""

    lie: Lie = Lie.OFF_GRID
    factor: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.factor <= MOST_FACTOR:
            raise ValueError(f"factor is above 0, and {MOST_FACTOR:g} at most")

    def perform(self, stage: Stage) -> None:
        stage.distortion(self.symbol).lie(self._spell(stage, self.factor, self.lie))


class SourceDies(_Lasting, frozen=True, kw_only=True, tag="die"):
    """The source is lost, and comes back after ``for_s``, if that is given."""

    def perform(self, stage: Stage) -> None:
        stage.distortion(self.symbol).kill(self._spell(stage))
        stage.lose(self.symbol)
        self._afterwards(stage, lambda: stage.find(self.symbol))


class Halt(_Lasting, frozen=True, kw_only=True, tag="halt"):
    """The instrument is halted, and resumed after ``for_s``, if that is given."""

    def perform(self, stage: Stage) -> None:
        stage.halt(self.symbol)
        self._afterwards(stage, lambda: stage.resume(self.symbol))


class ThinBook(_Lasting, frozen=True, kw_only=True, tag="thin"):
    """The house quotes less for a while, in every instrument."""

    quantity: float | str | None = None
    levels: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.levels is not None:
            House(levels=self.levels)  # what it would refuse then is refused now

    @property
    def needs_symbol(self) -> bool:
        return False

    def perform(self, stage: Stage) -> None:
        quantity = None if self.quantity is None else Decimal(str(self.quantity))
        stage.thin(quantity, self.levels)
        self._afterwards(stage, lambda: stage.thin(None, None))


class FatFinger(Event, frozen=True, kw_only=True, tag="order"):
    """Somebody orders what nobody should: at the market, or at a limit ``price``."""

    side: Side
    quantity: float | str
    account: str = "fat-finger"
    price: float | str | None = None
    starting_cash: float | str | None = None
    short_selling: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        account_name(self.accounts[-1])

    @property
    def accounts(self) -> tuple[str, ...]:
        return (self.account,)

    def perform(self, stage: Stage) -> None:
        for account in self.accounts:
            stage.order(self.order(account), self.terms)

    def order(self, account: str) -> PlaceOrder:
        """Return the order, for an account."""
        return PlaceOrder(
            account=account,
            symbol=Symbol(self.symbol),
            side=self.side,
            quantity=Decimal(str(self.quantity)),
            type=OrderType.MARKET if self.price is None else OrderType.LIMIT,
            price=None if self.price is None else Decimal(str(self.price)),
        )

    @property
    def terms(self) -> Mapping[str, object]:
        """What its account opens with, beside what every account does."""
        found: dict[str, object] = {"short_selling": True} if self.short_selling else {}
        if self.starting_cash is not None:
            found["starting_cash"] = Decimal(str(self.starting_cash))
        return found


class News(FatFinger, frozen=True, kw_only=True, tag="news"):
    """The price jumps for good, and a herd runs after it, one order each within ``over_s``."""

    side: Side = Side.BUY
    quantity: float | str = 1
    account: str = "herd"
    move: float
    herd: int = 10
    over_s: float = 10.0

    def __post_init__(self) -> None:
        if not 1 <= self.herd <= MOST_AGENTS:
            raise ValueError(f"herd is 1 to {MOST_AGENTS}")
        super().__post_init__()
        if not -1 < self.move < 1e6:
            raise ValueError("a move is above -1")

    @property
    def accounts(self) -> tuple[str, ...]:
        digits = len(str(self.herd))
        return tuple(f"{self.account}-{n:0{digits}}" for n in range(1, self.herd + 1))

    def perform(self, stage: Stage) -> None:
        PriceShock(at_s=0.0, symbol=self.symbol, move=self.move).perform(stage)
        for number, account in enumerate(self.accounts, start=1):
            order = self.order(account)
            delay_s = self.over_s * number / self.herd
            stage.later(delay_s, lambda order=order: stage.order(order, self.terms))  # type: ignore[misc]


AnyEvent = (
    PriceShock
    | VolatilityRegime
    | SourceStalls
    | SourceLies
    | SourceDies
    | Halt
    | ThinBook
    | FatFinger
    | News
)


def events(tables: Sequence[Mapping[str, Any]]) -> tuple[AnyEvent, ...]:
    """Return the events of a scenario.

    Raises:
        ConfigError: one makes no sense; the message says which.
    """
    found = []
    for number, table in enumerate(tables, start=1):
        try:
            found.append(msgspec.convert(dict(table), AnyEvent))
        except msgspec.ValidationError as error:
            raise ConfigError(f"event {number}: {error}") from error
    return tuple(found)
