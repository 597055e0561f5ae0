"""The price at which a call auction trades."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

Offer = tuple[int, int]
"""What an order offers to an auction: its price in ticks and all its lots, hidden ones too."""


class Uncrossing(NamedTuple):
    """Where an auction trades, how much, and how many lots find nobody at that price."""

    price: int
    lots: int
    imbalance: int


def uncrossing(
    bids: Iterable[Offer], asks: Iterable[Offer], reference: int | None
) -> Uncrossing | None:
    """Return where bids and asks meet, None when they do not cross.

    The price is the one with the most executable volume; among those, with the least imbalance
    (lots wanted against lots offered); among those, the nearest to ``reference``, which without one
    is the middle of the crossed range; of two as near, the lower.

    Between two limit prices nothing changes, so the best price is a limit price, a neighbor of one,
    or the reference. Source: the rules of the call auctions of Xetra and of the London Stock
    Exchange, which rank the same three criteria.
    """
    demand, supply = _Curve(bids), _Curve(asks)
    if not demand.prices or not supply.prices or demand.prices[-1] < supply.prices[0]:
        return None
    low, high = supply.prices[0], demand.prices[-1]
    near = (low + high) // 2 if reference is None else reference
    candidates = {min(max(near, low), high)}
    for price in (*demand.prices, *supply.prices):
        candidates.update(at for at in (price - 1, price, price + 1) if low <= at <= high)
    return min(
        (_at(price, demand, supply) for price in candidates),
        key=lambda at: (-at.lots, at.imbalance, abs(at.price - near), at.price),
    )


class _Curve:
    """Lots by price, summed up."""

    def __init__(self, offers: Iterable[Offer]) -> None:
        ordered = sorted(offers)
        self.prices: Sequence[int] = [price for price, _ in ordered]
        self._sums = [0, *accumulate(lots for _, lots in ordered)]

    def up_to(self, price: int) -> int:
        """Return the lots at ``price`` and below."""
        return self._sums[bisect_right(self.prices, price)]

    def down_to(self, price: int) -> int:
        """Return the lots at ``price`` and above."""
        return self._sums[-1] - self._sums[bisect_left(self.prices, price)]


def _at(price: int, demand: _Curve, supply: _Curve) -> Uncrossing:
    wanted, offered = demand.down_to(price), supply.up_to(price)
    return Uncrossing(price, min(wanted, offered), abs(wanted - offered))
