"""A small exchange for tests, and random orders for it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

from exchange.commands import (
    AnyCommand,
    CancelOrders,
    Charter,
    ConfigureAccount,
    LoseReference,
    MoveReference,
    OpenVenue,
)
from exchange.rules import House, Rules
from exchange.venue import Outcome, Venue
from market.orders import (
    AmendOrder,
    CancelOrder,
    OrderType,
    PlaceOrder,
    SelfTradePrevention,
    TimeInForce,
)
from market.values import Instrument, Side, Symbol

BTC, TCS = Symbol("BTC"), Symbol("TCS")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
INSTRUMENTS = (
    Instrument(symbol=BTC, name="Bitcoin", tick_size=Decimal(1), lot_size=Decimal("0.001")),
    Instrument(symbol=TCS, name="Tinkoff", tick_size=Decimal("0.01"), lot_size=Decimal(1)),
)
FEES = Rules(maker_fee_bps=Decimal("-0.5"), taker_fee_bps=Decimal("7.3"))
HOUSE = House(levels=3, spread_ticks=2, quantity=Decimal(5))


def a_charter(
    rules: Rules = FEES, *, sourced: tuple[Symbol, ...] = (), kept: int = 1000
) -> Charter:
    return Charter(
        instruments=INSTRUMENTS,
        rules=rules,
        sourced=sourced,
        starting_cash=Decimal(10_000),
        orders_kept=kept,
    )


class Trading:
    """A venue and its time: each command comes a second after the one before."""

    def __init__(self, charter: Charter | None = None, venue: Venue | None = None) -> None:
        self.venue = venue or Venue()
        self.time = NOON
        if venue is None:
            self.do(OpenVenue(charter=charter or a_charter()))

    def do(self, command: AnyCommand) -> Outcome:
        self.time += timedelta(seconds=1)
        return self.venue.handle(command, self.time)

    def market(self, account: str, side: str, quantity: str, **more: object) -> Outcome:
        return self.do(an_order(account, side, quantity, None, **more))

    def limit(self, account: str, side: str, quantity: str, price: str, **more: object) -> Outcome:
        return self.do(an_order(account, side, quantity, price, **more))

    def give(self, account: str, quantity: str, price: str) -> None:
        """Let an account buy from one that may sell short."""
        self.do(ConfigureAccount(account="giver", short_selling=True, starting_cash=Decimal(10**9)))
        self.limit("giver", "sell", quantity, price)
        self.limit(account, "buy", quantity, price)


def an_order(
    account: str, side: str, quantity: str, price: str | None = None, **more: object
) -> PlaceOrder:
    kind = OrderType.MARKET if price is None else OrderType.LIMIT
    given: dict[str, object] = {"symbol": TCS, "type": kind} | more
    return PlaceOrder(
        account=account,
        side=Side(side),
        quantity=Decimal(quantity),
        price=None if price is None else Decimal(price),
        **given,  # type: ignore[arg-type]
    )


def random_commands(seed: int, count: int) -> Iterator[AnyCommand]:
    """Yield commands of a few accounts, good and bad ones; the first of them set the scene."""
    random = Random(seed)
    yield OpenVenue(charter=a_charter(sourced=(BTC,), kept=50, rules=_rules(random)))
    yield ConfigureAccount(account="short", short_selling=True)
    yield ConfigureAccount(account="lever", leverage=Decimal(3), short_selling=True)
    prices = {BTC: 1000, TCS: 1000}
    for number in range(count):
        yield _any_command(random, prices, number)


def _rules(random: Random) -> Rules:
    return Rules(
        maker_fee_bps=random.choice([Decimal(0), Decimal("-0.5"), Decimal(2)]),
        taker_fee_bps=random.choice([Decimal(0), Decimal("7.3")]),
        max_open_orders=10,
        price_band_pct=Decimal(50),
        halt_move_pct=random.choice([Decimal(0), Decimal(8)]),
        house=random.choice([House(), HOUSE]),
    )


def _any_command(random: Random, prices: dict[Symbol, int], number: int) -> AnyCommand:
    symbol = random.choice([BTC, TCS])
    account = random.choice(["ann", "bob", "short", "lever"])
    kind = random.random()
    if kind < 0.15:
        prices[symbol] = max(10, prices[symbol] + random.randint(-20, 20))
        return MoveReference(symbol=symbol, price=_price(symbol, prices[symbol]))
    if kind < 0.30:
        return CancelOrder(
            account=account, order_id=random.randint(max(1, number // 3), number + 1)
        )
    if kind < 0.40:
        return AmendOrder(
            account=account,
            order_id=random.randint(max(1, number // 3), number + 1),
            quantity=random.choice([None, _quantity(random, symbol)]),
            price=random.choice([None, _price(symbol, prices[symbol] + random.randint(-30, 30))]),
        )
    if kind < 0.42:
        lost, withdrawn = LoseReference(symbol=symbol), CancelOrders(account=account)
        return lost if random.random() < 0.5 else withdrawn
    return _random_order(random, symbol, account, prices[symbol])


def _random_order(random: Random, symbol: Symbol, account: str, around: int) -> PlaceOrder:
    kind = random.choice([*OrderType, OrderType.LIMIT, OrderType.LIMIT])
    near = [_price(symbol, around + random.randint(-30, 30)) for _ in range(2)]
    return PlaceOrder(
        account=account,
        symbol=symbol,
        side=random.choice(list(Side)),
        quantity=_quantity(random, symbol),
        type=kind,
        price=near[0] if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT) else None,
        stop_price=near[1] if kind in (OrderType.STOP, OrderType.STOP_LIMIT) else None,
        time_in_force=random.choice([TimeInForce.GTC] * 4 + [TimeInForce.IOC, TimeInForce.FOK]),
        client_order_id=random.choice([None, f"c{random.randint(1, 200)}"]),
        self_trade_prevention=random.choice([None, *SelfTradePrevention]),
    )


def _price(symbol: Symbol, ticks: int) -> Decimal:
    return Decimal(max(1, ticks)) if symbol == BTC else Decimal(max(1, ticks)).scaleb(-2)


def _quantity(random: Random, symbol: Symbol) -> Decimal:
    lots = random.randint(1, 4000) if symbol == BTC else random.randint(1, 300)
    return Decimal(lots).scaleb(-3) if symbol == BTC else Decimal(lots)
