"""From decimals to whole steps and back, exactly."""

from decimal import Context, Decimal
from typing import Final

from market.errors import OffGridError
from market.values import LIMIT, on_grid

_REMEMBERED: Final = 1 << 12  # a hundred bytes each, and prices soon come again


class Values(dict[int, Decimal]):
    """What whole steps come to, by their number: remembered, up to a bound, and else worked out."""

    def __init__(self, step: Decimal) -> None:
        super().__init__()
        self._step = step
        self._context = Context(prec=80)

    def __missing__(self, steps: int) -> Decimal:
        if len(self) >= _REMEMBERED:
            self.clear()
        value = self[steps] = self._context.multiply(self._step, steps)
        return value


class Grid:
    """The multiples of a step; what has been asked before is remembered, up to a bound.

    ``values`` is what so many steps come to, written with the decimals of the step.
    """

    __slots__ = ("_context", "_last", "_last_whole", "_what", "_wholes", "step", "values")

    def __init__(self, what: str, step: Decimal) -> None:
        self.step = step if int(step.as_tuple().exponent) <= 0 else step.quantize(Decimal(1))
        self.values = Values(self.step)
        self._what = what
        self._context = Context(prec=80)
        self._wholes: dict[Decimal, int] = {}
        self._last, self._last_whole = Decimal(0), 0  # often asked twice: once to see if it can be

    def whole(self, value: Decimal) -> int:
        """Return how many steps ``value`` is; raise OffGridError when it is off the grid."""
        if value is self._last:
            return self._last_whole
        try:
            steps = self._wholes.get(value)
        except TypeError:  # a signalling NaN has no hash
            steps = None
        if steps is None:
            return self._measured(value)
        self._last, self._last_whole = value, steps
        return steps

    def nearest(self, value: Decimal) -> int:
        """Return the steps nearest to ``value``, one at least; raise OffGridError for no number."""
        if value is self._last:
            return self._last_whole
        if not value.is_finite() or value <= 0:
            raise OffGridError(self._what, value, self.step)
        steps = self._wholes.get(value)
        if steps is None:
            return self._nearest(value)
        self._last, self._last_whole = value, steps
        return steps

    def value(self, steps: int) -> Decimal:
        """Return what ``steps`` steps come to, written with the decimals of the step."""
        return self.values[steps]

    def _measured(self, value: Decimal) -> int:
        steps = int(self._context.divide(on_grid(self._what, value, self.step), self.step))
        return self._remember(value, steps)

    def _nearest(self, value: Decimal) -> int:
        quotient = self._context.divide(value, self.step)
        steps = max(1, int(quotient.to_integral_value(context=self._context)))
        written = self.values[steps]
        if written >= LIMIT:
            raise OffGridError(self._what, written, self.step)
        return self._remember(value, steps) if written == value else steps

    def _remember(self, value: Decimal, steps: int) -> int:
        if len(self._wholes) >= _REMEMBERED:
            self._wholes.clear()
        self._wholes[value] = steps
        self._last, self._last_whole = value, steps
        return steps
