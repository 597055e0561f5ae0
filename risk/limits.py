"""Limits of a portfolio: a breach is confirmed over several ticks, and ends only well below.

A breached limit leaves the portfolio ``reducing`` until it is kept again. A breached drawdown
leaves it ``halted``: that ends when somebody says so, and not because the market came back.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Final

from msgspec import Struct

from market.events import Fact
from risk.errors import InvalidPortfolioError

CONFIRM_TICKS: Final = 3
RELEASE: Final = 0.9


class Limits(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a portfolio may not exceed; ``None`` is no limit.

    Attributes:
        max_var: Gaussian value at risk at 99 % over the horizon, money.
        max_historical_var: the same from past rows of the reference clock, money of one row.
        max_stress: loss in the worst of the named scenarios, money.
        max_drawdown: share of the highest value since watched.
        max_position: largest exposure to one asset, long or short, money.
        max_gross: sum of all exposures, long and short, money.
        max_concentration: largest exposure as a share of the gross.
        max_stale_s: age of the oldest held price, seconds.
    """

    max_var: float | None = None
    max_historical_var: float | None = None
    max_stress: float | None = None
    max_drawdown: float | None = None
    max_position: float | None = None
    max_gross: float | None = None
    max_concentration: float | None = None
    max_stale_s: float | None = None

    def bounds(self) -> dict[str, float]:
        """Return the limits that are set; raise InvalidPortfolioError when one is not positive."""
        found = {name: getattr(self, name) for name in self.__struct_fields__}
        given = {name: bound for name, bound in found.items() if bound is not None}
        for name, bound in given.items():
            if not 0 < bound < 1e18:
                raise InvalidPortfolioError(f"limits.{name}", f"{bound} is not a positive bound")
        return given


class LimitState(StrEnum):
    """Whether a limit holds."""

    KEPT = "kept"
    BREACHED = "breached"


class Standing(StrEnum):
    """What a portfolio may do: everything, or only less of what it holds."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


HALTING: Final = frozenset({"max_drawdown"})
"""Limits whose breach lasts until the portfolio is armed again by hand."""


class LimitChanged(Fact, frozen=True, kw_only=True):
    """A limit was breached, or is kept again; ``standing`` is the portfolio's after it."""

    kind: ClassVar[str] = "limit"

    time: datetime
    portfolio: str
    account: str
    limit: str
    bound: float
    value: float
    state: LimitState
    standing: Standing

    @property
    def subject(self) -> str:
        """The portfolio, by which readers filter."""
        return self.portfolio


class Watch:
    """One limit: breached after ``confirm`` ticks above it, kept after as many below 90 % of it.

    Args:
        is_halting: stay breached until armed again.
    """

    def __init__(
        self, bound: float, *, confirm: int = CONFIRM_TICKS, is_halting: bool = False
    ) -> None:
        self.bound, self.value, self.state = bound, 0.0, LimitState.KEPT
        self.is_halting = is_halting
        self._confirm, self._streak = confirm, 0

    def see(self, value: float) -> LimitState | None:
        """Take the newest value; return the new state when it changes."""
        self.value = value
        if self.state is LimitState.KEPT:
            against = value > self.bound
        else:
            against = not self.is_halting and value < RELEASE * self.bound
        self._streak = self._streak + 1 if against else 0
        if self._streak < self._confirm:
            return None
        self._streak = 0
        kept = self.state is LimitState.KEPT
        self.state = LimitState.BREACHED if kept else LimitState.KEPT
        return self.state

    def arm(self) -> bool:
        """Count from nothing; return whether the limit was breached."""
        was, self.state, self._streak = self.state, LimitState.KEPT, 0
        return was is LimitState.BREACHED

    def halt(self, value: float) -> None:
        """Be breached, as it was before a restart."""
        self.value, self.state = value, LimitState.BREACHED

    @property
    def standing(self) -> Standing:
        """What this limit alone lets the portfolio do."""
        if self.state is LimitState.KEPT:
            return Standing.ACTIVE
        return Standing.HALTED if self.is_halting else Standing.REDUCING


def worst(standings: Iterable[Standing]) -> Standing:
    """Return the strictest of them, active when there is none."""
    found = set(standings)
    return next((each for each in reversed(Standing) if each in found), Standing.ACTIVE)
