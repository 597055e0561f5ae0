"""What the tests of the bots build: ticks, fills, and a strategy that is filled at the tick."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

from bots.strategy import Strategy
from market.events import Fact, Tick
from market.orders import Command, Liquidity, OrderFilled, PlaceOrder
from market.values import Instrument, Side, symbol

BTC, TCS, META = symbol("BTC"), symbol("TCS"), symbol("META")
START = datetime(2026, 1, 1, tzinfo=UTC)
INSTRUMENTS = {
    BTC: Instrument(symbol=BTC, name="Bitcoin", tick_size=Decimal(1), lot_size=Decimal("0.00001")),
    TCS: Instrument(symbol=TCS, name="Tinkoff", tick_size=Decimal("0.01"), lot_size=Decimal(1)),
}


def a_tick(price: str | Decimal, seq: int = 1, of: str = TCS) -> Tick:
    return Tick(
        symbol=symbol(of),
        price=Decimal(price),
        volume=Decimal(10),
        time=START + timedelta(seconds=seq),
        seq=seq,
    )


def ticks(*prices: str | int, of: str = TCS, first: int = 1) -> list[Tick]:
    return [a_tick(str(price), seq, of) for seq, price in enumerate(prices, first)]


def a_fill(
    side: Side,
    quantity: str | Decimal,
    price: str | Decimal,
    *,
    of: str = TCS,
    fee: str = "0",
    order_id: int = 1,
    trade_id: int = 1,
) -> OrderFilled:
    return OrderFilled(
        order_id=order_id,
        account="me",
        symbol=symbol(of),
        time=START,
        side=side,
        price=Decimal(price),
        quantity=Decimal(quantity),
        fee=Decimal(fee),
        liquidity=Liquidity.TAKER,
        trade_id=trade_id,
    )


def bought(quantity: str, price: str, of: str = TCS) -> OrderFilled:
    return a_fill(Side.BUY, quantity, price, of=of)


def sold(quantity: str, price: str, of: str = TCS) -> OrderFilled:
    return a_fill(Side.SELL, quantity, price, of=of)


def orders(strategy: Strategy, facts: Iterable[Fact]) -> list[Command]:
    """What the strategy orders on facts that nobody answers."""
    return [command for fact in facts for command in strategy.decide(fact) or ()]


def traded(strategy: Strategy, facts: Iterable[Tick]) -> list[OrderFilled]:
    """The fills of a strategy whose every market order is filled at the tick that it came from."""
    fills: list[OrderFilled] = []
    for tick in facts:
        for order in strategy.decide(tick) or ():
            assert isinstance(order, PlaceOrder)
            fill = a_fill(
                order.side, order.quantity, tick.price, of=order.symbol, trade_id=len(fills) + 1
            )
            fills.append(fill)
            assert not list(strategy.decide(fill) or ())
    return fills


def walk(rng: Random, start: str, step: str, *, most: int, length: int) -> list[Decimal]:
    """The original walk: it falls first, moves 0 to ``most`` steps, and flips 15 times in 100."""
    price, way, prices = Decimal(start), -1, list[Decimal]()
    for _ in range(length):
        price += way * rng.randint(0, most) * Decimal(step)
        prices.append(price)
        if rng.random() < 0.15:
            way = -way
    return prices
