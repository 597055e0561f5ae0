"""From decimals to whole steps and back, exactly."""

from decimal import Context, Decimal
from typing import Final

from market.errors import OffGridError
from market.values import on_grid

_REMEMBERED: Final = 1 << 16


class Grid:
    """The multiples of a step; what has been asked before is remembered, up to a bound."""

    __slots__ = ("_context", "_values", "_what", "_wholes", "step")

    def __init__(self, what: str, step: Decimal) -> None:
        self.step = step if int(step.as_tuple().exponent) <= 0 else step.quantize(Decimal(1))
        self._what = what
        self._context = Context(prec=80)
        self._wholes: dict[Decimal, int] = {}
        self._values: dict[int, Decimal] = {}

    def whole(self, value: Decimal) -> int:
        """Return how many steps ``value`` is; raise OffGridError when it is off the grid."""
        steps = self._remembered(value)
        if steps is None:
            steps = int(self._context.divide(on_grid(self._what, value, self.step), self.step))
            if len(self._wholes) >= _REMEMBERED:
                self._wholes.clear()
            self._wholes[value] = steps
        return steps

    def nearest(self, value: Decimal) -> int:
        """Return the steps nearest to ``value``, one at least; raise OffGridError for no number."""
        known = self._remembered(value)
        if known is not None:
            return known
        if not value.is_finite() or value <= 0:
            raise OffGridError(self._what, value, self.step)
        steps = self._context.divide(value, self.step).to_integral_value(context=self._context)
        return self.whole(self.value(max(1, int(steps))))

    def _remembered(self, value: Decimal) -> int | None:
        try:
            return self._wholes.get(value)
        except TypeError:  # a signalling NaN has no hash
            return None

    def value(self, steps: int) -> Decimal:
        """Return what ``steps`` steps come to, written with the decimals of the step."""
        value = self._values.get(steps)
        if value is None:
            value = self._context.multiply(self.step, steps)
            if len(self._values) >= _REMEMBERED:
                self._values.clear()
            self._values[steps] = value
        return value
