"""What a portfolio's risk was, from the events that were recorded: the same ones, the same bits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from market.events import Fact, Tick
from market.feed import FeedOpened
from market.wire import encode
from risk.errors import UnavailableError
from risk.limits import LimitChanged
from risk.monitor import Monitor
from risk.portfolio import Portfolio
from risk.report import BacktestChanged, PriceGapSeen, RiskReport
from risk.settings import Settings

MOST_POINTS: Final = 2000
MOST_FACTS: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """A beat of the clock: what was lost in it, and what each forecast had said before."""

    time: datetime
    loss: float
    forecasts: Mapping[str, float]


@dataclass(slots=True)
class Record:
    """A portfolio over a time.

    Attributes:
        facts: how many events were replayed.
        reports: of the portfolio, at most 2000, evenly spread in time.
        outcomes: every beat of the clock, with what was forecast for it.
        events: limits, traffic lights and gaps, as they happened.
        digest: SHA-256 over the reports and outcomes; two replays of the same events agree in it.
    """

    portfolio: str
    facts: int = 0
    reports: list[RiskReport] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    events: list[Fact] = field(default_factory=list)
    digest: str = ""

    @property
    def last(self) -> RiskReport:
        """The newest report."""
        return self.reports[-1]


def replay(
    facts: Iterable[Fact],
    settings: Settings,
    portfolio: Portfolio,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    points: int = MOST_POINTS,
) -> Record:
    """Return the record of a portfolio from ``since`` to ``until``; events before warm it up.

    Args:
        points: the most reports that it has.
    Raises:
        UnavailableError: there are no events of that time, or more than fit.
    """
    known = _bounded(facts, until)
    times = [fact.time for fact in known if isinstance(fact, Tick)]
    times = [time for time in times if since is None or time >= since]
    if not times:
        raise UnavailableError("there are no ticks of that time")
    step_s = max(settings.interval_s, (max(times) - times[0]).total_seconds() / points)
    return _Replay(settings, portfolio, times[0], timedelta(seconds=step_s)).record(known)


def _bounded(facts: Iterable[Fact], until: datetime | None) -> list[Fact]:
    found: list[Fact] = []
    for fact in facts:
        if until is None or not isinstance(fact, Tick) or fact.time <= until:
            found.append(fact)
        if len(found) > MOST_FACTS:
            raise UnavailableError(f"over {MOST_FACTS} events; choose a shorter time")
    return found


class _Replay:
    """One pass over recorded events."""

    def __init__(
        self, settings: Settings, portfolio: Portfolio, since: datetime, step: timedelta
    ) -> None:
        self._since, self._next, self._step = since, since, step
        self._monitor = Monitor(settings.symbols, settings.estimators, settings.terms)
        self._monitor.put(portfolio)
        self._monitor.take(FeedOpened())
        self._record = Record(portfolio.name)
        self._hash = sha256()
        self._monitor.contexts[portfolio.name].book.forecasts.on_score = self._score

    def record(self, facts: Iterable[Fact]) -> Record:
        """Return what comes of the facts, in their order."""
        made = self._record
        for fact in facts:
            made.facts += 1
            self._monitor.take(fact)
            news = self._monitor.news()
            if self._is_watched():
                made.events += (each for each in news if isinstance(each, _TOLD))
                self._sample()
        if not made.reports:
            raise UnavailableError("nothing can be said of that portfolio at that time")
        made.digest = self._hash.hexdigest()
        return made

    def _is_watched(self) -> bool:
        time = self._monitor.market.time
        return time is not None and time >= self._since

    def _sample(self) -> None:
        time = self._monitor.market.time
        if time is None or time < self._next:
            return
        report = self._monitor.report(self._record.portfolio)
        self._record.reports.append(report)
        self._hash.update(encode(report))
        self._next += (time - self._next) // self._step * self._step + self._step

    def _score(self, loss: float, forecasts: Mapping[str, float]) -> None:
        time = self._monitor.market.time
        if time is not None and time >= self._since:
            outcome = Outcome(time, loss, dict(forecasts))
            self._record.outcomes.append(outcome)
            self._hash.update(repr(outcome).encode())


_TOLD: Final = (LimitChanged, BacktestChanged, PriceGapSeen)
