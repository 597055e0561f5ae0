from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.errors import GarbledEventError
from market.events import Fact, Gap, Lagging, Shutdown, Snapshot, SourceState, State, Tick
from market.orders import PlaceOrder
from market.sse import EventDecoder, Message
from market.values import Side, Symbol
from market.wire import Decoder, EventId, comment, encode, encode_many, frame
from tests.builders import NOON, a_book, a_source_state, a_tick, a_trade

EVERY_FACT: list[Fact] = [
    a_tick(),
    a_trade(),
    a_book(),
    a_source_state(state=State.STALE),
    Snapshot(id="0badcafe-7", ticks=(a_tick(), a_tick("TCS")), sources={Symbol("BTC"): State.UP}),
    Gap(since="0badcafe-1", until="0badcafe-9", missed=8, reason="evicted"),
    Lagging(behind=75, limit=100),
    Shutdown(),
]

decimals = st.decimals("0.00000001", "999999999999", places=8)


@pytest.mark.parametrize("fact", EVERY_FACT, ids=lambda fact: fact.kind)
def test_a_fact_comes_out_of_its_frame_as_it_went_in(fact: Fact) -> None:
    sent = frame(fact.kind, encode(fact), id=EventId("0badcafe", 7), retry_ms=5)
    decoder = EventDecoder()
    (message,) = decoder.feed(sent)

    assert message.id == "0badcafe-7"
    assert decoder.retry_ms == 5
    assert Decoder().decode(message.event, message.data) == fact


@given(price=decimals, volume=decimals, seq=st.integers(0, 2**62))
def test_numbers_are_exact_decimals_and_no_strings(
    price: Decimal, volume: Decimal, seq: int
) -> None:
    tick = Tick(symbol=Symbol("BTC"), price=price, volume=volume, time=NOON, seq=seq)
    data = encode(tick)

    assert Decoder().decode("tick", data) == tick
    assert b'"price":"' not in data


def test_a_price_keeps_the_decimals_it_was_written_with() -> None:
    assert b'"price":33.950,' in encode(a_tick(price="33.950"))


@given(micros=st.integers(0, 2**47), second=st.integers(0, 2**31 - 1), whole=st.booleans())
def test_a_time_is_utc_to_the_microsecond(micros: int, second: int, whole: bool) -> None:
    time = datetime.fromtimestamp(second, UTC).replace(microsecond=0 if whole else micros % 10**6)
    state = SourceState(symbol=Symbol("A"), state=State.UP, since=time)

    assert encode(state).endswith(f'"since":"{time:%Y-%m-%dT%H:%M:%S.%f}Z"}}'.encode())


@pytest.mark.parametrize("reason", ["12:34Z", '"time":"2026-01-01T00:00:00Z"', ":00Z"])
def test_text_that_looks_like_a_time_stays_as_it_is(reason: str) -> None:
    gap = Gap(since="0badcafe-1", until="0badcafe-9", missed=8, reason=reason)

    assert Decoder().decode("gap", encode(gap)) == gap


def test_every_time_of_a_fact_has_its_microseconds() -> None:
    noon = NOON.replace(microsecond=0)
    state = SourceState(symbol=Symbol("BTC"), state=State.UP, since=noon)
    tick = msgspec.structs.replace(a_tick(), time=noon)
    told = encode([tick, state, tick])

    assert told.count(b".000000Z") == 3


@pytest.mark.parametrize("micros", [0, 1, 123_000])
def test_many_facts_at_once_are_written_as_each_would_be(micros: int) -> None:
    at = NOON.replace(microsecond=micros)
    looks_like = Gap(since="a", until="b", missed=1, reason='"time":"2026-01-01T00:00:00Z"\n12:00Z')
    expiring = PlaceOrder(
        account="Z", symbol=Symbol("BTC"), side=Side.BUY, quantity=Decimal(1), expire_time=at
    )
    facts = [msgspec.structs.replace(a_tick(), time=at), *EVERY_FACT, looks_like, expiring]

    assert encode_many(facts) == [encode(fact) for fact in facts]
    assert encode_many([]) == []


def test_a_tick_on_the_wire_is_what_the_contract_says() -> None:
    assert encode(a_tick(price="70400", volume="0.00001", seq=7)) == (
        b'{"symbol":"BTC","price":70400,"volume":0.00001,'
        b'"time":"2026-01-02T12:00:00.130456Z","seq":7}'
    )


def test_a_gap_names_its_ends_from_and_to() -> None:
    gap = Gap(since="0badcafe-1", until="0badcafe-9", missed=8, reason="slow")

    assert encode(gap) == b'{"from":"0badcafe-1","to":"0badcafe-9","missed":8,"reason":"slow"}'


@given(text=st.text())
def test_21_text_of_any_kind_stays_on_its_line(text: str) -> None:
    gap = Gap(since=text.encode(errors="replace").decode(), until="x", missed=1, reason="epoch")
    (message,) = EventDecoder().feed(frame(gap.kind, encode(gap)))

    assert Decoder().decode("gap", message.data) == gap


def test_a_frame_has_the_fields_it_was_given_and_no_others() -> None:
    assert frame("tick", b"{}") == b"event: tick\ndata: {}\n\n"
    assert frame("tick", b"{}", id=EventId("0badcafe", 1), retry_ms=9) == (
        b"id: 0badcafe-1\nretry: 9\nevent: tick\ndata: {}\n\n"
    )
    assert comment("quiet") == b": quiet\n\n"
    assert EventDecoder().feed(comment("quiet")) == list[Message]()


@given(epoch=st.from_regex(r"[0-9a-f]{8}", fullmatch=True), n=st.integers(0, 10**19 - 1))
def test_an_id_is_parsed_as_it_was_written(epoch: str, n: int) -> None:
    assert EventId.parse(str(EventId(epoch, n))) == EventId(epoch, n)


@given(text=st.text(max_size=40))
def test_what_is_not_an_id_to_the_letter_is_none(text: str) -> None:
    found = EventId.parse(text)

    assert found is None or str(found) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "0badcafe-",
        "0BADCAFE-1",
        "0badcafe-01",
        "0badcafe--1",
        "0badcafe-1\n",
        "0badcafe-" + "9" * 20,
    ],
)
def test_a_near_miss_is_no_id(text: str) -> None:
    assert EventId.parse(text) is None


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"{}", b'{"symbol":1}', b"\xff", b"x" * 1000, b"[" * 5000],
)
def test_data_that_is_not_what_its_kind_says_is_garbled(data: bytes) -> None:
    with pytest.raises(GarbledEventError) as caught:
        Decoder().decode("tick", data)

    assert caught.value.kind == "tick"
    assert len(str(caught.value)) < 300


def test_an_unknown_kind_is_passed_over_and_unknown_members_too() -> None:
    newer = encode(a_tick()).replace(b"{", b'{"venue":"x",', 1)

    assert Decoder().decode("weather", b"rain") is None
    assert Decoder().decode("tick", newer) == a_tick()


def test_a_decoder_knows_the_facts_it_is_given() -> None:
    assert Decoder([Tick]).decode("trade", encode(a_trade())) is None


def test_a_fact_does_not_change() -> None:
    with pytest.raises(AttributeError):
        a_tick().seq = 2  # type: ignore[misc]
    assert msgspec.structs.replace(a_tick(), seq=2).seq == 2
    assert a_tick().time == NOON + timedelta(milliseconds=1)
