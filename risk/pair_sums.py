"""Decayed sums over every two assets, laid out so that a tick writes one row."""

from typing import Final

import numpy as np

from risk.arrays import Array
from risk.tracks import Track

TINY: Final = 1e-300
"""What a span is at least, so that nothing needs to be asked before a division."""


class PairSums:
    """Sums of products and of overlaps of every two assets, for every half-life.

    Row ``i`` holds what the ticks of ``i`` added to its pair with each ``j``, in one piece: a pair
    is worth ``[i, j] + [j, i]``, so that no tick writes columns of a large table. What an asset
    has with itself is in its track, and the diagonal is not used.
    """

    def __init__(self, size: int, half_lives: int, headline: int, rates: Array) -> None:
        self._table = np.zeros((size, 2, half_lives, size))
        self._step = np.zeros((2, half_lives, size))
        self._products, self._spans = self._step
        self._weights, self._scaled = np.zeros((half_lives, 1)), np.zeros((half_lives, 1))
        self._flat, self._flat_scaled = self._weights[:, 0], self._scaled[:, 0]
        self._now = [0.0] * half_lives
        self._pair, self._row, self._change = np.zeros((2, size)), np.zeros(size), np.zeros(size)
        self._pair_sums, self._pair_spans = self._pair
        self._table[:, 1] = TINY
        self._headline = headline
        # views made once: at a hundred assets, to make one costs a quarter of what is done with it
        self._rows, self._sums = list(self._table), list(self._table[:, 0])
        self._own = list(self._table[:, :, headline])
        self._others = list(self._table[:, :, headline].transpose(2, 1, 0))
        self._rate_rows, self._rate_columns = list(rates), list(rates.T)

    def scale(self, weights: list[float]) -> None:
        """Let the next step count with ``weights``."""
        self._now, flat = weights, self._flat
        for k, weight in enumerate(weights):
            flat[k] = weight

    def spans(self, overlap: Array) -> None:
        """Put the overlaps into the step, shape (assets,) or (half-lives, assets)."""
        np.multiply(overlap, self._weights, out=self._spans)

    def products(self, levels: Array, before: Array, change: float) -> None:
        """Put the products of a change with what others did since ``before`` into the step."""
        np.subtract(levels, before, out=self._products)
        flat = self._flat_scaled
        for k, weight in enumerate(self._now):
            flat[k] = weight * change
        np.multiply(self._products, self._scaled, out=self._products)

    def extend(self, i: int) -> None:
        """Add the step to row ``i``."""
        row = self._rows[i]
        np.add(row, self._step, out=row)

    def correct(self, i: int) -> None:
        """Add the products of the step alone."""
        self._sums[i] += self._products

    def rated(self, i: int, track: Track) -> Array:
        """Bring the headline's rates of ``i`` up to date; return by how much they changed."""
        pair, row, change = self._pair, self._row, self._change
        np.add(self._own[i], self._others[i], out=pair)
        np.divide(self._pair_sums, self._pair_spans, out=row)
        row[i] = track.sums[self._headline] / max(track.spans[self._headline], TINY)
        np.subtract(row, self._rate_rows[i], out=change)
        self._rate_rows[i][:] = row
        self._rate_columns[i][:] = row
        return change

    def both(self, k: int) -> tuple[Array, Array]:
        """Return sums and overlaps of half-life ``k``, shape (assets, assets) each."""
        table = self._table[:, :, k]
        return table[:, 0] + table[:, 0].T, table[:, 1] + table[:, 1].T

    def rescale(self, scales: list[float]) -> None:
        """Multiply everything by the scale of its half-life."""
        self._table *= np.array(scales)[:, None]
        np.maximum(self._table[:, 1], TINY, out=self._table[:, 1])

    def forget(self, i: int) -> None:
        """Forget everything of asset ``i``."""
        self._table[i, 0] = self._table[:, 0, :, i] = 0
        self._table[i, 1] = self._table[:, 1, :, i] = TINY
        self._rate_rows[i][:] = self._rate_columns[i][:] = 0
