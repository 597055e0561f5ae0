from charts.board import Board, Log


def test_a_page_is_sent_what_changed_since_it_looked() -> None:
    board = Board("0000beef")
    board.put("tick", "BTC", 1)
    seen = board.version
    board.put("tick", "TCS", 2)
    board.put("tick", "TCS", 3)
    assert board.changed("tick", seen) == {"TCS": 3}
    assert board.changed("tick", 0) == {"BTC": 1, "TCS": 3}
    assert board.changed("tick", 0, ["BTC", "none"]) == {"BTC": 1}


def test_what_stays_the_same_is_no_change() -> None:
    board = Board("0000beef")
    board.put("source", "BTC", {"state": "up"})
    seen = board.version
    board.put("source", "BTC", {"state": "up"})
    assert board.version == seen


def test_a_log_gives_what_is_new_and_all_of_it_to_whoever_was_away_too_long() -> None:
    log = Log(kept=3)
    for version in range(1, 6):
        log.append(version, f"entry {version}")
    assert log.since(5) is None
    assert log.since(4) == {"all": False, "entries": ["entry 5"]}
    assert log.since(1) == {"all": True, "entries": ["entry 3", "entry 4", "entry 5"]}
    assert log.since(0) == {"all": True, "entries": ["entry 3", "entry 4", "entry 5"]}


def test_a_log_that_began_anew_is_sent_whole() -> None:
    log = Log(kept=10)
    log.append(1, "old")
    log.replace(5, ["a", "b"])
    assert log.since(4) == {"all": True, "entries": ["a", "b"]}
    assert log.since(5) is None


def test_a_new_market_is_a_new_board() -> None:
    board = Board("0000beef")
    board.put("tick", "BTC", 1)
    board.append("trade", "BTC", "t", kept=5)
    board.put("link", "exchange", "live")
    board.reset("0000feed", kept=["link"])
    assert board.epoch == "0000feed"
    assert board.all("tick") == {}
    assert board.entries("trade", "BTC") == []
    assert board.changed("link", 0) == {"exchange": "live"}


def test_what_is_dropped_goes_from_pages_as_well() -> None:
    board = Board("0000beef")
    for symbol in ("BTC", "TCS"):
        board.put("tick", symbol, 1)
        board.append("trade", symbol, "t", kept=5)
    board.put("account", "TCS", 1)
    before = board.version
    board.drop({"TCS"}, ("tick", "trade", "fill"), "0000feed")
    assert (board.epoch, board.version) == ("0000feed", before + 1)
    assert board.all("tick") == {"BTC": 1}
    assert board.keys("trade") == ["BTC"]
    assert board.all("account") == {"TCS": 1}


def test_listeners_hear_of_changes_and_of_the_close_until_they_stop() -> None:
    board, heard = Board("0000beef"), []
    stop = board.listen(lambda: heard.append(board.closed))
    board.put("tick", "BTC", 1)
    board.close()
    stop()
    board.put("tick", "BTC", 2)
    assert heard == [False, True]
