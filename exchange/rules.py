"""What the exchange allows and what it charges; a setting of 0 turns its limit off."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Final, NamedTuple

from exchange.grid import Grid
from exchange.price_level import BUY
from market.errors import InvalidValueError
from market.orders import OrderType, PlaceOrder, TimeInForce
from market.values import Side

MARKET: Final = OrderType.MARKET
LIMIT: Final = OrderType.LIMIT
STOP: Final = OrderType.STOP
STOP_LIMIT: Final = OrderType.STOP_LIMIT
GTC: Final = TimeInForce.GTC
IOC: Final = TimeInForce.IOC
FOK: Final = TimeInForce.FOK
GTD: Final = TimeInForce.GTD

NO_FEE: Final = Decimal(0)

MISFIT: Final = "invalid-order"
"""The code of an order that is wrong in itself; `misfits` says in what."""

MOST_SLICES: Final = 1_000
"""Slices that an iceberg may come in: each is a trade, and one taker may meet them all."""

_LAST_MOMENT: Final = datetime.max.replace(tzinfo=UTC)  # what is told has a date in UTC

_UNBOUND: Final = 1 << 200  # more ticks, lots or units than any order can have


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What the house quotes on each side of a source's price; no levels is no house."""

    levels: int = 0
    spread_ticks: int = 2
    quantity: Decimal = Decimal(1)

    def __post_init__(self) -> None:
        if not 0 <= self.levels <= 1000 or not 1 <= self.spread_ticks <= 10**6:
            raise InvalidValueError(
                f"the house quotes 0 to 1000 levels, 1 to 10^6 ticks apart; not"
                f" {self.levels} levels, {self.spread_ticks} ticks"
            )
        if not self.quantity.is_finite() or self.quantity <= 0:
            raise InvalidValueError(f"the house quotes a positive quantity, not {self.quantity}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The filters, fees, halts and the house of an exchange; the same for every instrument.

    Fees are basis points of a trade's value, negative for a rebate; bands and moves are percent;
    a halt lasts ``halt_s`` seconds and then collects orders for ``auction_s`` more; with both 0 it
    lasts until trading is resumed by hand.
    """

    maker_fee_bps: Decimal = Decimal(0)
    taker_fee_bps: Decimal = Decimal(0)
    price_band_pct: Decimal = Decimal(0)
    min_notional: Decimal = Decimal(0)
    max_quantity: Decimal = Decimal(0)
    max_open_orders: int = 0
    halt_move_pct: Decimal = Decimal(0)
    halt_window_s: float = 300.0
    halt_s: float = 30.0
    auction_s: float = 30.0
    house: House = House()

    def __post_init__(self) -> None:
        for name in ("maker_fee_bps", "taker_fee_bps"):
            _in_range(name, getattr(self, name), Decimal(-10_000))
        for name in ("price_band_pct", "min_notional", "max_quantity", "halt_move_pct"):
            _in_range(name, getattr(self, name), Decimal(0))
        for name in ("max_open_orders", "halt_window_s", "halt_s", "auction_s"):
            if not 0 <= getattr(self, name) <= 10**9:
                raise InvalidValueError(f"{name} {getattr(self, name)} must be in [0, 10^9]")


class Refusal(NamedTuple):
    """Why an order is not taken: the problem's name, and the limit and the value in words."""

    code: str
    reason: str


class Limits:
    """The rules as they bind one instrument, in ticks and lots."""

    __slots__ = ("_context", "_high", "_low", "_prices", "_quantities", "_rules", "_unit", "high",
                 "low", "max_lots", "min_units")  # fmt: skip

    def __init__(self, rules: Rules, prices: Grid, quantities: Grid) -> None:
        self._rules, self._prices, self._quantities = rules, prices, quantities
        self._context = Context(prec=80)
        self._unit = self._context.multiply(prices.step, quantities.step)
        percent = rules.price_band_pct
        self._low = (100 - percent).scaleb(-2).as_integer_ratio()
        self._high = (100 + percent).scaleb(-2).as_integer_ratio()
        self.low, self.high = 1, _UNBOUND
        self.max_lots = self._whole(rules.max_quantity, quantities.step, ROUND_FLOOR) or _UNBOUND
        self.min_units = self._whole(rules.min_notional, self._unit, ROUND_CEILING)

    def center(self, reference: int) -> None:
        """Put the price band around ``reference``, in ticks."""
        if self._rules.price_band_pct:
            low, above = self._low
            high, below = self._high
            self.low = max(1, -(-low * reference // above))
            self.high = high * reference // below

    def collar(self, side: Side) -> int:
        """Return the worst key that an order without a limit may take: the edge of the band."""
        return -self.high if side is BUY else self.low

    def allow(self, limit: int, lots: int) -> bool:
        """Whether `refusal` finds nothing, whatever the price of an order without one."""
        if limit:
            inside = self.low <= limit <= self.high and limit * lots >= self.min_units
        else:
            inside = not self.min_units
        return inside and lots <= self.max_lots

    def refusal(self, limit: int, likely: int, lots: int) -> Refusal | None:
        """Return what forbids ``lots`` at the price ``limit``, if anything.

        An order without a limit has 0 there, and is valued at its ``likely`` price; 0 is unknown.
        """
        if lots > self.max_lots:
            return self._over_max_quantity(lots)
        price = limit or likely
        if price and price * lots < self.min_units:
            return self._under_min_notional(price, lots)
        if limit and not self.low <= limit <= self.high:
            return self._out_of_band(limit)
        return None

    def _over_max_quantity(self, lots: int) -> Refusal:
        asked = self._quantities.value(lots)
        return Refusal("max-quantity", f"quantity {asked} is above {self._rules.max_quantity}")

    def _under_min_notional(self, price: int, lots: int) -> Refusal:
        value = self._context.multiply(self._unit, price * lots)
        return Refusal("min-notional", f"value {value} is below {self._rules.min_notional}")

    def _out_of_band(self, price: int) -> Refusal:
        low, high = self._prices.value(self.low), self._prices.value(self.high)
        return Refusal(
            "price-band",
            f"price {self._prices.value(price)} is not in [{low}, {high}],"
            f" {self._rules.price_band_pct} % around the reference",
        )

    def _whole(self, value: Decimal, step: Decimal, rounding: str) -> int:
        steps = self._context.divide(value, step)
        return int(steps.to_integral_value(rounding, context=self._context))


class Fees:
    """What each side of a trade pays, exactly, in the quote currency."""

    __slots__ = ("_context", "_maker", "_taker", "due")

    def __init__(self, rules: Rules, prices: Grid, quantities: Grid) -> None:
        self._context = Context(prec=100)
        unit = self._context.multiply(prices.step, quantities.step)
        self._maker = self._context.multiply(unit, rules.maker_fee_bps.scaleb(-4))
        self._taker = self._context.multiply(unit, rules.taker_fee_bps.scaleb(-4))
        self.due = bool(self._maker or self._taker)  # whether there are any

    def maker(self, units: int) -> Decimal:
        """Return the fee of the resting side of ``units`` = ticks x lots."""
        return self._context.multiply(self._maker, units) if self._maker else NO_FEE

    def taker(self, units: int) -> Decimal:
        """Return the fee of the side that takes ``units`` = ticks x lots."""
        return self._context.multiply(self._taker, units) if self._taker else NO_FEE


_UNTRAPPED: Final = Context(traps=[])  # a number off its grid may be too large for the usual one

_PRICED: Final = frozenset({LIMIT, STOP_LIMIT})
_STOPPED: Final = frozenset({STOP, STOP_LIMIT})
_RESTING: Final = frozenset({GTC, GTD})

_SHAPES: Final[tuple[tuple[str, Callable[[PlaceOrder], bool], str], ...]] = (
    ("price", lambda o: o.type in _PRICED and o.price is None,
     "is missing: a {o.type} order needs one"),
    ("price", lambda o: o.type not in _PRICED and o.price is not None,
     "is not for a {o.type} order"),
    ("stop_price", lambda o: o.type in _STOPPED and o.stop_price is None,
     "is missing: a {o.type} order needs one"),
    ("stop_price", lambda o: o.type not in _STOPPED and o.stop_price is not None,
     "is not for a {o.type} order"),
    ("expire_time", lambda o: o.time_in_force is GTD and o.expire_time is None,
     "is missing: GTD needs one"),
    ("expire_time", lambda o: o.time_in_force is not GTD and o.expire_time is not None,
     "is for GTD alone"),
    ("expire_time", lambda o: o.expire_time is not None and o.expire_time.tzinfo is None,
     "needs a time zone"),
    ("expire_time", lambda o: o.expire_time is not None and o.expire_time.tzinfo is not None
     and o.expire_time > _LAST_MOMENT,
     "is after the year 9999 in UTC"),
    ("post_only", lambda o: o.post_only
     and not (o.type in _PRICED and o.time_in_force in _RESTING),
     "is for limit orders that may rest"),
    ("display_quantity", lambda o: o.display_quantity is not None
     and not (o.type in _PRICED and o.time_in_force in _RESTING),
     "is for limit orders that may rest"),
    ("display_quantity", lambda o: o.display_quantity is not None
     and o.display_quantity > o.quantity,
     "{o.display_quantity} is above the quantity {o.quantity}"),
    ("display_quantity", lambda o: o.display_quantity is not None
     and _UNTRAPPED.multiply(o.display_quantity, MOST_SLICES) < o.quantity,
     f"{{o.display_quantity}} makes more than {MOST_SLICES} slices"),
)  # fmt: skip


def plain(order: PlaceOrder) -> bool:
    """Whether ``order`` is a market or limit order with nothing special, hence well shaped."""
    return (
        (order.type is MARKET if order.price is None else order.type is LIMIT)
        and order.stop_price is None
        and order.expire_time is None
        and order.display_quantity is None
        and not order.post_only
        and order.time_in_force is not GTD
    )


def misshapen(order: PlaceOrder) -> Refusal | None:
    """Return what does not go together in ``order``, if anything."""
    for field, problem in misfits(order).items():
        return Refusal(MISFIT, f"{field} {problem}")
    return None


def misfits(order: PlaceOrder) -> dict[str, str]:
    """Return each field of ``order`` that does not go with the others, and what is wrong with it.

    The numbers may be off their grids; each is finite.
    """
    found: dict[str, str] = {}
    for field, wrong, reason in _SHAPES:
        if field not in found and wrong(order):
            found[field] = reason.format(o=order)
    return found


def _in_range(name: str, value: Decimal, least: Decimal) -> None:
    exponent = value.as_tuple().exponent
    if not value.is_finite() or not least <= value < 10**12 or int(exponent) < -12:
        raise InvalidValueError(f"{name} {value} must be in [{least}, 10^12), 12 decimals at most")
