"""Builders: each fills in whatever its test is not about."""

from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

from market.events import BookUpdate, Fact, Snapshot, SourceState, State, Tick, Trade
from market.filter import Filter
from market.hub import Hub, Log
from market.values import Instrument, Side, Symbol

NOON = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)
EPOCH = "0badcafe"
KINDS = ("tick", "trade", "book", "source")


def a_tick(symbol: str = "BTC", seq: int = 1, price: str = "70400", volume: str = "0.5") -> Tick:
    return Tick(
        symbol=Symbol(symbol),
        price=Decimal(price),
        volume=Decimal(volume),
        time=NOON + timedelta(milliseconds=seq),
        seq=seq,
    )


def a_trade(symbol: str = "BTC", trade_id: int = 1) -> Trade:
    return Trade(
        symbol=Symbol(symbol),
        price=Decimal(70400),
        quantity=Decimal("0.00001"),
        side=Side.BUY,
        trade_id=trade_id,
        time=NOON,
    )


def a_book(symbol: str = "BTC") -> BookUpdate:
    level = (Decimal(70400), Decimal("0.5"))
    return BookUpdate(symbol=Symbol(symbol), bids=(level,), asks=(level,), time=NOON)


def a_source_state(symbol: str = "BTC", state: State = State.UP) -> SourceState:
    return SourceState(symbol=Symbol(symbol), state=state, since=NOON)


def an_instrument(
    symbol: str = "TCS", tick_size: str = "0.01", lot_size: str = "0.00001"
) -> Instrument:
    return Instrument(
        symbol=Symbol(symbol),
        name=symbol.title(),
        tick_size=Decimal(tick_size),
        lot_size=Decimal(lot_size),
    )


def a_snapshot(_: Filter, event_id: str) -> Snapshot:
    return Snapshot(id=event_id, ticks=())


def a_hub(
    *,
    epoch: str = EPOCH,
    history: int = 1000,
    snapshot: Callable[[Filter, str], Fact] | None = a_snapshot,
    log: Log | None = None,
) -> Hub:
    return Hub(
        epoch=epoch,
        history=history,
        kinds=KINDS,
        default_kinds=("tick", "source"),
        snapshot=snapshot,
        log=log,
        rng=Random(1),
    )


class Market:
    """Publishes ticks whose ``seq`` is dense per symbol, as the exchange does."""

    def __init__(self, hub: Hub, symbols: Iterable[str] = ("BTC", "TCS", "META")) -> None:
        self.hub, self.symbols = hub, tuple(symbols)
        self.ticks: list[Tick] = []
        self._seqs = dict.fromkeys(self.symbols, 0)

    def tick(self, symbol: str = "BTC") -> Tick:
        self._seqs[symbol] += 1
        made = a_tick(symbol, self._seqs[symbol])
        self.hub.publish(made)
        self.ticks.append(made)
        return made

    def run(self, count: int, rng: Random | None = None) -> None:
        for n in range(count):
            self.tick(rng.choice(self.symbols) if rng else self.symbols[n % len(self.symbols)])

    def numbers(self, subjects: Collection[str] | None = None) -> set[int]:
        """Return the numbers of the ticks of these symbols; all events of the hub are ticks."""
        wanted = self.symbols if subjects is None else subjects
        return {n for n, tick in enumerate(self.ticks, start=1) if tick.symbol in wanted}
