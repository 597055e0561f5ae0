"""What can go wrong in risk: a number that cannot be had, a portfolio that cannot be."""

from market.errors import InvalidValueError, MarketError


class UnavailableError(MarketError, ValueError):
    """A number that cannot be had now; ``reason`` is what the report prints in its place."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidPortfolioError(InvalidValueError):
    """The portfolio cannot be: ``field`` is wrong, for ``problem``."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field, self.problem = field, problem


class UnknownAccountError(MarketError):
    """The exchange has no such account."""

    def __init__(self, account: str) -> None:
        super().__init__(f"the exchange has no account {account[:80]!r}")
        self.account = account


class KeyRefusedError(MarketError):
    """The exchange guards the account, and does not take the key that risk has for it."""

    def __init__(self, account: str, *, given: bool) -> None:
        what = "refuses the key" if given else "wants a key"
        super().__init__(
            f"the exchange {what} for {account[:80]!r}; RISK_API_KEYS=name:secret says which it is"
        )
        self.account = account


class ExchangeAwayError(MarketError):
    """The exchange does not answer, or not with what it should."""

    def __init__(self, problem: str, status: int = 0) -> None:
        super().__init__(f"the exchange is away: {problem}")
        self.problem, self.status = problem, status
