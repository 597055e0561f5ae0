"""The liquidity that the house puts around each source's price."""

from typing import Final

from exchange.execution import Execution
from exchange.floor import Floor
from exchange.grid import Grid
from exchange.ladder import Ladder
from exchange.order_book import EXPIRE_MAKER, BookSide, OrderBook
from exchange.price_level import Match, Order
from exchange.rules import LIMIT, House
from exchange.session import TRADING, Session
from market.errors import InvalidValueError
from market.orders import PlaceOrder
from market.values import Side

HOUSE: Final = "house"

_ENDLESS: Final = 1 << 200  # lots: more than a book can hold


class HouseMaker:
    """The house's quotes in one book: ordinary orders of the account ``house``.

    It quotes one order a level. The best bid and ask are ``spread_ticks`` apart with the reference
    between them (an odd tick goes to the ask), the next levels a tick further each; what would
    stand at or below zero is left out. The ids of its orders go down from zero.
    """

    __slots__ = ("_ask", "_asks", "_bid", "_bids", "_book", "_execution", "_floor", "_house",
                 "_lots", "_session")  # fmt: skip

    def __init__(
        self,
        house: House,
        session: Session,
        book: OrderBook,
        floor: Floor,
        execution: Execution,
        quantities: Grid,
    ) -> None:
        symbol = session.symbol
        self._house, self._session, self._book = house, session, book
        self._floor, self._execution = floor, execution
        self._lots = int(house.quantity / quantities.step) if house.levels else 0
        if house.levels and not self._lots:
            raise InvalidValueError(f"{symbol}: the house quotes {house.quantity}, less than a lot")
        self._bid, self._ask = (
            PlaceOrder(
                account=HOUSE,
                symbol=symbol,
                side=side,
                quantity=quantities.value(max(1, self._lots)),
                type=LIMIT,
            )
            for side in (Side.BUY, Side.SELL)
        )
        self._bids = Ladder(book.bids, self._bid, self._lots)
        self._asks = Ladder(book.asks, self._ask, self._lots)

    @property
    def present(self) -> bool:
        """Whether there is a house at all."""
        return self._house.levels > 0

    @property
    def quotes(self) -> list[Order]:
        """Its orders: bids, then asks, best first."""
        return [*self._bids.quotes, *self._asks.quotes]

    def put_back(self, order: Order) -> None:
        """Know an order that rests in the book as a quote."""
        (self._bids if order.key > 0 else self._asks).quotes.append(order)

    def follow(self) -> None:
        """Trade with the orders that the reference has reached, and quote around it."""
        self._move(reaching=self._session.state is TRADING)

    def requote(self) -> None:
        """Quote around the reference, or nowhere in a halt; trade with nobody."""
        self._move(reaching=False)

    def _move(self, *, reaching: bool) -> None:
        house, floor, reference = self._house, self._floor, self._session.reference
        bid = reference - house.spread_ticks // 2
        ask_key = -bid - house.spread_ticks
        asks = house.levels if self._session.quoted else 0
        bids = asks if bid >= asks else max(bid, 0)
        reached = 1 if reaching and bids and bid == reference else 0  # a spread of one tick
        alone = not reached and self._bids.alone(bids) and self._asks.alone(asks)
        if not alone:
            self._bids.withdraw(bid - reached, bids - reached)
            self._asks.withdraw(ask_key, asks)
            if reaching:
                self._reach(self._book.asks, reference)
                self._reach(self._book.bids, -reference)
        if reaching:
            self._session.mark(reference)
        if alone:  # nobody can have been reached, and the quotes need not leave to come back
            last_id = self._bids.slide(bid, floor.house_id)
            floor.house_id = self._asks.slide(ask_key, last_id)
        else:
            last_id = self._bids.quote(bid, bids, floor.house_id)
            floor.house_id = self._asks.quote(ask_key, asks, last_id)

    def _reach(self, side: BookSide, key: int) -> None:
        """Trade with every client's order that an order with ``key`` would; own quotes go."""
        if not side.keys or side.keys[-1] < -key:
            return
        found: list[Match] = []
        side.take_from_others(-key, _ENDLESS, found, HOUSE, EXPIRE_MAKER)
        matches = [match for match in found if match[0].id >= 0]
        if matches:
            self._floor.house_id -= 1
            lots = sum(match[1] for match in matches)
            taker = Order(self._floor.house_id, self._bid if key > 0 else self._ask, key, lots)
            self._execution.settle(taker, matches)
