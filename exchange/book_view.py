"""What can be seen of one instrument's book, in decimals."""

from decimal import Context, Decimal

from exchange.grid import Grid
from exchange.order_book import NONE, OrderBook
from exchange.price_level import BUY, Order
from exchange.rules import Fees, Limits
from exchange.working import Depth, Sweep, WorkingOrder
from market.orders import SelfTradePrevention
from market.values import Side


class BookView:
    """Answers questions about a book; nothing here changes it."""

    __slots__ = ("_book", "_exact", "_fees", "_limits", "_prices", "_quantities", "_unit")

    def __init__(
        self, book: OrderBook, limits: Limits, fees: Fees, prices: Grid, quantities: Grid
    ) -> None:
        self._book, self._limits, self._fees = book, limits, fees
        self._prices, self._quantities = prices, quantities
        self._exact = Context(prec=100)
        self._unit = self._exact.multiply(prices.step, quantities.step)

    def depth(self, levels: int) -> Depth:
        """Return the best visible levels."""
        price, quantity = self._prices.value, self._quantities.value
        bids, asks = (
            tuple((price(ticks), quantity(lots)) for ticks, lots in side.depth(levels))
            for side in (self._book.bids, self._book.asks)
        )
        return Depth(bids=bids, asks=asks)

    def order(self, order: Order, *, waiting: bool) -> WorkingOrder:
        """Return a working order as it is seen from outside."""
        return WorkingOrder(
            order_id=order.id,
            order=order.request,
            quantity=self._quantities.value(order.total),
            remaining=self._quantities.value(order.left),
            price=self._prices.value(order.price) if order.key else None,
            waiting=waiting,
        )

    def cost_to_take(
        self,
        side: Side,
        quantity: Decimal,
        price: Decimal | None,
        account: str,
        prevention: SelfTradePrevention | None,
    ) -> Sweep:
        """Return what a taker would get now; raise OffGridError for what is not on the grid."""
        limits, prices = self._limits, self._prices
        limit = limits.collar(side) if price is None else -side.sign * prices.whole(price)
        opposite = self._book.asks if side is BUY else self._book.bids
        lots = self._quantities.whole(quantity)
        taken = units = worst = 0
        for worst, part in opposite.swept(limit, lots, account, prevention or NONE):
            taken += part
            units += worst * part
        return Sweep(
            quantity=self._quantities.value(taken),
            notional=self._exact.multiply(self._unit, units),
            worst_price=prices.value(worst) if worst else None,
            fee=self._fees.taker(units),
        )
