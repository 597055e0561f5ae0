"""Who has won the most."""

from decimal import Decimal

from msgspec import Struct

from exchange.positions import MONEY
from exchange.statement import AccountView


class Standing(Struct, frozen=True, kw_only=True):
    """An account's place among all, by what it has won or lost."""

    rank: int
    account: str
    equity: Decimal
    profit: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees: Decimal

    def __str__(self) -> str:
        return f"{self.rank}. {self.account} {self.profit:+.2f}"


def standings(accounts: list[AccountView]) -> list[Standing]:
    """Return the accounts by profit, the largest first, equal ones by name."""
    profits = [MONEY.subtract(one.equity, one.starting_cash) for one in accounts]
    ranked = sorted(
        zip(profits, accounts, strict=True),
        key=lambda both: (both[0].copy_negate(), both[1].account),
    )
    return [
        Standing(
            rank=rank,
            account=one.account,
            equity=one.equity,
            profit=profit,
            realized_pnl=one.realized_pnl,
            unrealized_pnl=one.unrealized_pnl,
            fees=one.fees,
        )
        for rank, (profit, one) in enumerate(ranked, start=1)
    ]
