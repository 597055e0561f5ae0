"""Accounts that a scenario's events trade for: no strategy, and asked about like any other's."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Final

from bots.answers import AccountAnswer
from exchange.statement import AccountView
from market.orders import OrderFact, OrderFilled, OrderRejected
from simulation.recorder import Equity
from simulation.results import BotResult, as_it_stands

ZERO: Final = Decimal(0)


class Outsiders:
    """The accounts of a scenario's events, as the exchange and its facts show them.

    Args:
        names: the accounts.
        account: how one of them stands; None before its first order.
        starting_cash: what one that is never opened would have had.
    """

    def __init__(
        self,
        names: Iterable[str],
        account: Callable[[str], AccountView | None],
        starting_cash: Decimal,
    ) -> None:
        self._names = sorted(set(names))
        self._account, self._starting_cash = account, starting_cash
        self._placed: Counter[str] = Counter()
        self._fills: Counter[str] = Counter()
        self._refusals: dict[str, Counter[str]] = {name: Counter() for name in self._names}

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def orders(self, name: str) -> None:
        """Take note that an order goes out for one of them."""
        self._placed[name] += 1

    def hear(self, fact: OrderFact) -> None:
        """Take note of what became of an order, if it is of one of them."""
        if fact.account not in self._refusals:
            return
        if isinstance(fact, OrderFilled):
            self._fills[fact.account] += 1
        elif isinstance(fact, OrderRejected):
            self._refusals[fact.account][fact.code] += 1

    def equities(self) -> Iterator[tuple[str, Decimal]]:
        """Yield what each of them is worth, those that are open."""
        for name in self._names:
            if (account := self._account(name)) is not None:
                yield name, account.equity

    def result(self, name: str, equity: Equity, sample_s: float) -> BotResult:
        """Return what one of them has done."""
        account = self._account(name)
        return as_it_stands(account, self._starting_cash)(
            name=name,
            orders=self._placed[name],
            fills=self._fills[name],
            refusals=dict(sorted(self._refusals[name].items())),
            sharpe=equity.sharpe(sample_s),
            max_drawdown=equity.max_drawdown,
            hit_rate=None,
            agrees=account is None or adds_up(account),
            failure="",
        )


def adds_up(account: AccountAnswer | AccountView) -> bool:
    """Whether cash and positions come to the equity, where no other books are there to compare."""
    held = sum((each.quantity * each.mark for each in account.positions), ZERO)
    return account.equity == account.cash + held
