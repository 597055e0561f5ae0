"""What a strategy may answer, and what becomes of it."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import repeat
from typing import Any

import pytest
from msgspec import structs

from bots import Strategy, StrategyError, buy, cancel, sell
from bots.addressing import MOST_ORDERS, addressed
from market.errors import InvalidSymbolError
from market.events import Fact
from market.orders import AmendOrder, CancelOrder, OrderType, PlaceOrder
from market.values import Side
from tests.bots.builders import TCS


class Idle:
    """Answers nothing, whatever happens."""

    def decide(self, fact: Fact) -> None:
        """Nothing is ordered."""


def asked(answer: Any) -> Iterable[object]:
    return addressed(answer, "me")


def test_whoever_decides_is_a_strategy() -> None:
    assert isinstance(Idle(), Strategy)
    assert not isinstance(object(), Strategy)


def test_an_order_without_a_price_is_a_market_order_and_one_with_a_price_a_limit() -> None:
    assert buy("TCS", 5).type is OrderType.MARKET
    order = sell("TCS", 5, price="33.95", post_only=True)
    assert (order.side, order.type, order.price) == (Side.SELL, OrderType.LIMIT, Decimal("33.95"))
    assert order.post_only


def test_a_number_is_what_it_is_written_as() -> None:
    assert buy("BTC", 0.1).quantity == Decimal("0.1")
    (order,) = asked([PlaceOrder(account="", symbol=TCS, side=Side.BUY, quantity=0.1)])  # type: ignore[arg-type]
    assert order == PlaceOrder(account="me", symbol=TCS, side=Side.BUY, quantity=Decimal("0.1"))


@pytest.mark.parametrize("answer", [None, [], (), iter(())])
def test_nothing_is_no_order(answer: Any) -> None:
    assert asked(answer) == ()


def test_an_order_is_for_ones_own_account() -> None:
    assert asked(iter([cancel(3)])) == (CancelOrder(account="me", order_id=3),)


@pytest.mark.parametrize(
    "order",
    [
        structs.replace(buy("TCS", 5), account="you"),
        CancelOrder(account="you", order_id=3),
        AmendOrder(account="you", order_id=3, quantity=Decimal(1)),
    ],
)
def test_an_order_for_another_account_is_an_error_and_so_is_what_came_with_it(order: Any) -> None:
    with pytest.raises(StrategyError, match="is for 'you'; a bot trades for itself, me"):
        asked([buy("TCS", 1), order])


@pytest.mark.parametrize("answer", [repeat(buy("TCS", 1)), [buy("TCS", 1)] * (MOST_ORDERS + 1)])
def test_orders_without_end_are_an_error(answer: Any) -> None:
    with pytest.raises(StrategyError, match=f"{MOST_ORDERS} orders at most"):
        asked(answer)


def test_an_order_in_which_nothing_needs_to_be_put_right_passes_as_it_is() -> None:
    order = buy("TCS", 5, price="33.95", expire_time=datetime(2026, 1, 2, tzinfo=UTC))
    for each in (structs.replace(order, account="me"), CancelOrder(account="me", order_id=3)):
        assert asked([each]) == (each,)
        assert next(iter(asked([each]))) is each


def test_an_order_of_a_kind_of_its_own_is_looked_at_like_any_other() -> None:
    class Marked(CancelOrder, frozen=True, kw_only=True, tag="marked"):
        mark: Decimal = Decimal(0)

    assert asked([Marked(account="", order_id=3)]) == (Marked(account="me", order_id=3),)
    with pytest.raises(StrategyError, match="no finite numbers"):
        asked([Marked(account="", order_id=3, mark=Decimal("Infinity"))])


@pytest.mark.parametrize(
    "answer",
    [
        buy("TCS", 1),  # not in a list
        "buy",
        3,
        [None],
        [buy("TCS", "NaN")],
        [buy("TCS", 1, price=float("inf"))],
        [buy("TCS", 1, client_order_id=7)],
        [PlaceOrder(account="", symbol=TCS, side="long", quantity=Decimal(1))],  # type: ignore[arg-type]
        [PlaceOrder(account="", symbol=TCS, side=Side.BUY, quantity=object())],  # type: ignore[arg-type]
    ],
)
def test_what_is_no_order_is_an_error_that_shows_it(answer: Any) -> None:
    with pytest.raises(StrategyError):
        asked(answer)


def test_a_symbol_that_is_none_is_an_error_at_once() -> None:
    with pytest.raises(InvalidSymbolError):
        buy("bitcoin", 1)
