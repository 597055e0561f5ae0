"""Histories for tests: ticks, trades, and a stream that is kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

from exchange.archive import Archive
from exchange.history_file import Batch, HistoryFile, Keeping
from market.events import BookUpdate, Candle, Tick, Trade
from market.values import Side, Symbol
from market.wire import EventId
from tests.builders import EPOCH, NOON
from tests.exchange.markets import BTC, TCS

ALL = Keeping()
FACTS = (Tick, Trade, BookUpdate, Candle)


def tick(seq: int, *, after_s: float = 0.0, price: str = "100", symbol: Symbol = BTC) -> Tick:
    return Tick(
        symbol=symbol,
        price=Decimal(price),
        volume=Decimal("0.06100"),
        time=NOON + timedelta(seconds=after_s),
        seq=seq,
    )


def trade(trade_id: int, *, after_s: float = 0.0) -> Trade:
    return Trade(
        symbol=BTC,
        price=Decimal("100.10"),
        quantity=Decimal(3),
        side=Side.SELL,
        trade_id=trade_id,
        time=NOON + timedelta(seconds=after_s),
    )


def random_ticks(count: int, *, gap_s: float = 0.4, seed: int = 1) -> list[Tick]:
    rng, after, made = Random(seed), 0.0, []
    for seq in range(1, count + 1):
        after += rng.uniform(0, 2 * gap_s)
        symbol = rng.choice((BTC, TCS))
        made.append(tick(seq, after_s=after, price=str(rng.randrange(90, 110)), symbol=symbol))
    return made


def stored(file: HistoryFile, facts: list[Tick | Trade], n: int | None = None) -> None:
    known = file.progress
    upto = n if n is not None else (known.n if known is not None else 0) + len(facts)
    file.store(Batch(facts, EventId(EPOCH, upto)))


@contextmanager
def reading(path: Path, query_s: float = 5.0) -> Iterator[Archive]:
    archive = Archive(path, query_s)
    try:
        yield archive
    finally:
        archive.close()
