"""One agent: a bot of the live market, and how far away from the exchange it is."""

import dataclasses
import inspect
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from bots.bot import Bot
from bots.catalog import build, find
from bots.errors import StrategyBrokenError
from bots.settings import Settings
from bots.strategy import Strategy, StrategyError
from market.errors import InvalidValueError
from market.events import Fact
from market.orders import Command, OrderFilled, OrderRejected, PlaceOrder
from market.settings import Environment
from market.values import symbol
from simulation.config import AgentConfig
from simulation.errors import ConfigError
from simulation.latency import latency_of
from simulation.population import POPULATION
from sources.processes import generator

ZERO: Final = Decimal(0)


class Quiet:
    """Takes what a bot logs, and keeps the last warning of each kind."""

    def __init__(self) -> None:
        self.warnings: dict[str, str] = {}

    def info(self, event: str, **about: object) -> None:
        """Let it pass."""

    def warning(self, event: str, **about: object) -> None:
        """Keep it."""
        self.warnings[event] = " ".join(f"{name}={value}" for name, value in about.items())

    def error(self, event: str, **about: object) -> None:
        """Keep it, too."""
        self.warning(event, **about)


class Participant:
    """Hears facts, sends commands; the books, the checks and the strategy are the live bot's.

    Attributes:
        blotter: what it has earned, by its own count.
        failure: why it has left the market; "" while it is in it.
    """

    def __init__(self, name: str, config: AgentConfig, env: Environment, seed: int) -> None:
        self.name, self.config = name, config
        self.settings = _settings(name, config, env)
        self.symbols = frozenset(self.settings.symbols)
        self.log = Quiet()
        self.failure = ""
        self.placed = self.fills = self.closing = self.winning = 0
        self.refusals: dict[str, int] = {}
        self.latency = latency_of(config.latency).build(generator(seed, name, "latency"))
        self.hearing = latency_of(config.hearing).build(generator(seed, name, "hearing"))
        self.bot = Bot(
            partial(_strategy, config, self.settings, name, seed),
            account=name,
            starting_cash=self.starting_cash,
            log=self.log,
            most_failures=self.settings.max_failures,
            reports=False,
        )
        self.bot.begin_anew(None, ())

    @property
    def starting_cash(self) -> Decimal:
        """The cash that its account opens with."""
        given = self.config.starting_cash
        return self.settings.starting_cash if given is None else Decimal(str(given))

    @property
    def is_far(self) -> bool:
        """Whether facts take their time to reach it."""
        return bool(self.config.hearing)

    def hear(self, fact: Fact) -> Sequence[Command]:
        """Return what it orders on a fact, each order with a name of its own."""
        if self.failure:
            return ()
        try:
            found = self._filled(fact) if isinstance(fact, OrderFilled) else self.bot.hear(fact)
        except StrategyBrokenError as error:
            self.failure = str(error)
            return ()
        if isinstance(fact, OrderRejected):
            self.refusals[fact.code] = self.refusals.get(fact.code, 0) + 1
        return [self._named(command) for command in found] if found else ()

    def _filled(self, fill: OrderFilled) -> tuple[Command, ...]:
        blotter = self.bot.blotter
        position = blotter.positions.get(fill.symbol)
        held = ZERO if position is None else position.quantity
        before = blotter.realized_pnl
        found = self.bot.hear(fill)
        self.fills += 1
        if held * fill.side.sign < 0:
            self.closing += 1
            self.winning += blotter.realized_pnl > before
        return found

    def _named(self, command: Command) -> Command:
        """Give an order an id of its own, as a live bot does."""
        if not isinstance(command, PlaceOrder):
            return command
        self.placed += 1
        if command.client_order_id:
            return command
        return replace(command, client_order_id=f"{self.name}-{self.placed}")


def strategy_class(name: str) -> type[Strategy]:
    """Return the strategy of that name: of the bots, of the population, or in a file.

    Raises:
        StrategyError: there is none.
    """
    return POPULATION.get(name) or find(name)


def _settings(name: str, config: AgentConfig, env: Environment) -> Settings:
    only = tuple(map(symbol, config.symbols)) or None
    of = name if config.count == 1 else config.strategy
    settings = Settings.from_env(env, of, only)
    if config.amount is None:
        return settings
    amount = Decimal(str(config.amount))
    try:
        amounts = {of: settings.instruments[of].quantity(amount) for of in settings.symbols}
    except InvalidValueError as error:
        raise ConfigError(f"agents.{name}: amount: {error}") from error
    return dataclasses.replace(settings, amounts=amounts)


def _strategy(config: AgentConfig, settings: Settings, name: str, seed: int) -> Strategy:
    """Return a fresh strategy, offered what a live bot is, and what the configuration gives."""
    offers: dict[str, Any] = {
        "account": name,
        "symbols": settings.symbols,
        "amounts": settings.amounts,
        "instruments": settings.instruments,
        "rng": generator(seed, name, "strategy"),
    }
    found = strategy_class(config.strategy)
    if unknown := sorted(set(config.given) - set(inspect.signature(found).parameters)):
        raise StrategyError(f"{name}: with: {found.__name__} does not ask for {unknown[0]!r}")
    return build(found, offers | config.given)
