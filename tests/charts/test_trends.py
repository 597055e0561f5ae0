from datetime import UTC, datetime
from decimal import Decimal

from charts.board import Board
from charts.candles import DAY_S, Candle
from charts.trends import Trends
from market.events import Tick
from market.values import Symbol

DAY = 20_000


def a_tick(price: int, *, day: int = DAY, seq: int = 1) -> Tick:
    time = datetime.fromtimestamp(day * DAY_S + 3600 + seq, UTC)
    amount = Decimal(price)
    return Tick(symbol=Symbol("BTC"), price=amount, volume=Decimal(1), time=time, seq=seq)


def a_day(open: float, day: int = DAY) -> Candle:
    return Candle(day * DAY_S, open, open, open, open, 1.0)


def reference(board: Board) -> float:
    return float(board.get("tick", "BTC")["reference"])


def test_the_change_counts_from_the_open_of_the_day_as_soon_as_that_is_known() -> None:
    board = Board("0000beef")
    trends = Trends(board)
    trends.show(a_tick(100))
    assert reference(board) == 100
    trends.count_from("BTC", a_day(80.0))
    assert reference(board) == 80
    trends.show(a_tick(101, seq=2))
    assert reference(board) == 80


def test_the_open_of_a_day_may_be_known_before_the_first_price_comes() -> None:
    board = Board("0000beef")
    trends = Trends(board)
    trends.count_from("BTC", a_day(80.0))
    trends.show(a_tick(100))
    assert reference(board) == 80


def test_a_day_that_is_over_moves_nothing() -> None:
    board = Board("0000beef")
    trends = Trends(board)
    trends.show(a_tick(100))
    trends.count_from("BTC", a_day(80.0, DAY - 1))
    trends.show(a_tick(101, seq=2))
    assert reference(board) == 100


def test_a_new_day_counts_from_its_own_first_price() -> None:
    board = Board("0000beef")
    trends = Trends(board)
    trends.count_from("BTC", a_day(80.0))
    trends.show(a_tick(100))
    trends.show(a_tick(120, day=DAY + 1, seq=2))
    assert reference(board) == 120


def test_a_sparkline_grows_with_the_beats_behind_what_was_before() -> None:
    board = Board("0000beef")
    trends = Trends(board)
    trends.begin("BTC", [1.0, 2.0])
    trends.show(a_tick(3))
    trends.beat()
    trends.beat()
    assert board.get("spark", "BTC") == [1, 2, 3, 3]
    trends.forget(["BTC"])
    trends.beat()
    assert board.get("spark", "BTC") == [3]
