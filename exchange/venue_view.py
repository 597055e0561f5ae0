"""What can be asked of a venue; no answer changes anything."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice, takewhile

from exchange.accounts import UNLIMITED, Ledger
from exchange.admission import Admission
from exchange.blotter import Blotter
from exchange.commands import Charter
from exchange.matching import Depth, MatchingEngine
from exchange.statement import AccountView, Totals
from exchange.ticket import OrderView
from market.orders import Status, TradingState
from market.values import Instrument, Symbol


class VenueView:
    """Orders, accounts, books and states, as they stand."""

    _engine: MatchingEngine
    _admission: Admission

    def __init__(self) -> None:
        self.time = datetime(1970, 1, 1, tzinfo=UTC)
        self.ledger = Ledger()
        self.marks: dict[Symbol, Decimal] = {}
        self.blotter = Blotter(0)
        self.instruments: dict[Symbol, Instrument] = {}
        self._charter = Charter(instruments=())

    @property
    def charter(self) -> Charter:
        """What the venue opened under; without instruments before it did."""
        return self._charter

    def order(self, order_id: int) -> OrderView | None:
        """Return an order as it stands, None when it was never placed or is forgotten."""
        ticket = self.blotter.find(order_id)
        return None if ticket is None else ticket.view()

    def orders(
        self,
        account: str,
        status: Status | None = None,
        limit: int = 1000,
        *,
        since: int = 0,
        before: int | None = None,
    ) -> list[OrderView]:
        """Return the orders of an account, newest first, of those with numbers in between."""
        newer = takewhile(lambda t: t.order_id > since, self.blotter.of(account))
        found = (
            ticket
            for ticket in newer
            if (before is None or ticket.order_id < before)
            and (status is None or ticket.status is status)
        )
        return [ticket.view() for ticket in islice(found, limit)]

    def account(self, name: str) -> AccountView | None:
        """Return an account as it stands, None when it was never opened."""
        account = self.ledger.find(name)
        return None if account is None else account.view(self.marks)

    def accounts(self, *, own: bool = False) -> list[AccountView]:
        """Return every customer's account, by name; with ``own`` the exchange's too."""
        found = self.ledger.customers()
        if own:
            found += [self.ledger[name] for name in sorted(UNLIMITED)]
        return [account.view(self.marks) for account in found]

    def totals(self) -> Totals:
        """Return what all accounts hold together, the exchange's own included."""
        return self.ledger.totals()

    def book(self, symbol: Symbol, depth: int = 10) -> Depth:
        """Return the best levels of a book; KeyError when the symbol is unknown."""
        return self._engine.book(symbol, depth)

    @property
    def symbols(self) -> tuple[Symbol, ...]:
        """What is traded, in the order of the charter."""
        return tuple(self.instruments)

    def book_changes(self, symbol: Symbol) -> int:
        """Return a number that grows whenever the book changes; KeyError when unknown."""
        return self._engine.changes(symbol)

    def trading_state(self, symbol: Symbol) -> TradingState:
        """Return what the instrument allows; KeyError when the symbol is unknown."""
        return self._engine.trading_state(symbol)

    @property
    def last_trade_id(self) -> int:
        """The number of the last trade, 0 before the first; not quick."""
        return self._engine.state().trades

    def is_due(self, time: datetime) -> bool:
        """Whether orders expire, or halts and auctions end, by ``time``."""
        return self._engine.is_due(time)

    def is_fresh(self, symbol: Symbol) -> bool:
        """Whether orders are taken: the source is heard, or the symbol needs none."""
        return self._admission.stale(symbol) is None
