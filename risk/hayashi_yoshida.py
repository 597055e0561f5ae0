"""Covariance of prices that do not tick together, each tick in O(assets), exactly.

Source: Hayashi and Yoshida (2005), Bernoulli 11(2), 359-379: returns are multiplied wherever their
intervals overlap, so nothing is sampled and nothing shrinks. Variances are corrected for the bounce
between bid and ask to first order: Hansen and Lunde (2006), JBES 24(2), 127-161.
"""

from math import inf
from typing import Final

import numpy as np

from risk.arrays import Array, Numbers, numbers

_RESCALE: Final = 400.0  # half-lives: squares of weights still fit a double
_KNOWN: Final = 10  # intervals before the mean gap of an asset is believed
_MEMORY: Final = 50  # intervals that the mean gap remembers
_TINY: Final = 1e-300


class LiveCovariance:
    """Decayed covariance per second of N assets, for H half-lives at once.

    A pair's increment is weighed by ``2^(-age / half_life)`` of the later of its two ends, and the
    rate is ``sum w r_i r_j / sum w overlap``. Weights grow instead of sums shrinking, so that decay
    costs nothing. Memory is 5 H N^2 floats. Rates are not always positive semidefinite.

    Ties: ticks of one instant act as if they came at once, whatever their order; several ticks of
    one asset at one instant count as the last of them. Gaps: a return over more than a quarter of a
    half-life (and ten mean gaps) is left out for that half-life, and its decay stands still.
    """

    def __init__(self, size: int, half_lives_s: tuple[float, ...]) -> None:
        if not half_lives_s or min(half_lives_s) <= 0:
            raise ValueError("half-lives are positive, and there is one at least")
        self.size, self.half_lives_s, h = size, half_lives_s, len(half_lives_s)
        shape = (size, h, size)  # a row of every half-life lies in one piece
        self._rates, self._sums, self._spans = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self._seen, self._before = np.zeros(shape), np.zeros(shape)
        self._levels, self._times = np.zeros(size), np.full(size, -np.inf)
        self._first = np.full((h, size), np.inf)
        self._tracks = [_Track(h) for _ in range(size)]
        self.intervals = np.zeros(size, dtype=np.int64)
        self.mean_gap_s = np.zeros(size)
        self.left_out = [0] * h
        self._origin, self._frozen = 0.0, [0.0] * h
        self._latest = -inf
        self._tied: list[int] = []

    @property
    def rates(self) -> Array:
        """The covariance per second, a view of shape (half-lives, assets, assets)."""
        return self._rates.transpose(1, 0, 2)

    def update(self, i: int, time_s: float, level: float) -> Array | None:
        """Take a tick of asset ``i``: its log price (or price, by differences) at ``time_s``.

        Returns:
            the change of row ``i`` of ``rates``, shape (half-lives, assets); None when it has none.
        Raises:
            ValueError: the time is before that of the latest tick.
        """
        if time_s < self._latest:
            raise ValueError(f"time went back by {self._latest - time_s:g} s")
        track = self._tracks[i]
        if track.time == -inf:
            self._begin(i, time_s, level)
            return None
        if time_s == track.time:
            self._correct(i, level)
        else:
            self._extend(i, time_s, level)
        row: Array = self._sums[i] / np.maximum(self._spans[i], _TINY)
        change: Array = row - self._rates[i]
        self._rates[i] = row
        self._rates[:, :, i] = row.T
        return change

    def forget(self, i: int) -> None:
        """Start anew with asset ``i``: nothing known of it, no price seen."""
        for table in (self._rates, self._sums, self._spans):
            table[i] = table[:, :, i] = 0
        self._tracks[i] = _Track(len(self.half_lives_s))
        self._first[:, i], self._times[i] = np.inf, -np.inf
        self.intervals[i] = 0
        self._tied = [j for j in self._tied if j != i]

    def effective_sizes(self) -> Array:
        """Return how many equal returns each estimate is worth, shape (half-lives, assets)."""
        weight = np.array([track.weight for track in self._tracks]).T
        squares = np.array([track.squares for track in self._tracks]).T
        sizes: Array = weight**2 / np.maximum(squares, _TINY)
        return sizes

    def effective_size(self, k: int, i: int) -> float:
        """Return the same for half-life ``k`` of asset ``i`` alone."""
        track = self._tracks[i]
        return track.weight[k] ** 2 / max(track.squares[k], _TINY)

    def moments(self, k: int) -> tuple[Array, Array]:
        """Return the decayed sums and overlaps of half-life ``k`` as of the latest tick."""
        scale = 1 / self._weights(self._latest)[k]
        return self._sums[:, k] * scale, self._spans[:, k] * scale

    def gap_limits_s(self, i: int) -> list[float]:
        """Return how long a return of asset ``i`` may be, for each half-life."""
        if self._tracks[i].intervals < _KNOWN:
            return [inf] * len(self.half_lives_s)
        usual = 10 * self._tracks[i].mean_gap_s
        return [max(half_life / 4, usual) for half_life in self.half_lives_s]

    def _begin(self, i: int, time_s: float, level: float) -> None:
        if self._latest == -inf:
            self._origin = time_s
        self._levels[i], self._times[i], self._first[:, i] = level, time_s, time_s
        self._tracks[i].time, self._tracks[i].level = time_s, level
        for table in (self._seen, self._before):
            table[:, :, i] = level
            table[i] = self._levels
        self._arrive(i, time_s)

    def _extend(self, i: int, time_s: float, level: float) -> None:
        track, limits = self._tracks[i], self.gap_limits_s(i)
        gap = time_s - track.time
        self._freeze(time_s - self._latest, limits)
        weights = self._weights(time_s)
        if gap > min(limits):
            weights = [w if gap <= limit else 0.0 for w, limit in zip(weights, limits, strict=True)]
        overlap = self._times - np.maximum(track.time, self._first)
        np.maximum(overlap, 0, out=overlap)
        overlap[:, i] = gap
        overlap *= np.array(weights)[:, None]
        spans = self._spans[i]
        spans += overlap
        self._spans[:, :, i] = spans.T
        self._before[i] = self._seen[i]
        self._times[i] = track.time = time_s
        self._arrive(i, time_s)
        track.begin(weights)
        self._note_gap(i, gap, weights)
        self._move(i, level - track.level)

    def _correct(self, i: int, level: float) -> None:
        """Replace the price of this very instant: products are linear in it, so add the rest."""
        self._move(i, level - self._tracks[i].level)

    def _move(self, i: int, change: float) -> None:
        track = self._tracks[i]
        step = self._levels - self._before[i]
        step *= np.array([weight * change for weight in track.scale])[:, None]
        step[:, i] = track.move(change)
        sums = self._sums[i]
        sums += step
        self._sums[:, :, i] = sums.T
        self._levels[i] = track.level
        self._seen[i] = self._levels
        if 0.0 in track.scale:
            self._hide(i, change)
        if len(self._tied) > 1:  # else a tick of the same instant would count twice
            self._seen[self._tied, :, i] = track.level

    def _hide(self, i: int, change: float) -> None:
        """Let no other asset see a change that was left out."""
        track = self._tracks[i]
        which = np.array(track.scale) == 0
        self._seen[:, which, i] += change
        self._before[:, which, i] += change
        self._seen[i] = self._levels
        self._first[which, i] = track.time

    def _note_gap(self, i: int, gap: float, weights: list[float]) -> None:
        for k, weight in enumerate(weights):
            self.left_out[k] += not weight
        track = self._tracks[i]
        if track.intervals >= _KNOWN:  # one outage must not pass for a slow asset, many ticks may
            gap = min(gap, 10 * track.mean_gap_s)
        track.intervals += 1
        track.mean_gap_s += (gap - track.mean_gap_s) / min(track.intervals, _MEMORY)
        self.intervals[i], self.mean_gap_s[i] = track.intervals, track.mean_gap_s

    def _arrive(self, i: int, time_s: float) -> None:
        if time_s > self._latest:
            self._latest, self._tied = time_s, [i]
        elif i not in self._tied:
            self._tied.append(i)

    def _freeze(self, silence: float, limits: list[float]) -> None:
        if silence > min(limits):
            for k, limit in enumerate(limits):
                self._frozen[k] += silence if silence > limit else 0.0

    def _weights(self, time_s: float) -> list[float]:
        passed = time_s - self._origin
        pairs = zip(self._frozen, self.half_lives_s, strict=True)
        ages = [(passed - frozen) / half_life for frozen, half_life in pairs]
        if max(ages) > _RESCALE:
            self._rescale([2.0**-age for age in ages])
            self._origin, self._frozen = time_s, [0.0] * len(ages)
            return [1.0] * len(ages)
        return [2.0**age for age in ages]

    def _rescale(self, scales: list[float]) -> None:
        column = np.array(scales)[:, None]
        self._sums *= column
        self._spans *= column
        for track in self._tracks:
            track.rescale(scales)


class _Track:
    """What is kept of one asset, a number for each half-life."""

    __slots__ = (
        "earlier",
        "intervals",
        "last",
        "level",
        "mean_gap_s",
        "scale",
        "squares",
        "time",
        "weight",
    )

    def __init__(self, half_lives: int) -> None:
        self.time, self.level = -inf, 0.0
        self.intervals, self.mean_gap_s = 0, 0.0
        self.scale = [0.0] * half_lives  # weight of the last return: 0 where it was left out
        self.last, self.earlier = [0.0] * half_lives, [0.0] * half_lives
        self.weight, self.squares = [0.0] * half_lives, [0.0] * half_lives

    def begin(self, weights: list[float]) -> None:
        """Begin a return that counts with ``weights``."""
        self.scale, self.earlier, self.last = weights, self.last, [0.0] * len(weights)
        self.weight = [a + b for a, b in zip(self.weight, weights, strict=True)]
        self.squares = [a + b * b for a, b in zip(self.squares, weights, strict=True)]

    def move(self, change: float) -> list[float]:
        """Add ``change`` to the return; return what it adds to the bounce-corrected variance."""
        terms = zip(self.scale, self.last, self.earlier, strict=True)
        added = [w * change * (change + 2 * r + 2 * e) for w, r, e in terms]
        pairs = zip(self.scale, self.last, strict=True)
        self.last = [r + change if w else r for w, r in pairs]
        self.level += change
        return added

    def rescale(self, scales: list[float]) -> None:
        """Multiply every weight by that of its half-life."""
        self.scale = [a * b for a, b in zip(self.scale, scales, strict=True)]
        self.weight = [a * b for a, b in zip(self.weight, scales, strict=True)]
        self.squares = [a * b * b for a, b in zip(self.squares, scales, strict=True)]


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

    A rate, and not a mean of squares over ticks, so that a burst of ticks counts as the time it
    took.
    """
    t, r = numbers(times), np.diff(numbers(levels))
    if len(t) < 2:
        raise ValueError("a rate needs two prices")
    weights = np.exp2((t[1:] - t[-1]) / half_life_s)
    return float(weights @ (r * r)) / float(weights @ np.diff(t))
