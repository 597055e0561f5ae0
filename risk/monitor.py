"""The stream goes in, reports come out: pure, so that the same facts give the same bits.

No clock and no network: time is that of the facts. The same facts, cut and resumed anywhere and
with whatever replayed twice, leave the same state behind.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from market.errors import InvalidValueError
from market.events import Fact, Gap, Snapshot, SourceState, State, Tick
from market.feed import FeedEnded, FeedGarbled, FeedLost, FeedOpened
from market.values import Symbol
from risk.arrays import Array
from risk.contexts import PortfolioContext, RiskManagementContext
from risk.market_data import MarketData, MarketDataFactory
from risk.market_state import Estimators, MarketState
from risk.portfolio import Portfolio
from risk.report import PriceGapSeen, RiskReport
from risk.repositories import InMemoryPortfolioRepository
from risk.standings import Guard, StandingReport
from risk.terms import Terms
from risk.watermarks import Watermarks

MAX_NEWS: Final = 10_000
AHEAD: Final = timedelta(minutes=1)
"""How far in the future a tick may be: one that is further would hold time still for all others."""

log = structlog.get_logger("risk.monitor")


class Monitor:
    """Follows portfolios through one market.

    Args:
        symbols: of the market.
        estimators: how it is estimated.
        terms: what the numbers are told in.
        present: tells the time, to turn down ticks of the future; without it none is.
        guards: where an earlier process left the limits of each portfolio.

    Attributes:
        market: what is known of it.
        contexts: the risk context of each portfolio, by name.
        lost: why the stream is not to be trusted now; "" when it is.
        garbled, missed: frames that could not be read, and events that will never come.
    """

    def __init__(
        self,
        symbols: Iterable[Symbol],
        estimators: Estimators,
        terms: Terms,
        *,
        present: Callable[[], datetime] | None = None,
        guards: Mapping[str, Guard] | None = None,
    ) -> None:
        self.market = MarketState(tuple(symbols), estimators, self._score)
        self.terms, self._present = terms, present
        self.contexts: dict[str, RiskManagementContext] = {}
        self._guards = dict(guards or {})
        self._clocked: list[RiskManagementContext] = []
        self.marks = Watermarks()
        self.lost = "not connected yet"
        self.garbled, self.missed, self.rejected, self.lost_news = 0, 0, 0, 0
        self.sources: dict[Symbol, State] = {}
        self._data: dict[Symbol, MarketData] = {}
        self._holders: dict[Symbol, list[RiskManagementContext]] = {}
        self._news: list[Fact] = []
        self._reports: dict[str, tuple[int, RiskReport]] = {}
        self.version = 0

    # -- portfolios ------------------------------------------------------------------------------

    def put(self, portfolio: Portfolio) -> None:
        """Follow ``portfolio``, in place of one of the same name."""
        context = self.contexts.get(portfolio.name)
        if context is not None and context.portfolio_context.portfolio == portfolio:
            return
        if context is None:
            held = PortfolioContext(InMemoryPortfolioRepository(portfolio), name=portfolio.name)
            context = RiskManagementContext(held, self.market, self.terms)
            self.contexts[portfolio.name] = context
        for data in self._data.values():
            context.learn(data)
        context.replace(portfolio)
        if portfolio.name in self._guards:
            context.restore(self._guards.pop(portfolio.name))
        self._index()
        self.version += 1

    def drop(self, name: str) -> None:
        """Follow the portfolio no more; nothing happens when there is none of that name."""
        self.contexts.pop(name, None)
        self._reports.pop(name, None)
        self._index()

    def arm(self, name: str) -> None:
        """Let every limit of a portfolio count from now; KeyError when there is none such."""
        for fact in self.contexts[name].arm(self._now()):
            self._tell(fact)
        self.version += 1

    def standings(self) -> list[StandingReport]:
        """Return where every portfolio with limits stands, by name."""
        limited = (self.contexts[name] for name in sorted(self.contexts))
        return [context.standing_told() for context in limited if context.watches]

    def guards(self) -> dict[str, Guard]:
        """Return what has to survive a restart, of every portfolio with limits."""
        found = self.contexts.items()
        return {name: context.guard() for name, context in found if context.watches}

    def report(self, name: str) -> RiskReport:
        """Return the report as of the last fact.

        Raises:
            KeyError: there is no such portfolio.
            UnavailableError: nothing is known of the market yet.
        """
        version, kept = self._reports.get(name, (-1, None))
        if kept is not None and version == self.version:
            return kept
        context = self.contexts[name]
        made = context.report(lost=self._distrust(context))
        self._reports[name] = (self.version, made)
        return made

    def news(self) -> list[Fact]:
        """Return what happened besides the reports since this was last asked."""
        found, self._news = self._news, []
        return found

    # -- facts -----------------------------------------------------------------------------------

    def warm(self, ticks: Iterable[Tick]) -> int:
        """Let the estimators see the past, oldest first, and return how many ticks it had.

        Portfolios are valued at the last prices alone: their drawdown begins now.
        """
        news: dict[Symbol, MarketData] = {}
        count = 0
        for tick in sorted(ticks, key=lambda tick: tick.time):
            data = self._admitted(tick)
            if data is not None:
                self._see(data)
                news[data.symbol] = data
                count += 1
        for data in news.values():
            self._value(data)
        return count

    def take(self, fact: Fact) -> None:
        """Take the next fact of the stream, or of the line that it comes over."""
        self.version += 1
        match fact:
            case Tick():
                self._tick(fact)
            case Snapshot():
                self._snapshot(fact)
            case SourceState():
                if self.marks.note(fact):
                    self.sources[fact.symbol] = fact.state
            case Gap():
                self._gap(fact)
            case FeedOpened() | FeedLost() | FeedEnded() | FeedGarbled():
                self._line(fact)
            case _:
                self.version -= 1

    def _tick(self, tick: Tick) -> None:
        data = self._admitted(tick)
        if data is not None:
            self._see(data)
            self._value(data)

    def _admitted(self, tick: Tick) -> MarketData | None:
        try:
            data = self._checked(tick)
        except (InvalidValueError, OverflowError) as error:
            self.rejected += 1
            if not self.rejected & (self.rejected - 1):  # 1, 2, 4, 8: a liar must not fill the log
                problem = str(error)
                log.warning(
                    "tick_rejected", symbol=tick.symbol, problem=problem, so_far=self.rejected
                )
            return None
        return data if self.marks.admits(tick) else None

    def _checked(self, tick: Tick) -> MarketData:
        if self._present is not None and tick.time - self._present() > AHEAD:
            raise InvalidValueError(f"{tick.time} is in the future")
        return MarketDataFactory.of_tick(tick)

    def _see(self, data: MarketData) -> None:
        gap = self.market.see(data)
        if gap is not None:
            told = PriceGapSeen(
                time=self._now(), symbol=gap.symbol, seconds=gap.seconds, z_score=gap.z_score
            )
            self._tell(told)

    def _value(self, data: MarketData) -> None:
        self._data[data.symbol] = data
        for context in self._holders.get(data.symbol, ()):
            for fact in context.take(data):
                self._tell(fact)
        for context in self._clocked:
            for fact in context.wait(data):
                self._tell(fact)

    def _snapshot(self, snapshot: Snapshot) -> None:
        for tick in sorted(snapshot.ticks, key=lambda tick: tick.time):
            self._tick(tick)
        self.sources |= snapshot.sources

    def _gap(self, gap: Gap) -> None:
        self.missed += gap.missed
        if gap.reason == "epoch":  # another history: its numbers say nothing about ours
            self.marks.forget()
        log.warning("stream_gap", reason=gap.reason, missed=gap.missed)

    def _line(self, fact: FeedOpened | FeedLost | FeedEnded | FeedGarbled) -> None:
        match fact:
            case FeedOpened():
                self.lost = ""
            case FeedLost():
                self.lost = f"the stream is lost: {fact.reason}"
            case FeedEnded():
                self.lost = "the stream has ended"
            case FeedGarbled():
                self.garbled += 1
                if not self.garbled & (self.garbled - 1):
                    log.warning("frame_garbled", problem=fact.problem, so_far=self.garbled)

    def _distrust(self, context: RiskManagementContext) -> str:
        if self.lost:
            return self.lost
        held = context.portfolio_context.portfolio.symbols
        bad = [name for name in held if self.sources.get(name, State.UP) is not State.UP]
        return f"source not up: {', '.join(bad)}" if bad else ""

    def _score(self, row: Array) -> None:
        for context in self.contexts.values():
            for fact in context.score(row, self._now()):
                self._tell(fact)

    def _tell(self, fact: Fact) -> None:
        if len(self._news) < MAX_NEWS:
            self._news.append(fact)
        else:
            self.lost_news += 1

    def _now(self) -> datetime:
        return self.market.time or datetime.fromtimestamp(0, UTC)

    def _index(self) -> None:
        self._holders = {}
        for context in self.contexts.values():
            for name in context.portfolio_context.portfolio.symbols:
                self._holders.setdefault(name, []).append(context)
        self._clocked = [each for each in self.contexts.values() if "max_stale_s" in each.watches]
