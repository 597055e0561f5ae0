"""What lets an order into the book of one instrument, or says why not."""

from decimal import Decimal

from exchange.floor import Floor
from exchange.grid import Grid
from exchange.order_book import OrderBook
from exchange.price_level import BUY, Order
from exchange.rules import (
    FOK,
    GTC,
    GTD,
    IOC,
    LIMIT,
    MARKET,
    MISFIT,
    MOST_SLICES,
    Limits,
    Refusal,
    misshapen,
    plain,
)
from exchange.session import AUCTION, TRADING, Session
from market.errors import OffGridError
from market.orders import PlaceOrder


class Gate:
    """The checks of one instrument, before anything changes."""

    __slots__ = ("_book", "_floor", "_limits", "_most", "_prices", "_quantities", "_session")

    def __init__(
        self,
        session: Session,
        book: OrderBook,
        floor: Floor,
        limits: Limits,
        prices: Grid,
        quantities: Grid,
        max_open_orders: int,
    ) -> None:
        self._session, self._book, self._floor = session, book, floor
        self._limits, self._prices, self._quantities = limits, prices, quantities
        self._most = max_open_orders

    def measured(self, order_id: int, request: PlaceOrder) -> Order:
        """Return what is asked for in ticks and lots; raise OffGridError when it is none."""
        price, slice_ = request.price, request.display_quantity
        lots = self._quantities.whole(request.quantity)
        ticks = 0 if price is None else self._prices.whole(price)
        order = Order(order_id, request, ticks if request.side is BUY else -ticks, lots)
        if slice_ is not None:
            order.display = self._quantities.whole(slice_)
            order.slice()
        if request.stop_price is not None:
            self._prices.whole(request.stop_price)
        return order

    def refusal(self, order: Order) -> Refusal | None:
        """Return why an order may not enter, if it may not."""
        special = not plain(order.request)
        if special or self._most or self._session.state is not TRADING:
            return self._special_refusal(order, special=special)
        if self._limits.allow(abs(order.key), order.total):
            return None
        return self._beyond_limits(order)

    def _special_refusal(self, order: Order, *, special: bool) -> Refusal | None:
        """Return why an order may not enter that is ``special``, or comes at no plain time."""
        request = order.request
        if self._session.state is not TRADING and (refusal := self._closed_to(request)):
            return refusal
        refusal = (misshapen(request) or self._too_late(request)) if special else None
        refusal = refusal or self._beyond_limits(order)
        if refusal is None and request.post_only and request.type is LIMIT:
            refusal = self._taking(order)
        if refusal is None and self._most:
            refusal = self._too_many(request)
        return refusal

    def _beyond_limits(self, order: Order) -> Refusal | None:
        limits = self._limits
        likely = 0 if order.key or not limits.min_units else self._likely_price(order.request)
        return limits.refusal(abs(order.key), likely, order.total)

    def amended(
        self, order: Order, quantity: Decimal | None, price: Decimal | None
    ) -> tuple[int, int]:
        """Return the key and the lots in all that are asked for; raise as `measured` does."""
        key, total = order.key, order.total
        if price is not None:
            key = self._prices.whole(price) * order.request.side.sign
        if quantity is not None:
            total = self._quantities.whole(quantity)
        return key, total

    def amendment_refusal(self, order: Order, key: int, total: int) -> Refusal | None:
        """Return why a working order may not be changed so, if it may not."""
        if self._session.state not in (TRADING, AUCTION):
            return self._closed_to(order.request)
        if key and not order.key:
            return Refusal(MISFIT, f"a {order.request.type} order has no price")
        filled = order.total - order.left
        if total <= filled:
            filled_quantity = self._quantities.value(filled)
            asked = self._quantities.value(total)
            return Refusal(MISFIT, f"{filled_quantity} of {asked} is already filled")
        refusal = self._too_far(order, key, total)
        if refusal is None and order.request.post_only and order.level is not None:
            changed = Order(order.id, order.request, key, total)
            refusal = self._taking(changed)
        return refusal

    def _too_far(self, order: Order, key: int, total: int) -> Refusal | None:
        """Return what forbids the price and the lots; a smaller order keeps what it has of both."""
        if order.display and order.total < total > order.display * MOST_SLICES:
            return Refusal(MISFIT, f"that makes more than {MOST_SLICES} slices of it")
        price = 0 if key == order.key and total <= order.total else abs(key)
        return self._limits.refusal(price, abs(key) or self._likely_price(order.request), total)

    def _closed_to(self, request: PlaceOrder) -> Refusal | None:
        session = self._session
        if session.state is AUCTION:
            rests = request.time_in_force in (GTC, GTD) and request.type is not MARKET
            if rests and not request.post_only:
                return None
            what = "in an auction, which takes limit and stop orders that may rest"
        else:
            what = f"{session.state}: orders can only be cancelled"
        return Refusal("trading-state", f"{session.symbol} is {what}")

    def _too_late(self, request: PlaceOrder) -> Refusal | None:
        expiry = request.expire_time
        if expiry is None or expiry > self._floor.time:
            return None
        return Refusal("expire-time", f"expire_time {expiry} is not after {self._floor.time}")

    def _too_many(self, request: PlaceOrder) -> Refusal | None:
        if request.type is MARKET or request.time_in_force in (IOC, FOK):
            return None
        open_orders = self._floor.open_orders.get(request.account, 0)
        if open_orders < self._most:
            return None
        return Refusal("max-open-orders", f"{open_orders} orders are open, {self._most} may be")

    def _taking(self, order: Order) -> Refusal | None:
        if self._session.state is AUCTION or not self._book.crosses(order):
            return None
        best = self._prices.value(abs(self._book.opposite_of(order).best or 0))
        return Refusal(
            "post-only-would-take", f"at {self._prices.value(order.price)} it would take {best}"
        )

    def _likely_price(self, request: PlaceOrder) -> int:
        if request.stop_price is not None:
            return self._prices.whole(request.stop_price)
        best = (self._book.asks if request.side is BUY else self._book.bids).best
        return abs(best) if best is not None else self._session.last or self._session.reference


def off_grid(error: OffGridError) -> Refusal:
    """Return the refusal of a price or a quantity that is not on its grid."""
    return Refusal("tick-size" if error.what == "price" else "lot-size", str(error))
