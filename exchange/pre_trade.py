"""What risk lets an account do: an order that would make its risk larger may be denied.

Risk tells where each limited portfolio stands: ``active``, ``reducing`` or ``halted``. All of it is
fetched when risk says on its stream that a limit changed, and every second besides, so that an
order is decided here, from memory, without asking anyone. Whatever stands, cancels pass, and so do
orders that can only make a position smaller.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from time import monotonic
from typing import ClassVar, Final

import httpx
import msgspec
import structlog
from msgspec import Struct

from exchange.accounts import Account
from exchange.commands import AnyCommand
from exchange.positions import Position
from exchange.venue import Venue
from market.client import http_client
from market.errors import MarketError, StreamError
from market.events import Fact
from market.feed import Feed
from market.orders import AmendOrder, PlaceOrder
from market.settings import Environment, one_of, port, real
from market.values import LIMIT, Side, Symbol
from market.wire import Decoder

EVERY_S: Final = 1.0
TIMEOUT_S: Final = 1.0
_AGAIN_S: Final = 5.0

log = structlog.get_logger("exchange.pre_trade")


@dataclass(frozen=True, slots=True, kw_only=True)
class PreTradeSettings:
    """Whom to ask, and what happens to an order while nobody answers.

    Attributes:
        fail_open: take orders while risk is silent; else only those that reduce.
        silent_s: without an answer for this long risk is silent.
    """

    url: str
    fail_open: bool = False
    silent_s: float = 3.0

    @classmethod
    def from_env(cls, env: Environment) -> "PreTradeSettings | None":
        """Read the settings, None when risk is not asked; raise SettingsError for a wrong one."""
        if env.read("PRE_TRADE_RISK", one_of("on", "off")) == "off":
            return None
        own = f"http://{env.read('HOST', str)}:{env.read('RISK_PORT', port)}"
        return cls(
            url=env.read("RISK_URL", str, default=own).rstrip("/"),
            fail_open=env.read("PRE_TRADE_FAIL", one_of("closed", "open")) == "open",
            silent_s=env.read("PRE_TRADE_SILENT_S", real(0.1, 3600)),
        )


class Standing(StrEnum):
    """What an account may do: everything, or only less of what it holds."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


class LimitStanding(Struct, frozen=True):
    """One limit, its last value, and whether it is kept."""

    bound: float
    value: float
    state: str


class PortfolioStanding(Struct, frozen=True):
    """What risk says of one portfolio; ``account`` is "" where it is no account."""

    portfolio: str
    account: str
    standing: Standing
    limits: dict[str, LimitStanding]


class RiskLimitError(MarketError):
    """An order is denied: ``limit`` is at ``value``, and ``bound`` is all there may be."""

    def __init__(
        self, account: str, limit: str, bound: float, value: float, standing: Standing
    ) -> None:
        super().__init__(
            f"{limit} of {account} is {value:.10g}, its bound {bound:.10g}; it is {standing}, and"
            " only orders that reduce a position are taken"
        )
        self.account, self.limit, self.standing = account, limit, standing
        self.bound, self.value = bound, value


class LimitChanged(Fact, frozen=True):
    """A limit of a portfolio was breached, or is kept again: time to ask how all of them stand."""

    kind: ClassVar[str] = "limit"


class PreTrade:
    """Decides on orders by what risk told last.

    Args:
        settings: of it.
        now: a clock that never goes back, in seconds.
    """

    def __init__(self, settings: PreTradeSettings, now: Callable[[], float] = monotonic) -> None:
        self._settings, self._now = settings, now
        self._heard_at = now() - settings.silent_s
        self._standings: dict[str, list[PortfolioStanding]] = {}
        self._due = asyncio.Event()
        self._was_silent = False
        self.denied = 0

    async def run(self) -> None:
        """Keep up with risk until cancelled."""
        async with http_client() as client, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(client))
            while True:
                await self._ask(client)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._due.wait(), EVERY_S)
                self._due.clear()

    def learn(self, told: Sequence[PortfolioStanding]) -> None:
        """Take what risk says of all portfolios, in place of what it said before."""
        self._standings = {}
        for one in told:
            if one.account:
                self._standings.setdefault(one.account, []).append(one)
        self._heard_at = self._now()

    @property
    def is_silent(self) -> bool:
        """Whether risk has not answered for too long."""
        return self._now() - self._heard_at >= self._settings.silent_s

    def standings(self, account: str) -> Sequence[PortfolioStanding]:
        """Return what risk said last of an account; nothing is no limit."""
        return self._standings.get(account, ())

    def check(self, venue: Venue, command: AnyCommand) -> None:
        """Raise RiskLimitError when a command would add risk that may not be added."""
        asked = _asked(venue, command)
        if asked is None or asked.reduces:
            return
        try:
            self._judge(venue, asked)
        except RiskLimitError as error:
            self.denied += 1
            log.warning(
                "order_denied",
                account=error.account,
                limit=error.limit,
                value=error.value,
                bound=error.bound,
                standing=str(error.standing),
            )
            raise

    def _judge(self, venue: Venue, asked: "_Asked") -> None:
        silent_s = self._now() - self._heard_at
        if silent_s >= self._settings.silent_s and not self._settings.fail_open:
            bound = self._settings.silent_s
            raise RiskLimitError(
                asked.account, "risk_silence_s", bound, silent_s, Standing.REDUCING
            )
        for one in self.standings(asked.account):
            if one.standing is not Standing.ACTIVE:
                raise _breached(one)
            for name, value in asked.leads_to(venue).items():
                limit = one.limits.get(name)
                if limit is not None and value > limit.bound:
                    raise RiskLimitError(asked.account, name, limit.bound, value, one.standing)

    # -- risk ------------------------------------------------------------------------------------

    async def _ask(self, client: httpx.AsyncClient) -> None:
        try:
            answer = await client.get(f"{self._settings.url}/standings", timeout=TIMEOUT_S)
            answer.raise_for_status()
            self.learn(msgspec.json.decode(answer.content, type=list[PortfolioStanding]))
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            problem = f"{type(error).__name__}: {error}".rstrip(": ")
        else:
            problem = ""
        if self.is_silent != self._was_silent:
            self._was_silent = self.is_silent
            fails = "open" if self._settings.fail_open else "closed"
            state = "silent" if self._was_silent else "heard"
            log.warning("risk", state=state, fail=fails, why=problem)

    async def _listen(self, client: httpx.AsyncClient) -> None:
        """Ask at once whenever a limit changed, or the line did."""
        while True:
            feed = Feed(
                f"{self._settings.url}/stream?events=limit",
                client=client,
                decoder=Decoder((LimitChanged,)),
                retry_cap_s=2.0,
            )
            try:
                async for _ in feed:
                    self._due.set()
            except StreamError as error:
                log.warning("risk_stream_refused", problem=error.problem)
            await asyncio.sleep(_AGAIN_S)


class _Asked(Struct, frozen=True):
    """What an order leads to at most: the position of its symbol once all of them are filled."""

    account: str
    symbol: Symbol
    reduces: bool
    after: Decimal
    held: Account | None

    def leads_to(self, venue: Venue) -> Mapping[str, float]:
        """Return the exposures, in money, that limits may be set on."""
        marks = venue.marks
        mark = marks.get(self.symbol)
        if mark is None:
            return {}
        position = float(abs(self.after) * mark)
        others = self.held.positions.values() if self.held else ()
        gross = sum(
            float(abs(each.quantity) * marks[each.symbol])
            for each in others
            if each.quantity and each.symbol != self.symbol
        )
        return {"max_position": position, "max_gross": position + gross}


def _asked(venue: Venue, command: AnyCommand) -> _Asked | None:
    """Return what a command asks for; None when it cannot add to any position."""
    if isinstance(command, PlaceOrder):
        return _ordered(venue, command)
    return _amended(venue, command) if isinstance(command, AmendOrder) else None


def _ordered(venue: Venue, order: PlaceOrder) -> _Asked | None:
    name = order.client_order_id
    if name is not None and venue.blotter.named(order.account, name) is not None:
        return None  # said before: it gets the first answer
    if not 0 < order.quantity < LIMIT:
        return None  # the venue refuses it
    return _of(venue, order, order.quantity, Decimal(0))


def _amended(venue: Venue, command: AmendOrder) -> _Asked | None:
    ticket = venue.blotter.find(command.order_id)
    if ticket is None or not ticket.working:
        return None
    quantity = ticket.quantity if command.quantity is None else command.quantity
    if (quantity <= ticket.quantity and command.price is None) or not 0 < quantity < LIMIT:
        return None
    return _of(venue, ticket.order, quantity - ticket.filled, ticket.remaining)


def _of(venue: Venue, order: PlaceOrder, quantity: Decimal, replaced: Decimal) -> _Asked:
    """Return what ``quantity`` more of ``order`` leads to, ``replaced`` of it being open already.

    Counted with everything that is open on its side, it reduces when it can't turn the position.
    """
    held = venue.ledger.find(order.account)
    known = held.positions.get(order.symbol) if held is not None else None
    position = known or Position(order.symbol)
    if order.side is Side.BUY:
        after = position.quantity + position.buying + quantity - replaced
        reduces = position.quantity < 0 and after <= 0
    else:
        after = position.quantity - position.selling - quantity + replaced
        reduces = position.quantity > 0 and after >= 0
    return _Asked(order.account, order.symbol, reduces, after, held)


def _breached(one: PortfolioStanding) -> RiskLimitError:
    found = [(name, limit) for name, limit in one.limits.items() if limit.state == "breached"]
    name, limit = found[0] if found else ("standing", LimitStanding(0.0, 0.0, "breached"))
    return RiskLimitError(one.account, name, limit.bound, limit.value, one.standing)
