"""One bot: its strategy, its books and its log; facts go in and commands come out."""

from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from bots.addressing import addressed
from bots.answers import AccountAnswer
from bots.blotter import Blotter
from bots.errors import StrategyBrokenError
from bots.strategy import Strategy
from bots.volatility import Volatility
from market.events import Fact, Gap, Lagging, Shutdown, Snapshot, SourceState, Tick
from market.feed import FeedEnded, FeedGarbled, FeedLost, FeedOpened
from market.orders import AmendRejected, Command, OrderFilled, OrderRejected
from market.values import Symbol

_OF_THE_LINE: Final = (FeedOpened, FeedLost, FeedGarbled, FeedEnded)


class Bot:
    """Keeps the books of a strategy, catches what it does wrong, and logs what becomes of it.

    Args:
        reports: whether fills are logged and status lines asked for; if not, it knows no value at
            risk.

    Attributes:
        failures: how often the strategy has failed, by what it raised and where.
    """

    def __init__(
        self,
        make: Callable[[], Strategy],
        *,
        account: str,
        starting_cash: Decimal,
        log: Any,
        most_failures: int = 10,
        reports: bool = True,
    ) -> None:
        self._make, self._account, self._log = make, account, log
        self._starting_cash, self._most_failures = starting_cash, most_failures
        self._strategy = make()
        self.blotter = Blotter(starting_cash)
        self._reports, self._volatility = reports, Volatility() if reports else None
        self.failures: Counter[str] = Counter()
        self._failures_in_a_row = self._refusals = 0
        self._refused: set[tuple[Symbol, str]] = set()  # and logged since the last status line
        self._is_lost: bool | None = None
        self._takes: dict[type[Fact], Callable[[Any], None]] = {
            Snapshot: self._begin,
            OrderFilled: self._fill,
            OrderRejected: self._refuse,
            AmendRejected: self._refuse,
            Gap: self._miss,
            Lagging: self._lag,
            SourceState: self._source,
            Shutdown: self._leave,
        }

    def hear(self, fact: Fact) -> tuple[Command, ...]:
        """Return what the strategy orders on a fact, which goes into the books first.

        Raises:
            StrategyBrokenError: it has failed too often in a row.
        """
        if isinstance(fact, Tick):  # nearly all of what is ever heard
            self.blotter.mark(fact.symbol, fact.price)
            if self._volatility is not None:
                self._volatility.seen(fact)
        elif isinstance(fact, _OF_THE_LINE):
            self._line(fact)
            return ()
        elif (take := self._takes.get(type(fact))) is not None:
            take(fact)
        return self._decided(fact)

    def begin_anew(self, account: AccountAnswer | None, told: Iterable[Fact]) -> None:
        """Start a fresh strategy on the books of the exchange, None when it has none yet.

        ``told`` is what the strategy hears of the past; what it orders on it is not sent.
        """
        marks = self.blotter.marks
        self.blotter = Blotter(self._starting_cash)
        self.blotter.marks = marks
        if account is not None:
            marks.update({each.symbol: each.mark for each in account.positions})
            self.blotter.adopt(
                cash=account.cash,
                realized_pnl=account.realized_pnl,
                fees=account.fees,
                positions=account.books(),
            )
        self._strategy = self._make()
        for fact in told:
            self._decided(fact)

    def report(self) -> None:
        """Log a status line; a refusal that was logged before it may be logged again after it."""
        self._refused.clear()
        self._log.info("status", **self.status())

    def status(self) -> dict[str, object]:
        """Return the figures of a status line; the value at risk is over a minute."""
        blotter = self.blotter
        exposures = [
            (of, float(position.quantity * blotter.marks.get(of, position.average_price)))
            for of, position in sorted(blotter.positions.items())
        ]
        known = self._volatility
        risk = None if known is None else known.value_at_risk_99(exposures)
        held = [f"{of}:{plain(each.quantity)}" for of, each in sorted(blotter.positions.items())]
        figures: dict[str, object] = {
            "equity": plain(blotter.equity),
            "cash": plain(blotter.cash),
            "realized_pnl": plain(blotter.realized_pnl),
            "unrealized_pnl": plain(blotter.unrealized_pnl),
            "value_at_risk_99": "unavailable" if risk is None else f"{risk:.2f}",
            "drawdown": f"{blotter.drawdown:.6f}",
            "position": ",".join(held) or "flat",
        }
        counts = {"refused": self._refusals, "failures": self.failures.total()}
        return figures | {name: count for name, count in counts.items() if count}

    def _decided(self, fact: Fact) -> tuple[Command, ...]:
        try:
            found = addressed(self._strategy.decide(fact), self._account)
        except Exception as error:  # noqa: BLE001  whatever a user's strategy may raise
            self._failed(fact, error)
            return ()
        self._failures_in_a_row = 0
        return found

    def _failed(self, fact: Fact, error: Exception) -> None:
        """Count a failure; its traceback is logged the first time."""
        self._failures_in_a_row += 1
        place = _place(error)
        self.failures[place] += 1
        if self.failures[place] == 1:
            self._log.error("strategy_failed", fact=type(fact).__name__, exc_info=error)
        if self._failures_in_a_row >= self._most_failures:
            raise StrategyBrokenError(
                f"the strategy failed {self._failures_in_a_row} times in a row, last with {error!r}"
            ) from error

    def _begin(self, fact: Snapshot) -> None:
        if self._volatility is not None:
            self._volatility.seen(fact)
        for tick in fact.ticks:
            self.blotter.mark(tick.symbol, tick.price)

    def _fill(self, fact: OrderFilled) -> None:
        realized = self.blotter.apply(fact)
        if not self._reports:
            return
        self._log.info(
            "fill",
            side=fact.side,
            symbol=fact.symbol,
            quantity=plain(fact.quantity),
            price=plain(fact.price),
            realized_pnl=plain(realized),
        )

    def _miss(self, fact: Gap) -> None:
        if self._volatility is not None:
            self._volatility.seen(fact)
        self._log.warning("gap", missed=fact.missed, reason=fact.reason)

    def _lag(self, fact: Lagging) -> None:
        self._log.warning("lagging", behind=fact.behind, limit=fact.limit)

    def _source(self, fact: SourceState) -> None:
        self._log.info("source", symbol=fact.symbol, state=fact.state)

    def _leave(self, fact: Shutdown) -> None:
        self._log.info("exchange_stopping", reason=fact.reason)

    def _refuse(self, fact: OrderRejected | AmendRejected) -> None:
        """Log a refusal the first time between two status lines, count it every time."""
        self._refusals += 1
        about = fact.symbol, fact.code
        if about not in self._refused:
            self._refused.add(about)
            self._log.warning(
                "order_refused", symbol=fact.symbol or "-", code=fact.code, reason=fact.reason
            )

    def _line(self, fact: Fact) -> None:
        """Log what happened to the line to the exchange; an outage once, however long."""
        match fact:
            case FeedOpened():
                self._log.info("feed_back" if self._is_lost else "feed_opened")
                self._is_lost = False
            case FeedLost():
                if not self._is_lost:
                    self._log.warning("feed_lost", reason=fact.reason)
                self._is_lost = True
            case FeedGarbled():
                self._log.warning("feed_garbled", problem=fact.problem)
            case FeedEnded():
                self._log.info("feed_ended")


def plain(value: Decimal) -> str:
    """Return a number as people write it: no exponent, no zeros at the end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _place(error: Exception) -> str:
    """Where an exception came from: its type and the line that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    kind = type(error).__name__
    if trace is None:
        return kind
    return f"{kind} at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
