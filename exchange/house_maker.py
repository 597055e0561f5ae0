"""The liquidity that the house puts around each source's price."""

from typing import Final

from exchange.grid import Grid
from exchange.order_book import EXPIRE_MAKER, BookSide, OrderBook
from exchange.price_level import Match, Order
from exchange.rules import LIMIT, House
from market.errors import InvalidValueError
from market.orders import PlaceOrder
from market.values import Side, Symbol

HOUSE: Final = "house"

_ENDLESS: Final = 1 << 200  # lots: more than a book can hold


class HouseMaker:
    """The house's quotes in one book: ordinary orders of the account ``house``.

    It quotes one order a level. The best bid and ask are ``spread_ticks`` apart with the reference
    between them (an odd tick goes to the ask), the next levels a tick further each; what would
    stand at or below zero is left out.
    """

    __slots__ = ("_house", "_lots", "_requests", "quotes")

    def __init__(self, house: House, symbol: Symbol, quantities: Grid) -> None:
        self._house = house
        self._lots = int(house.quantity / quantities.step) if house.levels else 0
        if house.levels and not self._lots:
            raise InvalidValueError(f"{symbol}: the house quotes {house.quantity}, less than a lot")
        self.quotes: dict[int, Order] = {}
        self._requests = {
            side: PlaceOrder(
                account=HOUSE,
                symbol=symbol,
                side=side,
                quantity=quantities.value(max(1, self._lots)),
                type=LIMIT,
            )
            for side in Side
        }

    @property
    def present(self) -> bool:
        """Whether there is a house at all."""
        return self._house.levels > 0

    def keys(self, reference: int) -> list[int]:
        """Return the keys of the quotes around ``reference``: bids, then asks, best first."""
        bid = reference - self._house.spread_ticks // 2
        ask = bid + self._house.spread_ticks
        steps = range(self._house.levels)
        return [bid - i for i in steps if bid > i] + [-ask - i for i in steps]

    def withdraw(self, book: OrderBook, staying: frozenset[int]) -> None:
        """Take every quote out, but the untouched ones at the keys ``staying``."""
        for key, order in [*self.quotes.items()]:
            if order.level is None:
                del self.quotes[key]
            elif key not in staying or order.shown < self._lots:
                book.side_of(order).remove(order)
                del self.quotes[key]

    def quote(self, book: OrderBook, reference: int, last_id: int) -> int:
        """Let the missing quotes around ``reference`` rest; return the last order id used.

        The ids go down from ``last_id``: those of the house are negative.
        """
        for key in self.keys(reference):
            if key not in self.quotes:
                last_id -= 1
                order = self.quotes[key] = Order(last_id, self.request(key), key, self._lots)
                book.side_of(order).add(order)
        return last_id

    def request(self, key: int) -> PlaceOrder:
        """Return the command that a quote at ``key`` stands for."""
        return self._requests[Side.BUY if key > 0 else Side.SELL]

    def reached(self, side: BookSide, limit: int) -> list[Match]:
        """Trade with every client's order at keys of ``limit`` and better; return the matches.

        Quotes of its own that are in the way go.
        """
        matches: list[Match] = []
        side.take_from_others(limit, _ENDLESS, matches, HOUSE, EXPIRE_MAKER)
        return [match for match in matches if match[0].id >= 0]
