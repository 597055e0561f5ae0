from benchmarks.matching import drawn
from benchmarks.peers.engines import OURS, OurBook


def test_book_and_engine_trade_alike_in_whole_numbers_and_in_decimals() -> None:
    filling, mix = drawn(1_000)
    book = OurBook()
    book.run([*filling, *mix])
    assert book.trades()
    for make in OURS.values():
        engine = make()
        engine.run(filling)
        engine.run(mix)
        assert engine.trades() == book.trades()
