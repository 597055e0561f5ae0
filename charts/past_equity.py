"""What an account was worth before anyone looked: worked back from its fills and old candles."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from charts.candles import INTERVALS
from charts.exchange_client import Archive
from charts.facts import AccountSeen

POINTS: Final = 180

Curve = list[tuple[float, float]]


class Marks(NamedTuple):
    """Prices of a symbol: the close of each candle, and when that was."""

    times: list[float]
    prices: list[float]

    def at(self, time: float) -> float | None:
        """Return the last price up to a time, None when there was none yet."""
        place = bisect_right(self.times, time)
        return self.prices[place - 1] if place else None


def interval_for(span_s: float) -> str:
    """Return the shortest interval that covers a span in no more than ``POINTS`` candles."""
    fitting = (name for name, length in INTERVALS.items() if span_s <= POINTS * length)
    return next(fitting, list(INTERVALS)[-1])


def worked_back(
    account: AccountSeen,
    fills: Iterable[Mapping[str, Any]],
    marks: Mapping[str, Marks],
    times: Sequence[float],
) -> Curve:
    """Return the equity at each of the times, which rise, up to which all that it needs is known.

    Args:
        account: how it stands after the last of the fills.
        fills: all of the account's since the first of the times.
        marks: of each symbol that it ever held since then.
    """
    cash = float(account.cash)
    held = {each.symbol: float(each.quantity) for each in account.positions}
    undone = sorted(fills, key=lambda fill: float(fill["time"]))
    found: Curve = []
    for time in reversed(times):
        while undone and undone[-1]["time"] > time:
            fill = undone.pop()
            bought = float(fill["quantity"]) * (1 if fill["side"] == "buy" else -1)
            cash += bought * float(fill["price"]) + float(fill["fee"])
            held[fill["symbol"]] = held.get(fill["symbol"], 0.0) - bought
        worth = [_worth(marks.get(name), quantity, time) for name, quantity in held.items()]
        if None in worth:
            break
        found.append((time, cash + sum(filter(None, worth))))
    return found[::-1]


async def past_equity(
    archive: Archive, account: AccountSeen, fills: list[dict[str, Any]], since: float, now: float
) -> Curve:
    """Return an account's equity from ``since`` to ``now`` at even distances.

    Raises:
        ExchangeAwayError: the exchange does not give its candles.
    """
    interval = interval_for(now - since)
    length = INTERVALS[interval]
    times = [float(at) for at in range(int(since // length + 1) * length, int(now), length)]
    symbols = {fill["symbol"] for fill in fills} | {each.symbol for each in account.positions}
    marks = {symbol: await _marks(archive, symbol, interval, len(times) + 2) for symbol in symbols}
    return worked_back(account, fills, marks, times)


async def _marks(archive: Archive, symbol: str, interval: str, count: int) -> Marks:
    candles = await archive.candles(symbol, interval, count)
    ends = [candle.time + INTERVALS[interval] for candle in candles]
    return Marks([float(end) for end in ends], [candle.close for candle in candles])


def _worth(marks: Marks | None, quantity: float, time: float) -> float | None:
    if abs(quantity) < 1e-12:  # what is left of adding floats up
        return 0.0
    price = marks.at(time) if marks is not None else None
    return None if price is None else quantity * price
