"""The decoder against section 9.2.6 of the HTML standard, however its bytes are cut."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.sse import MAX_EVENT_BYTES, EventDecoder, Message, OversizedEventError

Decoded = Callable[[bytes], list[Message]]


def fed(stream: bytes, size: int, decoder: EventDecoder | None = None) -> list[Message]:
    decoder = decoder or EventDecoder()
    parts = [stream[at : at + size] for at in range(0, len(stream), size)]
    return [message for part in parts for message in decoder.feed(part)]


@pytest.fixture(params=[10**9, 1, 2], ids=["whole", "by the byte", "two by two"])
def size(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def decoded(size: int) -> Decoded:
    return lambda stream: fed(stream, size)


def datas(messages: list[Message]) -> list[str]:
    return [message.data for message in messages]


def test_01_a_byte_order_mark_is_stripped_once_at_the_start(decoded: Decoded) -> None:
    bom = "\ufeff".encode()

    assert datas(decoded(bom + b"data: a\n\n")) == ["a"]
    assert datas(decoded(bom + bom + b"data: a\n\ndata: b\n\n")) == ["b"]
    assert datas(decoded(b"data: " + bom + b"a\n\n")) == ["\ufeffa"]
    assert datas(decoded(b"\n" + bom + b"data: a\n\n")) == []


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_02_any_line_end_will_do(decoded: Decoded, end: bytes) -> None:
    stream = end.join([b"event: x", b"data: a", b"data: b", b"", b"data: c", b"", b""])

    assert decoded(stream) == [Message("x", "a\nb", ""), Message("message", "c", "")]


def test_02_line_ends_may_be_mixed(decoded: Decoded) -> None:
    assert datas(decoded(b"data: a\rdata: b\r\ndata: c\n\r\ndata: d\r\n\n")) == ["a\nb\nc", "d"]


def test_02_a_crlf_split_over_chunks_is_one_end() -> None:
    decoder, messages = EventDecoder(), list[Message]()
    for chunk in (b"data: a\r", b"\ndata: b\r", b"\n\r\n"):
        messages += decoder.feed(chunk)

    assert datas(messages) == ["a\nb"]


def test_03_an_event_that_ends_in_cr_cr_is_dispatched_at_once(size: int) -> None:
    assert datas(fed(b"data: a\r\r", size)) == ["a"]


def test_04_other_separators_are_data(decoded: Decoded) -> None:
    text = "a\u2028b\u0085c\vd\fe\x1ef\u2029g"

    assert datas(decoded(f"data: {text}\n\n".encode())) == [text]


def test_05_bytes_are_always_utf_8_and_bad_ones_are_replaced(decoded: Decoded) -> None:
    stream = b"data: \xff\xfe\n\ndata: a\0b\n\ndata: " + "ß€🙂".encode() + b"\n\n"

    assert datas(decoded(stream)) == ["\ufffd\ufffd", "a\0b", "ß€🙂"]


def test_06_fields_are_read_to_the_letter(decoded: Decoded) -> None:
    assert datas(decoded(b"data: a\ndata:b\ndata:  c\ndata\n\n")) == ["a\nb\n c\n"]
    assert datas(decoded(b"Data: a\n data: b\ndata : c\nfoo: d\ndata:e:f\n\n")) == ["e:f"]
    assert datas(decoded(b"data:\ta\n\n")) == ["\ta"]


def test_07_empty_data_is_dispatched(decoded: Decoded) -> None:
    assert datas(decoded(b"data\n\ndata:\n\ndata: \n\ndata\ndata\n\n")) == ["", "", "", "\n"]


def test_08_a_block_without_data_dispatches_nothing_but_counts(size: int) -> None:
    decoder = EventDecoder()

    messages = fed(b"event: x\nid: 7\nretry: 50\n\ndata: a\n\n", size, decoder)

    assert messages == [Message("message", "a", "7")]
    assert (decoder.last_id, decoder.retry_ms) == ("7", 50)


def test_09_comments_dispatch_nothing_and_reach_their_hook(size: int) -> None:
    decoder, comments = EventDecoder(), list[str]()
    stream = b": one\n\ndata: a\n:two\ndata: b\n\nid: 1\n\n: three\n\n"
    messages: list[Message] = []
    for at in range(0, len(stream), size):
        messages += decoder.feed(stream[at : at + size])
        comments += decoder.comments

    assert datas(messages) == ["a\nb"]
    assert comments == ["one", "two", "three"]


def test_10_the_last_id_stays_until_another_or_an_empty_one(size: int) -> None:
    decoder = EventDecoder("0")

    messages = fed(b"data: a\n\nid: 1\ndata: b\n\ndata: c\n\nid\ndata: d\n\n", size, decoder)

    assert [message.id for message in messages] == ["0", "1", "1", ""]
    assert decoder.last_id == ""


def test_11_an_id_with_nul_is_ignored(decoded: Decoded) -> None:
    assert [m.id for m in decoded(b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n")] == ["1", "1"]


@pytest.mark.parametrize(
    "bad", ["1000x", "+5", "-5", "1_000", "٣", "1.5", "", " 5", "5 ", "0x5", "9" * 30]
)
def test_12_a_retry_is_ascii_digits_alone(bad: str, size: int) -> None:
    decoder = EventDecoder()
    fed(f"retry: 42\nretry: {bad}\n\n".encode(), size, decoder)

    assert decoder.retry_ms == 42


def test_13_an_unfinished_block_is_discarded_and_its_id_with_it(size: int) -> None:
    decoder = EventDecoder()

    messages = fed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n", size, decoder)

    assert datas(messages) == ["a"]
    assert decoder.last_id == "1"


def test_20_an_event_of_five_mebibytes_is_whole() -> None:
    text = "x" * (5 * 2**20)

    assert datas(fed(f"data: {text}\n\n".encode(), 65_536)) == [text]


def test_20_a_hundred_events_in_one_chunk_stay_in_order(decoded: Decoded) -> None:
    stream = b"".join(b"id: %d\ndata: %d\n\n" % (n, n) for n in range(100))

    assert datas(decoded(stream)) == [str(n) for n in range(100)]


@pytest.mark.parametrize("line", [b"data: ", b": ", b"id: ", b"data: " + b"x" * 250 + b"\n"])
def test_an_event_or_line_beyond_the_cap_is_refused(line: bytes) -> None:
    chunk = line * (2**16 // len(line))

    with pytest.raises(OversizedEventError):
        fed(chunk * (3 * MAX_EVENT_BYTES // len(chunk)), len(chunk))


PIECES = [b"data", b"id", b"event", b"retry", b":", b": ", b" ", b"\n", b"\r", b"\r\n", b"1", b"\0"]


@given(
    stream=st.lists(st.sampled_from([*PIECES, "\ufeff".encode(), "é".encode(), b"\xff"])),
    cuts=st.lists(st.integers(1, 5)),
)
@settings(max_examples=300, deadline=None)
def test_where_the_bytes_are_cut_makes_no_difference(stream: list[bytes], cuts: list[int]) -> None:
    text, whole, parted = b"".join(stream), EventDecoder(), EventDecoder()
    expected = whole.feed(text)
    found, at = list[Message](), 0
    for size in [*cuts, len(text)]:
        found += parted.feed(text[at : at + size])
        at += size

    assert found == expected
    assert (parted.last_id, parted.retry_ms) == (whole.last_id, whole.retry_ms)
