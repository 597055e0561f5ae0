"""The one loop: feed -> strategy -> exchange, and back to the strategy what came of it."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Collection, Iterable
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from bots.adoption import told
from bots.answers import differences
from bots.bot import Bot
from bots.desk import NO_SYMBOL, Books, Desk
from bots.exchange_client import ExchangeRefusedError
from bots.own_orders import OwnOrders
from market.clock import Clock
from market.events import Fact
from market.orders import Command, PlaceOrder

MOST_WAITING: Final = 1000  # orders that were decided on and not sent yet
AGAIN_S: Final = 1.0  # between two attempts to read the account, or the orders that rest


class Runner:
    """Runs one bot on one feed for as long as the feed lasts.

    The feed is read on while an order is on its way; orders are sent one at a time, in the order
    in which they were decided on. An order that rests is looked up when the account's own stream
    tells of it. With every status line the books are compared with the
    exchange's, while no order is on its way: a difference is logged as ``account_mismatch``, and
    the bot begins anew on the exchange's books.
    """

    def __init__(
        self,
        bot: Bot,
        feed: AsyncIterable[Fact],
        desk: Desk,
        own_orders: OwnOrders,
        *,
        session: str,
        status_s: float,
        clock: Clock,
        log: Any,
    ) -> None:
        self._bot, self._feed, self._desk = bot, feed, desk
        self._own_orders = own_orders
        self._session, self._status_s = session, status_s
        self._clock, self._log = clock, log
        self._waiting: asyncio.Queue[Command] = asyncio.Queue(MOST_WAITING)
        self._line = asyncio.Lock()  # held while an order is on its way, or the books are compared
        self._sent = 0
        self._silent: set[str] = set()  # what the exchange does not answer, and that is logged

    async def run(self) -> None:
        """Run until the feed ends.

        Raises:
            StrategyBrokenError: the strategy failed too often in a row.
            StreamError: there is no stream to read where the feed looks for it.
            ExchangeRefusedError: the exchange will not show the account.
        """
        await self._begin_anew()
        try:
            async with asyncio.TaskGroup() as tasks:
                loops = (
                    self._send(),
                    self._report(),
                    self._compare_regularly(),
                    self._own_orders.read(),
                    self._watch_resting(),
                )
                running = [tasks.create_task(loop) for loop in loops]
                async for fact in self._feed:
                    self._hear([fact])
                await self._waiting.join()
                for each in running:
                    each.cancel()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group
        finally:
            self._bot.report()

    def _hear(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            for command in self._bot.hear(fact):
                self._enqueue(command)

    def _enqueue(self, command: Command) -> None:
        """Put a command in the line; when that is full the strategy hears that it was refused."""
        try:
            self._waiting.put_nowait(self._named(command))
        except asyncio.QueueFull:
            symbol = command.symbol if isinstance(command, PlaceOrder) else NO_SYMBOL
            self._bot.hear(self._desk.rejected(symbol, "too-many-waiting", "the line is full"))

    def _named(self, command: Command) -> Command:
        """Give an order an id of its own, so that it may be sent twice and be executed once."""
        if not isinstance(command, PlaceOrder) or command.client_order_id:
            return command
        self._sent += 1
        return replace(command, client_order_id=f"{self._session}-{self._sent}")

    async def _send(self) -> None:
        while True:
            command = await self._waiting.get()
            async with self._line:
                self._hear(await self._desk.carry_out(command))
            self._follow()
            self._waiting.task_done()

    def _follow(self) -> None:
        if self._desk.has_resting:
            self._own_orders.follow()

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(self._status_s)
            self._bot.report()

    async def _compare_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._status_s)
            await self._asking("account_not_compared", self._compare)

    async def _watch_resting(self) -> None:
        while True:
            among = await self._own_orders.changed()
            look_up = partial(self._look_up, among)
            if not await self._asking("orders_not_looked_up", look_up):
                self._own_orders.doubt()
                await asyncio.sleep(AGAIN_S)

    async def _asking(self, failure: str, ask: Callable[[], Awaitable[None]]) -> bool:
        """Ask the exchange while no order is on its way; log, once, that it does not answer."""
        try:
            async with self._line:
                await ask()
        except ExchangeRefusedError as refusal:
            if failure not in self._silent:
                self._log.warning(failure, code=refusal.code, reason=refusal.detail)
            self._silent.add(failure)
            return False
        self._silent.discard(failure)
        return True

    async def _look_up(self, among: Collection[int] | None) -> None:
        self._hear(await self._desk.resting_news(among))

    async def _compare(self) -> None:
        """Compare the books; what rests may be filled at any time, and then there is no telling."""
        self._hear(await self._desk.doubtful_news())
        self._hear(await self._desk.resting_news())
        account = await self._desk.account()
        if news := await self._desk.resting_news():
            self._hear(news)
            return
        found = differences(self._bot.blotter, account)
        if found:
            pairs = {name: f"{ours} here, {theirs} there" for name, (ours, theirs) in found.items()}
            self._log.error("account_mismatch", **pairs)
            await self._begin_anew()

    async def _begin_anew(self) -> None:
        """Take the books of the exchange over, as soon as it answers."""
        books = await self._books()
        while not self._waiting.empty():  # what the strategy of before has ordered
            self._waiting.get_nowait()
            self._waiting.task_done()
        if books.account is None:
            self._bot.begin_anew(None, ())
        else:
            past = told(books.account, books.orders, self._clock)
            self._bot.begin_anew(books.account, past)
            self._log.info("account_adopted", **self._bot.status())
        self._follow()

    async def _books(self) -> Books:
        """Ask for the account and its orders until the exchange answers."""
        is_said = False
        while True:
            try:
                return await self._desk.books()
            except ExchangeRefusedError as refusal:
                if refusal.is_final:
                    raise
                if not is_said:
                    self._log.warning(
                        "exchange_not_there", code=refusal.code, reason=refusal.detail
                    )
                is_said = True
            await asyncio.sleep(AGAIN_S)
