"""Each fact in the answers of the exchange is told once."""

from decimal import Decimal
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from bots.answers import FillAnswer, OrderAnswer
from bots.news import News
from market.orders import (
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderType,
    Status,
)
from market.values import Side
from tests.bots.builders import START, TCS

LIFE = (Status.OPEN, Status.PARTIALLY_FILLED, Status.PARTIALLY_FILLED, Status.FILLED)


def an_answer(filled: int, status: Status, order_id: int = 1) -> OrderAnswer:
    fills = [
        FillAnswer(trade_id=n, price=Decimal(10), quantity=Decimal(1), fee=Decimal(0))
        for n in range(1, filled + 1)
    ]
    return OrderAnswer(
        order_id=order_id,
        account="me",
        symbol=TCS,
        side=Side.BUY,
        type=OrderType.LIMIT,
        status=status,
        quantity=Decimal(3),
        filled_quantity=Decimal(filled),
        fills=tuple(fills),
        time=START,
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_answers_that_are_old_late_or_repeated_tell_nothing_twice(looks: list[int]) -> None:
    news = News()
    facts = [fact for filled in looks for fact in news.read(an_answer(filled, LIFE[filled]))]
    fills = [fact.trade_id for fact in facts if isinstance(fact, OrderFilled)]
    assert isinstance(facts[0], OrderAccepted)
    assert len(facts) == 1 + len(fills)
    assert fills == list(range(1, max(looks) + 1))
    assert all(one < other for one, other in pairwise(fills))
    assert bool(news.resting) == (3 not in looks)


def test_what_ended_otherwise_says_how_much_was_left() -> None:
    for status, kind in ((Status.CANCELLED, OrderCancelled), (Status.EXPIRED, OrderExpired)):
        *_, last = News().read(an_answer(1, status))
        assert isinstance(last, kind)
        assert last.quantity == 2


def test_a_rejected_order_was_never_accepted() -> None:
    (only,) = News().read(an_answer(0, Status.REJECTED))
    assert isinstance(only, OrderRejected)


def test_the_limit_of_an_order_is_known_where_the_exchange_does_not_repeat_it() -> None:
    news = News()
    (taken,) = news.read(an_answer(0, Status.OPEN), price=Decimal(9))
    assert isinstance(taken, OrderAccepted)
    assert taken.price == 9
    news.read(an_answer(1, Status.PARTIALLY_FILLED))
    assert news.resting[1].price == 9
