import os
import pty
from collections.abc import Iterator

import pytest

from supervision.console import Console, wants_color


class Pipe:
    """A console at one end, what it showed at the other."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)

    def read(self) -> bytes:
        found = b""
        while True:
            try:
                chunk = os.read(self.reading, 65536)
            except BlockingIOError:
                return found
            if not chunk:
                return found
            found += chunk

    def close(self) -> None:
        os.close(self.writing)
        os.close(self.reading)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def _console(pipe: Pipe, *, color: bool = False) -> Console:
    return Console(pipe.writing, ["risk", "exchange"], color=color)


def test_each_line_begins_with_the_name_of_its_process(pipe: Pipe) -> None:
    console = _console(pipe)
    console.feed("risk", "stdout", b"one\ntwo\r\n")
    console.feed("exchange", "stdout", b"three\n")
    assert pipe.read() == b"risk     | one\nrisk     | two\nexchange | three\n"


def test_a_line_is_shown_when_it_is_whole(pipe: Pipe) -> None:
    console = _console(pipe)
    console.feed("risk", "stdout", b"hal")
    console.feed("risk", "stderr", b"other\n")
    assert pipe.read() == b"risk     | other\n"
    console.feed("risk", "stdout", b"ves\n")
    assert pipe.read() == b"risk     | halves\n"


def test_the_last_words_of_a_process_are_shown_at_its_end(pipe: Pipe) -> None:
    console = _console(pipe)
    console.feed("risk", "stderr", b"argh")
    console.end("risk")
    assert pipe.read() == b"risk     | argh\n"


def test_a_line_without_an_end_is_not_kept_for_ever(pipe: Pipe) -> None:
    console = _console(pipe)
    console.feed("risk", "stdout", b"x" * 65_537)
    assert pipe.read().startswith(b"risk     | xxx")


def test_names_are_colored_each_in_its_own(pipe: Pipe) -> None:
    console = _console(pipe, color=True)
    console.say("risk", "a")
    console.say("exchange", "b")
    assert pipe.read() == b"\x1b[36mrisk     |\x1b[0m a\n\x1b[33mexchange |\x1b[0m b\n"


def test_a_console_that_takes_nothing_blocks_nobody_and_is_told_what_it_missed(pipe: Pipe) -> None:
    console = _console(pipe)
    for _ in range(1000):
        console.feed("risk", "stdout", b"x" * 1000 + b"\n")
    shown = pipe.read().count(b"\n")
    console.say("risk", "again")
    assert pipe.read() == b"... %d lines not shown\nrisk     | again\n" % (1000 - shown)


def test_a_console_that_is_gone_does_no_harm() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    console = Console(writing, ["risk"], color=False)
    console.say("risk", "to nobody")
    console.say("risk", "to nobody")
    os.close(writing)


def test_color_is_for_terminals_and_for_those_who_want_it(pipe: Pipe) -> None:
    main, terminal = pty.openpty()
    assert wants_color(terminal, {})
    assert not wants_color(terminal, {"NO_COLOR": "1"})
    assert not wants_color(terminal, {"TERM": "dumb"})
    assert not wants_color(pipe.writing, {})
    os.close(main)
    os.close(terminal)
