"""Where a bot's commands become answers, and the answers facts; a command never fails here."""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bots.adoption import is_explained
from bots.answers import AccountAnswer, OrderAnswer
from bots.exchange_client import ExchangeClient, ExchangeRefusedError
from bots.news import OPEN, News
from market.clock import Clock
from market.orders import (
    AmendOrder,
    AmendRejected,
    CancelOrder,
    Command,
    OrderFact,
    OrderRejected,
    PlaceOrder,
)
from market.values import Symbol

NO_SYMBOL = Symbol("")
PAGE: Final = 200
MOST_PAGES: Final = 10


@dataclass(frozen=True, slots=True)
class Books:
    """An account, None when it was never opened, and its orders at the same moment."""

    account: AccountAnswer | None
    orders: Sequence[OrderAnswer]


class Desk:
    """Carries out commands for one account and tells what came of them, each fact once.

    Attributes:
        doubtful: client order ids of orders that may have been executed, though nobody answered.
    """

    def __init__(self, client: ExchangeClient, *, account: str, clock: Clock) -> None:
        self._client, self._account, self._clock = client, account, clock
        self._news = News()
        self.doubtful: set[str] = set()
        self._doubt_since = 0  # the last order of whose answer there was no doubt

    @property
    def has_resting(self) -> bool:
        """Whether an order stands in the book as far as is known."""
        return bool(self._news.resting)

    async def carry_out(self, command: Command) -> list[OrderFact]:
        """Return what came of a command: the last fact is a rejection when it was refused.

        To cancel an order whose end was told while the command waited is nothing to be told of.
        """
        match command:
            case PlaceOrder():
                return await self._place(command)
            case CancelOrder(order_id=order_id) if self._news.is_over(order_id):
                return []
            case CancelOrder(order_id=order_id):
                return await self._change(command, order_id)
            case AmendOrder(order_id=order_id):
                return await self._change(command, order_id)
        raise TypeError(f"not a command of a bot: {command!r:.80}")

    async def resting_news(self, among: Collection[int] | None = None) -> list[OrderFact]:
        """Return what became of the orders that stand in the book, or of some ``among`` them.

        Raises:
            ExchangeRefusedError: the exchange does not answer.
        """
        facts: list[OrderFact] = []
        for order_id in tuple(self._news.resting):
            if among is None or order_id in among:
                facts += self._news.read(await self._client.order(order_id))
        return facts

    async def doubtful_news(self) -> list[OrderFact]:
        """Return what became of the orders that nobody answered; then none is doubtful any more.

        Raises:
            ExchangeRefusedError: the exchange does not answer.
        """
        if not self.doubtful:
            return []
        answers = await self._client.orders(self._account, since=self._doubt_since)
        late = [each for each in answers if each.client_order_id in self.doubtful]
        self.doubtful.clear()
        return self._read_all(late)

    async def account(self) -> AccountAnswer | None:
        """Return the account, or None when it was never opened.

        Raises:
            ExchangeRefusedError: the exchange does not answer.
        """
        return await self._client.account(self._account)

    async def books(self) -> Books:
        """Return the account and the orders that led to it; that, and no more, counts as told.

        An order that stands in the book may be filled between two questions: so the account is
        asked for until it is the same before and after.

        Raises:
            ExchangeRefusedError: the exchange does not answer, or will not show the account.
        """
        account = await self.account()
        while account is not None:
            orders = await self._orders(account)
            before, account = account, await self.account()
            if account is not None and account.has_traded_like(before):
                self._news = News()
                self._read_all(orders)
                return Books(account, orders)
        self._news = News()  # an exchange that begins anew numbers its orders anew
        return Books(None, ())

    async def _orders(self, account: AccountAnswer) -> list[OrderAnswer]:
        """The orders that led to how an account stands, oldest first.

        Those that are open, and as many of the newest as it takes to explain the positions; none
        where the exchange does not list them.
        """
        found: dict[int, OrderAnswer] = {}
        try:
            for status in sorted(OPEN):
                found |= _by_number(await self._client.orders(self._account, status=status))
            async for page in self._pages(account):
                found |= _by_number(page)
                if is_explained(account, list(found.values())):
                    break
        except ExchangeRefusedError as refusal:
            if not refusal.is_final:
                raise
        return sorted(found.values(), key=lambda each: each.order_id)

    async def _pages(self, account: AccountAnswer) -> AsyncIterator[list[OrderAnswer]]:
        """Yield the newest orders, a page at a time; nothing when there is nothing to explain."""
        before: int | None = None
        for _ in range(MOST_PAGES if account.positions else 0):
            page = await self._client.orders(self._account, limit=PAGE, before=before)
            yield page
            if len(page) < PAGE:
                return
            before = page[-1].order_id

    def _read_all(self, answers: Iterable[OrderAnswer]) -> list[OrderFact]:
        return [fact for answer in answers for fact in self._news.read(answer)]

    async def _place(self, order: PlaceOrder) -> list[OrderFact]:
        try:
            return self._news.read(await self._client.place(order), price=order.price)
        except ExchangeRefusedError as refusal:
            if not refusal.is_sure and order.client_order_id:
                if not self.doubtful:
                    self._doubt_since = self._news.newest
                self.doubtful.add(order.client_order_id)
            return [self.rejected(order.symbol, refusal.code, refusal.detail)]

    async def _change(self, command: CancelOrder | AmendOrder, order_id: int) -> list[OrderFact]:
        """Cancel or amend; what cannot be is looked up, since it mostly was filled meanwhile."""
        standing = self._news.resting.get(order_id)
        symbol = standing.symbol if standing else NO_SYMBOL
        try:
            return self._news.read(await self._changed(command))
        except ExchangeRefusedError as refusal:
            found = await self._looked_up(order_id)
            return found or [self._unchanged(command, symbol, refusal)]

    async def _changed(self, command: CancelOrder | AmendOrder) -> OrderAnswer:
        if isinstance(command, AmendOrder):
            return await self._client.amend(command)
        return await self._client.cancel(command.order_id)

    async def _looked_up(self, order_id: int) -> list[OrderFact]:
        try:
            return self._news.read(await self._client.order(order_id))
        except ExchangeRefusedError:
            return []  # the refusal that led here is told

    def _unchanged(
        self, command: CancelOrder | AmendOrder, symbol: Symbol, refusal: ExchangeRefusedError
    ) -> OrderFact:
        if isinstance(command, CancelOrder):
            return self.rejected(symbol, refusal.code, refusal.detail, order_id=command.order_id)
        return AmendRejected(
            order_id=command.order_id,
            account=self._account,
            symbol=symbol,
            time=self._clock.now(),
            code=refusal.code,
            reason=refusal.detail,
        )

    def rejected(
        self, symbol: Symbol, code: str, reason: str, *, order_id: int = 0
    ) -> OrderRejected:
        """Return the fact that a command was refused; an order that was never taken has no id."""
        return OrderRejected(
            order_id=order_id,
            account=self._account,
            symbol=symbol,
            time=self._clock.now(),
            code=code,
            reason=reason,
        )


def _by_number(orders: Iterable[OrderAnswer]) -> dict[int, OrderAnswer]:
    return {order.order_id: order for order in orders}
