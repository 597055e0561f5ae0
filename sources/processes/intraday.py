"""How the day's trade is spread over its hours."""

from dataclasses import dataclass

from sources.processes.price_process import check


@dataclass(frozen=True, slots=True, kw_only=True)
class IntradayProfile:
    """A U-shaped day: busy at its ends, quiet at noon; mean 1 over the day.

    ``w(x) = 1 + depth (12 (x - 1/2)^2 - 1)`` for the share x of the day that has passed: from
    ``1 + 2 depth`` at the ends down to ``1 - depth`` in the middle.

    Args:
        depth: 0 is flat, at most 1.

    Source:
        The shape: Jain and Joh (1988), JFQA 23, 269-283; the parabola is the simplest that has it.
    """

    depth: float = 0.0

    def __post_init__(self) -> None:
        check("depth", self.depth, 0 <= self.depth <= 1, "in [0, 1]")

    def weight(self, share: float) -> float:
        """Return the trade at that share of the day, in [0, 1), against the day's mean."""
        return 1 + self.depth * (12 * (share - 0.5) ** 2 - 1)
