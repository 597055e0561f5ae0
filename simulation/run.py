"""One run: sources, exchange, agents and risk, the live ones, wired on virtual time."""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import Final

import msgspec

from bots.answers import AccountAnswer, differences
from exchange.settings import Settings as ExchangeSettings
from exchange.statement import AccountView
from market.clock import ManualClock
from market.events import Fact
from market.orders import HaltTrading, PlaceOrder, ResumeTrading
from market.values import Symbol
from market.wire import encode
from simulation.actions import AnyEvent, events
from simulation.assertions import Assertion, failures, never_came
from simulation.audience import Audience
from simulation.chronicle import Chronicle
from simulation.config import DAY_S, RunConfig
from simulation.courier import Courier
from simulation.distortion import Distortion
from simulation.errors import ConfigError
from simulation.event_log import EventLog
from simulation.event_loop import ACTION, REPORT, SAMPLE, EventLoop
from simulation.line import Line, first_time
from simulation.outsider import Outsiders
from simulation.participant import Participant
from simulation.recorder import Recorder
from simulation.results import BotResult, RunResult, as_it_stands
from simulation.risk_watch import RiskWatch
from simulation.trading_floor import Journal, TradingFloor

BREATHS: Final = 500  # times that a run tells how far it is

Progress = Callable[[float], None]


class Simulation:
    """A market that has not begun yet; `run` it once.

    Args:
        config: everything but the seed.
        seed: of every generator; with the configuration it decides every byte of the event log.
        log: takes the facts.
        journal: keeps the commands, as the live exchange's journal does; None keeps none.

    Attributes:
        recorder: equity, prices and fills over time.
        risk: what risk has seen; None where it is off.
    """

    def __init__(
        self, config: RunConfig, seed: int, log: EventLog, journal: Journal | None = None
    ) -> None:
        env = config.environment
        self.config, self.seed, self.log = config, seed, log
        self.loop = EventLoop(ManualClock(first_time(config)))
        self.participants = {
            name: Participant(name, agent, env, seed) for name, agent in config.population.items()
        }
        settings = ExchangeSettings.from_env(env)
        symbols = tuple(settings.instruments)
        scenario = events(config.event)
        others = {name for event in scenario for name in event.accounts} - set(self.participants)
        self.recorder = Recorder(symbols, (*self.participants, *sorted(others)))
        self.risk = RiskWatch(env) if config.risk.on else None
        self._check_assertions(symbols)
        self._chronicle = Chronicle(self.loop, self._write_down)
        audience = Audience(self._chronicle)
        asks_books = any("book" in agent.config.events for agent in self.participants.values())
        self.floor = TradingFloor(
            settings,
            settings.charter,
            self.loop,
            publish=audience.publish,
            tell=audience.tell,
            books=audience.show if asks_books else None,
            journal=journal,
        )
        self.outsiders = Outsiders(others, self.floor.venue.account, settings.charter.starting_cash)
        audience.others = self.outsiders.hear
        self.lines = {
            symbol: Line(config, env, of, seed, self.loop, self.floor)
            for symbol, of in settings.instruments.items()
        }
        self._couriers = {
            name: Courier(agent, self.loop, self.floor.execute)
            for name, agent in self.participants.items()
        }
        for name, agent in self.participants.items():
            audience.seat(self._couriers[name], agent)
        self._open_accounts()
        for event in scenario:
            self._schedule(event)

    def run(self, progress: Progress = lambda _: None) -> RunResult:
        """Run to the end and return what it came to; ``progress`` hears the share that is done."""
        until = round(self.config.days * DAY_S * 1e6) - 1
        for name, agent in self.participants.items():
            self._couriers[name].deliver(self.floor.snapshot(agent.symbols))
        for line in self.lines.values():
            line.begin()
        self.loop.at(0, SAMPLE, self._sample)
        if self.risk is not None:
            self.loop.after(self._report_us, REPORT, self._report)
        try:
            with _little_garbage():
                for breath in range(1, BREATHS + 1):
                    self.loop.run(until * breath // BREATHS)
                    progress(breath / BREATHS)
        finally:
            self._chronicle.catch_up()
        return self._result()

    # -- stage -----------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """The seconds since the start."""
        return self.loop.seconds

    def distortion(self, symbol: str) -> Distortion:
        """Return what changes the ticks of a symbol; raise ConfigError when it is unknown."""
        return self._line(symbol).distortion

    def order(self, order: PlaceOrder, terms: Mapping[str, object]) -> None:
        """Place an order for an account that opens on these terms."""
        if self.floor.venue.account(order.account) is None:
            try:
                self.floor.configure(order.account, terms)
            except ValueError as error:
                raise ConfigError(f"an event's account {error}") from error
        self.outsiders.orders(order.account)
        self.floor.execute(order.account, order)

    def lose(self, symbol: str) -> None:
        """Break the line to a source."""
        self.floor.lose(self._line(symbol).symbol, "the scenario says so")

    def find(self, symbol: str) -> None:
        """Mend the line to a source."""
        self.floor.find(self._line(symbol).symbol)

    def halt(self, symbol: str) -> None:
        """Stop the trading of an instrument."""
        self.floor.regulate(HaltTrading(symbol=self._line(symbol).symbol))

    def resume(self, symbol: str) -> None:
        """Open an instrument to trading again."""
        self.floor.regulate(ResumeTrading(symbol=self._line(symbol).symbol))

    def thin(self, quantity: Decimal | None, levels: int | None) -> None:
        """Have the house quote less; as before without arguments."""
        self.floor.thin(quantity, levels)

    def later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Do something after a while."""
        self.loop.after(round(delay_s * 1e6), ACTION, action)

    def _line(self, symbol: str) -> Line:
        try:
            return self.lines[Symbol(symbol)]
        except KeyError:
            known = ", ".join(self.lines)
            raise ConfigError(f"there is no {symbol!r}, only {known}") from None

    def _schedule(self, event: AnyEvent) -> None:
        act = partial(event.perform, self)
        if event.symbol:
            self._line(event.symbol)
        if event.tick is not None:
            self._line(event.symbol).at_tick(event.tick, act)
            return
        at_s, end_s = event.at_s or 0.0, self.config.days * DAY_S
        if at_s >= end_s:
            raise ConfigError(f"an event at_s {at_s:g} is after the end, {end_s:g} s")
        self.loop.at(round(at_s * 1e6), ACTION, act)

    def _check_assertions(self, symbols: tuple[Symbol, ...]) -> None:
        portfolios = () if self.risk is None else tuple(self.risk.watched)
        if portfolios and self.config.risk.accounts:
            portfolios += tuple(f"account:{name}" for name in self.participants)
        known = {"agent": self.recorder.equity, "symbol": symbols, "portfolio": portfolios}
        for text in self.config.assertions:
            Assertion(text).check(known)

    # -- facts -----------------------------------------------------------------------------------

    def _write_down(self, facts: Sequence[Fact], seconds: Sequence[float]) -> None:
        """Take what happened into the log, the figures and risk."""
        self.log.take(facts)
        self.recorder.take(facts, seconds)
        if self.risk is not None:
            self.risk.hear(facts)

    # -- figures ---------------------------------------------------------------------------------

    def _sample(self) -> None:
        seconds = self.loop.seconds
        for name, agent in self.participants.items():
            self.recorder.equity[name].sample(seconds, float(agent.bot.blotter.equity))
        for name, equity in self.outsiders.equities():
            self.recorder.equity[name].sample(seconds, float(equity))
        self.loop.after(round(self.config.sample_s * 1e6), SAMPLE, self._sample)

    @property
    def _report_us(self) -> int:
        return max(1, round(self.config.risk.report_s * 1e6))

    def _report(self) -> None:
        if self.risk is None:
            return
        self._chronicle.catch_up()
        if self.config.risk.accounts:
            for name in self.participants:
                if (account := self.floor.venue.account(name)) is not None:
                    self.risk.follow(account)
        self.risk.report(self.loop.seconds)
        self.loop.after(self._report_us, REPORT, self._report)

    def _open_accounts(self) -> None:
        """Open the accounts on their own terms, those that have any."""
        for name, agent in self.participants.items():
            config = agent.config
            given: dict[str, object] = {}
            if config.starting_cash is not None:
                given["starting_cash"] = agent.starting_cash
            if config.short_selling:
                given["short_selling"] = True
            if config.leverage is not None:
                given["leverage"] = Decimal(str(config.leverage))
            try:
                self.floor.configure(name, given)
            except ValueError as error:
                raise ConfigError(f"agents.{error}") from error

    def _result(self) -> RunResult:
        bots = [self._bot_result(agent) for agent in self.participants.values()]
        for bot in bots:
            self.log.line("account", encode((bot.name, bot.cash, bot.equity, bot.positions)))
        equity, sample_s = self.recorder.equity, self.config.sample_s
        bots += [self.outsiders.result(name, equity[name], sample_s) for name in self.outsiders]
        result = RunResult(
            name=self.config.name,
            config=self.config.digest,
            seed=self.seed,
            days=self.config.days,
            ticks=sum(of.ticks for of in self.recorder.instruments.values()),
            orders=self.floor.orders,
            trades=self.floor.trades,
            events=self.log.length,
            log=self.log.digest,
            bots=tuple(sorted(bots, key=lambda bot: bot.name)),
            markets=tuple(
                of.result(self.floor.merging.sources[Symbol(symbol)].faults)
                for symbol, of in self.recorder.instruments.items()
            ),
            risk=self.risk.results() if self.risk is not None else (),
        )
        missed = [(symbol, n) for symbol, line in self.lines.items() for n in line.awaited]
        failed = failures(self.config.assertions, result) + never_came(missed)
        return msgspec.structs.replace(result, failed=failed)

    def _bot_result(self, agent: Participant) -> BotResult:
        account = self.floor.venue.account(agent.name)
        blotter, equity = agent.bot.blotter, self.recorder.equity[agent.name]
        answer = None if account is None else as_answer(account)
        return as_it_stands(account, agent.starting_cash)(
            name=agent.name,
            orders=agent.placed,
            fills=agent.fills,
            refusals=dict(sorted(agent.refusals.items())),
            sharpe=equity.sharpe(self.config.sample_s),
            max_drawdown=equity.max_drawdown,
            hit_rate=agent.winning / agent.closing if agent.closing else None,
            agrees=not differences(blotter, answer),
            failure=agent.failure,
            failures=dict(sorted(agent.bot.failures.items())),
        )


def simulate(config: RunConfig, seed: int, progress: Progress = lambda _: None) -> RunResult:
    """Return what a run comes to; nothing is written anywhere."""
    with EventLog() as log:
        return Simulation(config, seed, log).run(progress)


def as_answer(account: AccountView) -> AccountAnswer:
    """Return an account as a bot reads it from the exchange's answer."""
    return msgspec.convert(account, AccountAnswer, from_attributes=True)


@contextmanager
def _little_garbage() -> Iterator[None]:
    """Look for cycles rarely meanwhile: facts, orders and results form none.

    What somebody else has frozen stays frozen.
    """
    before, ours = gc.get_threshold(), not gc.get_freeze_count()
    gc.collect()
    if ours:
        gc.freeze()
    gc.set_threshold(200_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        if ours:
            gc.unfreeze()
