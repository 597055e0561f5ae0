from decimal import Decimal
from typing import Any

import pytest

from charts.equity import EquityCurve
from charts.facts import AccountSeen, Holding
from charts.past_equity import Marks, interval_for, worked_back

MARKS = {"BTC": Marks([10.0, 20.0, 30.0, 40.0], [100.0, 110.0, 90.0, 120.0])}


def standing(cash: float, held: float) -> AccountSeen:
    money = dict.fromkeys(("realized_pnl", "unrealized_pnl", "fees"), Decimal(0))
    holding = Holding(
        symbol="BTC",
        quantity=Decimal(str(held)),
        average_price=Decimal(100),
        mark=Decimal(120),
        unrealized_pnl=Decimal(0),
    )
    return AccountSeen(
        account="me",
        cash=Decimal(str(cash)),
        equity=Decimal(0),
        positions=(holding,) if held else (),
        **money,
    )


def a_fill(time: float, side: str, quantity: float, price: float, fee: float = 0.0) -> Any:
    return {
        "time": time,
        "symbol": "BTC",
        "side": side,
        "quantity": Decimal(str(quantity)),
        "price": Decimal(str(price)),
        "fee": Decimal(str(fee)),
    }


def test_equity_is_worked_back_fill_by_fill() -> None:
    fills = [a_fill(15, "buy", 2, 105, fee=1), a_fill(25, "sell", 1, 95, fee=1)]
    now = standing(cash=1000 - 210 - 1 + 95 - 1, held=1)
    curve = worked_back(now, fills, MARKS, [10.0, 20.0, 30.0, 40.0])
    assert [time for time, _ in curve] == [10, 20, 30, 40]
    assert [equity for _, equity in curve] == pytest.approx(
        [1000, 789 + 2 * 110, 883 + 90, 883 + 120]
    )


def test_a_curve_begins_where_prices_do() -> None:
    curve = worked_back(standing(cash=0, held=1), [], MARKS, [5.0, 10.0, 20.0])
    assert curve == [(10.0, 100.0), (20.0, 110.0)]


@pytest.mark.parametrize(("span_s", "interval"), [(60, "1s"), (3600, "1m"), (10 * 86_400, "4h")])
def test_a_span_has_candles_enough_and_not_too_many(span_s: float, interval: str) -> None:
    assert interval_for(span_s) == interval


def test_what_was_before_stands_before_what_was_seen_and_counts() -> None:
    curve = EquityCurve(points=10)
    for time, equity in ((100.0, 90.0), (101.0, 95.0)):
        curve.add(time, equity)
    curve.begin_with([(80.0, 50.0), (90.0, 100.0), (100.0, 1.0)])
    assert curve.points == [(80.0, 50.0), (90.0, 100.0), (100.0, 90.0)]
    assert curve.has_past
    assert curve.max_drawdown == pytest.approx(0.1)
