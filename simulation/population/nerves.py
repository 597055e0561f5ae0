"""How nervous a trader is: what moved of late, against what usually does, and what fell."""

from collections.abc import Mapping
from typing import Final, Self

from market.values import Symbol

MOST: Final = 10.0
LEAST: Final = 0.3


class Nerves:
    """The tension in each symbol: about 1 as a rule, more in turmoil and after a fall.

    ``tension = recent / usual + fear * max(0, mean / price - 1) / usual``: the mean size of the
    moves of the last ``memory`` ticks, and how far the price is below its mean of those, both in
    units of the mean size of a move over ``horizon`` ticks; each mean is exponential.

    Source:
        Traders that react to the volatility of their own horizon: Muller et al. (1997), Journal of
        Empirical Finance 4, 213-239, and Chiarella, Iori and Perello (2009), JEDC 33, 525-537; that
        falls stir more than rises: Black (1976), Proc. ASA, 177-181. The rule is ours.
    """

    def __init__(self, *, memory: float, horizon: float, fear: float) -> None:
        self._quick, self._slow, self._fear = 1 / memory, 1 / horizon, fear
        self._before: dict[Symbol, float] = {}
        self._mean: dict[Symbol, float] = {}
        self._recent: dict[Symbol, float] = {}
        self._usual: dict[Symbol, float] = {}

    @classmethod
    def of(cls, habits: Mapping[str, float]) -> Self:
        """Return the nerves of a trader with these habits."""
        return cls(memory=habits["memory"], horizon=habits["horizon"], fear=habits["fear"])

    def feel(self, of: Symbol, price: float) -> None:
        """Take in the price of a tick."""
        size = abs(price / self._before.get(of, price) - 1)
        self._before[of] = price
        for means, value, weight in (
            (self._mean, price, self._quick),
            (self._recent, size, self._quick),
            (self._usual, size, self._slow),
        ):
            old = means.setdefault(of, value)
            means[of] = old + weight * (value - old)

    def tension(self, of: Symbol) -> float:
        """Return how tense it is in a symbol; 1 where nothing is known yet."""
        usual = self._usual.get(of, 0.0)
        if not usual:
            return 1.0
        fall = max(0.0, self._mean[of] / self._before[of] - 1)
        return (self._recent[of] + self._fear * fall) / usual

    def activity(self, of: Symbol, alarm: float) -> float:
        """Return how many times as likely one acts: 1 when it is calm, 10 at most."""
        return min(MOST, 1 + alarm * max(0.0, self.tension(of) - 1))

    def width(self, of: Symbol, caution: float) -> float:
        """Return how many times as far away one quotes, 0.3 to 10."""
        return min(MOST, max(LEAST, 1 + caution * (self.tension(of) - 1)))
