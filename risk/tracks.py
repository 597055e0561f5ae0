"""What is kept of one asset's own path while its covariances are estimated."""

from math import inf


class Track:
    """What is kept of one asset, a number for each half-life."""

    __slots__ = ("earlier", "intervals", "last", "level", "mean_gap_s", "scale", "spans",
                 "squares", "sums", "time", "weight")  # fmt: skip

    def __init__(self, half_lives: int) -> None:
        self.time, self.level = -inf, 0.0
        self.intervals, self.mean_gap_s = 0, 0.0
        self.scale = [0.0] * half_lives  # weight of the last return: 0 where it was left out
        self.last, self.earlier = [0.0] * half_lives, [0.0] * half_lives
        self.weight, self.squares = [0.0] * half_lives, [0.0] * half_lives
        self.sums, self.spans = [0.0] * half_lives, [0.0] * half_lives  # bounce-corrected

    def begin(self, weights: list[float], gap: float) -> None:
        """Begin a return over ``gap`` seconds that counts with ``weights``."""
        self.scale, self.earlier, self.last = weights, self.last, self.earlier
        last, total, squares, spans = self.last, self.weight, self.squares, self.spans
        for k, weight in enumerate(weights):
            last[k] = 0.0
            total[k] += weight
            squares[k] += weight * weight
            spans[k] += weight * gap

    def move(self, change: float) -> None:
        """Add ``change`` to the return, and to the variance what it makes of it."""
        last, earlier, sums = self.last, self.earlier, self.sums
        for k, weight in enumerate(self.scale):
            if weight:
                sums[k] += weight * change * (change + 2 * (last[k] + earlier[k]))
                last[k] += change
        self.level += change

    def rescale(self, scales: list[float]) -> None:
        """Multiply every weight by that of its half-life."""
        for k, by in enumerate(scales):
            self.scale[k] *= by
            self.weight[k] *= by
            self.squares[k] *= by * by
            self.sums[k] *= by
            self.spans[k] *= by
