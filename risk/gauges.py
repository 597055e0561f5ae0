"""The numbers that limits are set on, kept from tick to tick."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import numpy as np

from risk.arrays import Array
from risk.covariance import MIN_EFFECTIVE_SIZE
from risk.exposures import Exposures
from risk.valuation import Valuation

REMAKE_TICKS: Final = 1_000_000
OF_ESTIMATES: Final = frozenset({"max_var", "max_historical_var"})


class Gauges:
    """What limits are read off, of one valuation.

    Attributes:
        drift: how far the variance had drifted when it was last made anew; None before.
    """

    def __init__(self, valuation: Valuation) -> None:
        self._valuation, self._warm, self._warm_of = valuation, False, -1
        self._headline = self._in_use = valuation.market.estimators.headline
        self._quick: Exposures | None = None
        self._quick_of, self._quick_rows, self._quick_ticks = 0, 0, 0
        self.drift: float | None = None

    def limited(self, i: int, names: Iterable[str]) -> dict[str, float]:
        """Return the numbers that limits are set on, right after a tick of asset ``i``.

        Those that need a price or an estimate which is not there yet are left out.
        """
        if not self._valuation.ready:
            self._quick = None
            return {}
        quick = self._quick_now(i)
        known = names if quick is not None else (n for n in names if n not in OF_ESTIMATES)
        return {name: _LIMITED[name](self._valuation, quick) for name in known}

    def begin_anew(self) -> None:
        """Forget what is kept from tick to tick: ticks were not told, or something else is held."""
        self._quick, self._warm = None, False

    def _quick_now(self, i: int) -> Exposures | None:
        """Return what the limits are read off right after a tick of ``i``; None while warming."""
        if not self._is_warm(i):
            self._quick = None
            return None
        if self._in_use == self._headline:
            return self._kept_current(i)
        quick, self._quick = self._make_quick(), None
        return quick  # of prices that come seldom: only the headline's rates are kept current

    def _is_warm(self, i: int) -> bool:
        """Tell whether everything held is known well enough, when only ``i`` may have changed."""
        market = self._valuation.market
        if self._warm_of != market.restarts:
            self._warm, self._warm_of = False, market.restarts
        size = market.live.effective_size(self._headline, i)
        if not self._warm or self._in_use != self._headline or size < MIN_EFFECTIVE_SIZE:
            self._in_use = self._valuation.half_life()
            self._warm = self._valuation.effective_size() >= MIN_EFFECTIVE_SIZE
        return self._warm

    def _kept_current(self, i: int) -> Exposures:
        """Return the exposures after the tick of asset ``i``; anew when something else happened."""
        market, quick = self._valuation.market, self._quick
        changed, change = market.changed
        if quick is None or market.restarts != self._quick_of or changed != i or change is None:
            return self._make_quick()
        quick.row_changed(i, change)
        quick.move(i, float(self._valuation.quantities[i]) * self._level_unit(i))
        self._quick_ticks += 1
        beat = market.reference is not None and market.reference.rows != self._quick_rows
        if beat or self._quick_ticks >= REMAKE_TICKS:
            self.drift = quick.remake()
            return self._make_quick()
        return quick

    def _make_quick(self) -> Exposures:
        held, market = self._valuation, self._valuation.market
        clock = market.reference
        rows = np.zeros((0, len(market.symbols))) if clock is None else clock.scenarios
        moves = [
            [shocks.get(name, shocks.get("*", 0.0)) for name in market.symbols]
            for shocks in held.terms.shocks.values()
        ]
        self._quick_of, self._quick_ticks = market.restarts, 0
        self._quick_rows = 0 if clock is None else clock.rows
        self._quick = Exposures(
            held.rates(self._in_use),
            held.exposures(),
            np.where(market.by_difference, rows, np.expm1(rows)),
            np.array(moves).reshape(-1, len(market.symbols)),
        )
        return self._quick

    def _level_unit(self, i: int) -> float:
        market = self._valuation.market
        return 1.0 if market.by_difference[i] else float(market.prices[i])


def _gaussian_loss(valuation: Valuation, quick: Exposures | None) -> float:
    return quick.gaussian(valuation.terms.horizon_s)[0.99][0] if quick else 0.0


def _historical_loss(_: Valuation, quick: Exposures | None) -> float:
    tails = quick.historical() if quick else {}
    return tails[0.99][0] if tails else 0.0


def _worst_stress(valuation: Valuation, quick: Exposures | None) -> float:
    return quick.worst_stress() if quick else max((0.0, *valuation.shocked().values()))


def _money(valuation: Valuation) -> Array:
    money: Array = np.abs(valuation.quantities * valuation.market.prices)
    return money


def _concentration(valuation: Valuation, _: Exposures | None) -> float:
    money = _money(valuation)
    gross = float(money.sum())
    return float(money.max(initial=0.0)) / gross if gross > 0 else 0.0


_LIMITED: Final[Mapping[str, Callable[[Valuation, Exposures | None], float]]] = {
    "max_var": _gaussian_loss,
    "max_historical_var": _historical_loss,
    "max_stress": _worst_stress,
    "max_drawdown": lambda valuation, _: valuation.guard.drawdown,
    "max_position": lambda valuation, _: float(_money(valuation).max(initial=0.0)),
    "max_gross": lambda valuation, _: float(_money(valuation).sum()),
    "max_concentration": _concentration,
    "max_stale_s": lambda valuation, _: valuation.oldest_s(),
}
