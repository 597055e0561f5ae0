"""Covariance of prices that do not tick together, each tick in O(assets), exactly.

Source: Hayashi and Yoshida (2005), Bernoulli 11(2), 359-379: returns are multiplied wherever their
intervals overlap, so nothing is sampled and nothing shrinks. Variances are corrected for the bounce
between bid and ask to first order: Hansen and Lunde (2006), JBES 24(2), 127-161.
"""

from typing import Final

import numpy as np

from risk.arrays import Array, Flags, Numbers, numbers

_RESCALE: Final = 400.0  # half-lives: squares of weights still fit a double
_KNOWN: Final = 10  # intervals before the mean gap of an asset is believed
_MEMORY: Final = 50  # intervals that the mean gap remembers
_TINY: Final = 1e-300


class LiveCovariance:
    """Decayed covariance per second of N assets, for H half-lives at once.

    A pair's increment is weighed by ``2^(-age / half_life)`` of the later of its two ends, and the
    rate is ``sum w r_i r_j / sum w overlap``. Weights grow instead of sums shrinking, so that decay
    costs nothing. Memory is 5 H N^2 floats. Rates are not always positive semidefinite.

    Ties: ticks of one instant act as if they came at once, whatever their order; several ticks of one
    asset at one instant count as the last of them. Gaps: a return over more than a quarter of a
    half-life (and ten mean gaps) is left out for that half-life, and its decay stands still.
    """

    def __init__(self, size: int, half_lives_s: tuple[float, ...]) -> None:
        if not half_lives_s or min(half_lives_s) <= 0:
            raise ValueError("half-lives are positive, and there is one at least")
        h, shape = len(half_lives_s), (len(half_lives_s), size, size)
        self.size, self.half_lives_s = size, half_lives_s
        self.rates = np.zeros(shape)
        self._half = np.array(half_lives_s)
        self._sums, self._spans = np.zeros(shape), np.zeros(shape)
        self._seen, self._before = np.zeros(shape), np.zeros(shape)
        self._levels, self._times = np.zeros(size), np.full(size, -np.inf)
        self._first = np.full((h, size), np.inf)
        self._returns, self._earlier = np.zeros((h, size)), np.zeros((h, size))
        self._weight, self._squares = np.zeros((h, size)), np.zeros((h, size))
        self._scale = np.zeros((h, size))  # weight of the last return: 0 where it was left out
        self.intervals = np.zeros(size, dtype=np.int64)
        self.mean_gap_s = np.zeros(size)
        self.left_out = np.zeros(h, dtype=np.int64)
        self._origin, self._frozen = 0.0, np.zeros(h)
        self._latest = -np.inf
        self._tied: list[int] = []

    def update(self, i: int, time_s: float, level: float) -> Array | None:
        """Take a tick of asset ``i``: its log price (or price, by differences) at ``time_s``.

        Returns:
            the change of row ``i`` of ``rates``, shape (half-lives, assets); None when it has none.
        Raises:
            ValueError: the time is before that of the latest tick.
        """
        if time_s < self._latest:
            raise ValueError(f"time went back by {self._latest - time_s:g} s")
        if self._times[i] == -np.inf:
            self._begin(i, time_s, level)
            return None
        old = self.rates[:, i].copy()
        if time_s == self._times[i]:
            self._correct(i, level)
        else:
            self._extend(i, time_s, level)
        row: Array = self._sums[:, i] / np.maximum(self._spans[:, i], _TINY)
        self.rates[:, i] = row
        self.rates[:, :, i] = row
        change: Array = row - old
        return change

    def forget(self, i: int) -> None:
        """Start anew with asset ``i``: nothing known of it, no price seen."""
        for table in (self.rates, self._sums, self._spans):
            table[:, i, :] = table[:, :, i] = 0
        for row in (self._returns, self._earlier, self._weight, self._squares):
            row[:, i] = 0
        self._first[:, i], self._times[i] = np.inf, -np.inf
        self.intervals[i] = 0
        self._tied = [j for j in self._tied if j != i]

    def effective_sizes(self) -> Array:
        """Return how many equal returns each estimate is worth, shape (half-lives, assets)."""
        return np.asarray(self._weight**2 / np.maximum(self._squares, _TINY))

    def moments(self, k: int) -> tuple[Array, Array]:
        """Return the decayed sums and overlaps of half-life ``k`` as of the latest tick."""
        scale = 1 / float(self._weights(self._latest)[k])
        return self._sums[k] * scale, self._spans[k] * scale

    def gap_limits_s(self, i: int) -> Array:
        """Return how long a return of asset ``i`` may be, shape (half-lives,)."""
        if self.intervals[i] < _KNOWN:
            return np.full(len(self._half), np.inf)
        return np.maximum(self._half / 4, 10 * self.mean_gap_s[i])

    def _begin(self, i: int, time_s: float, level: float) -> None:
        if self._latest == -np.inf:
            self._origin = time_s
        self._levels[i], self._times[i], self._first[:, i] = level, time_s, time_s
        self._scale[:, i] = 0
        for table in (self._seen, self._before):
            table[:, :, i] = level
            table[:, i, :] = self._levels
        self._arrive(i, time_s)

    def _extend(self, i: int, time_s: float, level: float) -> None:
        gap, change = time_s - self._times[i], level - self._levels[i]
        kept = gap <= self.gap_limits_s(i)
        self._freeze(i, time_s)
        weights = self._weights(time_s) * kept
        overlap = self._times - np.maximum(self._times[i], self._first)
        np.maximum(overlap, 0, out=overlap)
        overlap[:, i] = gap
        self._spans[:, i] += weights[:, None] * overlap
        self._spans[:, :, i] = self._spans[:, i]
        self._earlier[:, i], self._returns[:, i] = self._returns[:, i], 0
        self._before[:, i], self._scale[:, i] = self._seen[:, i], weights
        self._times[i] = time_s
        self._arrive(i, time_s)
        self._move(i, change)
        self._weight[:, i] += weights
        self._squares[:, i] += weights * weights
        self._note_gap(i, gap, kept)
        if not kept.all():
            self._hide(i, change, ~kept)

    def _correct(self, i: int, level: float) -> None:
        """Replace the price of this very instant: products are linear in it, so add the rest."""
        change = level - self._levels[i]
        self._move(i, change)
        left_out = self._scale[:, i] == 0
        if left_out.any():
            self._hide(i, change, left_out)

    def _move(self, i: int, change: float) -> None:
        weight, last = self._scale[:, i], self._returns[:, i]
        kept = np.sign(weight)
        step = self._levels - self._before[:, i]
        step *= (weight * change)[:, None]
        step[:, i] = weight * change * (change + 2 * last + 2 * self._earlier[:, i])
        self._sums[:, i] += step
        self._sums[:, :, i] = self._sums[:, i]
        self._returns[:, i] = last + change * kept
        self._levels[i] += change
        self._seen[:, i] = self._levels
        if len(self._tied) > 1:  # else a tick of the same instant would count twice
            self._seen[:, self._tied, i] = self._levels[i]

    def _hide(self, i: int, change: float, which: Flags) -> None:
        """Let no other asset see a change that was left out."""
        self._seen[which, :, i] += change
        self._before[which, :, i] += change
        self._seen[which, i] = self._levels
        for j in self._tied:
            self._seen[which, j, i] = self._levels[i]
        self._first[which, i] = self._times[i]

    def _note_gap(self, i: int, gap: float, kept: Flags) -> None:
        self.left_out += ~kept
        if self.intervals[i] >= _KNOWN:  # one outage must not pass for a slow asset, many ticks may
            gap = min(gap, 10 * self.mean_gap_s[i])
        self.intervals[i] += 1
        self.mean_gap_s[i] += (gap - self.mean_gap_s[i]) / min(self.intervals[i], _MEMORY)

    def _arrive(self, i: int, time_s: float) -> None:
        if time_s > self._latest:
            self._latest, self._tied = time_s, [i]
        elif i not in self._tied:
            self._tied.append(i)

    def _freeze(self, i: int, time_s: float) -> None:
        silence = time_s - self._latest
        if silence > 0:
            self._frozen += silence * (silence > self.gap_limits_s(i))

    def _weights(self, time_s: float) -> Array:
        age = (time_s - self._origin - self._frozen) / self._half
        if age.max() > _RESCALE:
            self._rescale(age)
            self._origin, self._frozen = time_s, np.zeros(len(self._half))
            age = np.zeros(len(self._half))
        weights: Array = np.exp2(age)
        return weights

    def _rescale(self, age: Array) -> None:
        scale = np.exp2(-age)
        for table in (self._sums, self._spans):
            table *= scale[:, None, None]
        for row in (self._weight, self._scale):
            row *= scale[:, None]
        self._squares *= (scale * scale)[:, None]


def hayashi_yoshida(times_x: Numbers, x: Numbers, times_y: Numbers, y: Numbers) -> float:
    """Return the covariance of two price paths (levels, such as logs) over all of their overlap.

    Args:
        times_x, times_y: strictly increasing seconds; ``x``, ``y``: a level for each of them.
    Source: Hayashi and Yoshida (2005), equation 2.1, by brute force over all pairs of intervals.
    """
    tx, ty, dx, dy = numbers(times_x), numbers(times_y), np.diff(numbers(x)), np.diff(numbers(y))
    overlap = (np.minimum.outer(tx[1:], ty[1:]) - np.maximum.outer(tx[:-1], ty[:-1])) > 0
    return float(dx @ (overlap @ dy))


def decayed_rate(times: Numbers, levels: Numbers, half_life_s: float) -> float:
    """Return the variance per second, ``sum w r^2 / sum w dt``, weighed by the age of each return.

    A rate, and not a mean of squares over ticks, so that a burst of ticks counts as the time it took.
    """
    t, r = numbers(times), np.diff(numbers(levels))
    if len(t) < 2:
        raise ValueError("a rate needs two prices")
    weights = np.exp2((t[1:] - t[-1]) / half_life_s)
    return float(weights @ (r * r)) / float(weights @ np.diff(t))
