"""Covariance of prices that do not tick together, each tick in O(assets), exactly.

Source: Hayashi and Yoshida (2005), Bernoulli 11(2), 359-379: returns are multiplied wherever their
intervals overlap, so nothing is sampled and nothing shrinks. Variances are corrected for the bounce
between bid and ask to first order: Hansen and Lunde (2006), JBES 24(2), 127-161.
"""

from math import inf
from typing import Final

import numpy as np

from risk.arrays import Array, Numbers, numbers
from risk.pair_sums import TINY, PairSums
from risk.tracks import Track

_RESCALE: Final = 400.0  # half-lives: squares of weights still fit a double
_KNOWN: Final = 10  # intervals before the mean gap of an asset is believed
_MEMORY: Final = 50  # intervals that the mean gap remembers
_NOTHING: Final = np.zeros(())  # as an array, for the operations that would make one of 0.0


class LiveCovariance:
    """Decayed covariance per second of N assets, for H half-lives at once.

    A pair's increment is weighed by ``2^(-age / half_life)`` of the later of its two ends, and the
    rate is ``sum w r_i r_j / sum w overlap``. Weights grow instead of sums shrinking, so that decay
    costs nothing. Memory is 4 H N^2 floats. ``headline_rates`` are those of one half-life, the very
    table, kept current; ``rates`` are those of all. Rates are not always positive semidefinite.

    Ties: ticks of one instant act as if they came at once, whatever their order; several ticks of
    one asset at one instant count as the last of them. Gaps: a return over more than a quarter of a
    half-life (and ten mean gaps) is left out for that half-life, and its decay stands still.
    """

    def __init__(self, size: int, half_lives_s: tuple[float, ...], headline: int = 0) -> None:
        if not half_lives_s or min(half_lives_s) <= 0:
            raise ValueError("half-lives are positive, and there is one at least")
        self.size, self.half_lives_s, h = size, half_lives_s, len(half_lives_s)
        self.headline_rates = np.zeros((size, size))
        self.intervals = np.zeros(size, dtype=np.int64)
        self.mean_gap_s = np.zeros(size)
        self.left_out = [0] * h
        self._pairs = PairSums(size, h, headline, self.headline_rates)
        self._seen = [np.zeros((h, size)) for _ in range(size)]
        self._before = [np.zeros((h, size)) for _ in range(size)]
        self._levels, self._times = np.zeros(size), np.full(size, -np.inf)
        self._first, self._newest_first = np.full((h, size), np.inf), -inf
        self._tracks = [Track(h) for _ in range(size)]
        self._origin, self._frozen = 0.0, [0.0] * h
        self._latest, self._never_a_gap_s = -inf, min(half_lives_s) / 4
        self._tied: list[int] = []
        self._overlap = np.zeros(size)
        self._rates: Array | None = None

    @property
    def rates(self) -> Array:
        """The covariance per second, shape (half-lives, assets, assets), made when asked for."""
        if self._rates is None:
            found = [self._moments(k) for k in range(len(self.half_lives_s))]
            self._rates = np.array([sums / np.maximum(spans, TINY) for sums, spans in found])
        return self._rates

    def rates_of(self, k: int) -> Array:
        """Return the covariance per second of half-life ``k`` alone, shape (assets, assets)."""
        if self._rates is not None:
            found: Array = self._rates[k]
            return found
        sums, spans = self._moments(k)
        return np.asarray(sums / np.maximum(spans, TINY))

    def update(self, i: int, time_s: float, level: float) -> Array | None:
        """Take a tick of asset ``i``: its log price (or price, by differences) at ``time_s``.

        Returns:
            the change of row ``i`` of ``headline_rates``, shape (assets,), good until the next
            tick; None when it has none.
        Raises:
            ValueError: the time is before that of the latest tick.
        """
        if time_s < self._latest:
            raise ValueError(f"time went back by {self._latest - time_s:g} s")
        track, self._rates = self._tracks[i], None
        if track.time == -inf:
            self._begin(i, time_s, level)
            return None
        if time_s == track.time:
            self._correct(i, level)
        else:
            self._extend(i, time_s, level)
        return self._pairs.rated(i, track)

    def forget(self, i: int) -> None:
        """Start anew with asset ``i``: nothing known of it, no price seen."""
        self._pairs.forget(i)
        self._rates, self._tracks[i] = None, Track(len(self.half_lives_s))
        self._first[:, i], self._times[i] = np.inf, -np.inf
        self.intervals[i] = 0
        self._tied = [j for j in self._tied if j != i]

    def effective_sizes(self) -> Array:
        """Return how many equal returns each estimate is worth, shape (half-lives, assets)."""
        weight = np.array([track.weight for track in self._tracks]).T
        squares = np.array([track.squares for track in self._tracks]).T
        sizes: Array = weight**2 / np.maximum(squares, TINY)
        return sizes

    def effective_size(self, k: int, i: int) -> float:
        """Return the same for half-life ``k`` of asset ``i`` alone."""
        track = self._tracks[i]
        return track.weight[k] ** 2 / max(track.squares[k], TINY)

    def moments(self, k: int) -> tuple[Array, Array]:
        """Return the decayed sums and overlaps of half-life ``k`` as of the latest tick."""
        scale = 1 / self._weights(self._latest)[k]
        sums, spans = self._moments(k)
        return sums * scale, spans * scale

    def gap_limits_s(self, i: int) -> list[float]:
        """Return how long a return of asset ``i`` may be, for each half-life."""
        if self._tracks[i].intervals < _KNOWN:
            return [inf] * len(self.half_lives_s)
        usual = 10 * self._tracks[i].mean_gap_s
        return [max(half_life / 4, usual) for half_life in self.half_lives_s]

    def gap_limit_s(self, k: int, i: int) -> float:
        """Return the same for half-life ``k`` alone."""
        track = self._tracks[i]
        if track.intervals < _KNOWN:
            return inf
        return max(self.half_lives_s[k] / 4, 10 * track.mean_gap_s)

    def _begin(self, i: int, time_s: float, level: float) -> None:
        if self._latest == -inf:
            self._origin = time_s
        self._levels[i], self._times[i], self._first[:, i] = level, time_s, time_s
        self._newest_first = time_s
        self._tracks[i].time, self._tracks[i].level = time_s, level
        for rows in (self._seen, self._before):
            for row in rows:
                row[:, i] = level
            rows[i][:] = self._levels
        self._arrive(i, time_s)

    def _extend(self, i: int, time_s: float, level: float) -> None:
        track, since = self._tracks[i], self._tracks[i].time
        gap = time_s - since
        weights = self._weighed(i, gap, time_s)
        self._before[i], self._seen[i] = self._seen[i], self._before[i]
        self._times[i] = track.time = time_s
        self._arrive(i, time_s)
        track.begin(weights, gap)
        self._note_gap(track, i, gap)
        self._pairs.scale(weights)
        self._pairs.spans(self._overlaps(since))
        self._move(i, level - track.level)
        self._pairs.extend(i)

    def _weighed(self, i: int, gap: float, time_s: float) -> list[float]:
        """Return what a return that ends now counts for each half-life; 0 where it is left out."""
        if gap <= self._never_a_gap_s:
            return self._weights(time_s)
        limits = self.gap_limits_s(i)
        self._freeze(time_s - self._latest, limits)
        weights = self._weights(time_s)
        for k, limit in enumerate(limits):
            if gap > limit:
                weights[k] = 0.0
                self.left_out[k] += 1
        return weights

    def _overlaps(self, since: float) -> Array:
        """Return how long a return since then overlaps the last return of each asset, or none."""
        shared: Array
        if since >= self._newest_first:
            shared = np.subtract(self._times, since, out=self._overlap)
        else:
            shared = self._times - np.maximum(since, self._first)
        np.maximum(shared, _NOTHING, out=shared)
        return shared

    def _correct(self, i: int, level: float) -> None:
        """Replace the price of this very instant: products are linear in it, so add the rest."""
        self._pairs.scale(self._tracks[i].scale)
        self._move(i, level - self._tracks[i].level)
        self._pairs.correct(i)

    def _move(self, i: int, change: float) -> None:
        track, seen = self._tracks[i], self._seen[i]
        self._pairs.products(self._levels, self._before[i], change)
        track.move(change)
        self._levels[i] = track.level
        seen[:] = self._levels
        if 0.0 in track.scale:
            self._hide(i, change)
        if len(self._tied) > 1:  # else a tick of the same instant would count twice
            for j in self._tied:
                self._seen[j][:, i] = track.level

    def _hide(self, i: int, change: float) -> None:
        """Let no other asset see a change that was left out."""
        track = self._tracks[i]
        which = np.array(track.scale) == 0
        for rows in (self._seen, self._before):
            for row in rows:
                row[which, i] += change
        self._seen[i][:] = self._levels
        self._first[which, i] = self._newest_first = track.time

    def _note_gap(self, track: Track, i: int, gap: float) -> None:
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
        passed, frozen = time_s - self._origin, self._frozen
        ages = [(passed - frozen[k]) / each for k, each in enumerate(self.half_lives_s)]
        if max(ages) > _RESCALE:
            self._rescale([2.0**-age for age in ages])
            self._origin, self._frozen = time_s, [0.0] * len(ages)
            return [1.0] * len(ages)
        return [2.0**age for age in ages]

    def _rescale(self, scales: list[float]) -> None:
        self._pairs.rescale(scales)
        for track in self._tracks:
            track.rescale(scales)

    def _moments(self, k: int) -> tuple[Array, Array]:
        """Return the sums and overlaps of half-life ``k``, in its weights as they are now."""
        sums, spans = self._pairs.both(k)
        np.fill_diagonal(sums, [track.sums[k] for track in self._tracks])
        np.fill_diagonal(spans, [track.spans[k] for track in self._tracks])
        return sums, spans


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
