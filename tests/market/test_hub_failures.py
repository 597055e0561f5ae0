"""What a fact does to a hub that cannot be encoded."""

import pytest
from structlog.testing import capture_logs

from market.hub import MOST_FRESH
from market.reader import Reader
from tests.builders import a_hub, a_source_state, a_tick

NO_TEXT = "\ud800"


def numbers(reader: Reader) -> list[int]:
    frames = reader.take().split(b"\n\n")[:-1]
    return [int(frame.split(b"\n")[0].partition(b"-")[2]) for frame in frames]


@pytest.mark.parametrize("conflate_ms", [None, 100])
def test_a_fact_without_data_is_complained_of_and_costs_no_other_its_place(
    conflate_ms: int | None,
) -> None:
    hub = a_hub()
    reader = hub.reader(hub.filter(conflate_ms=conflate_ms))
    reader.take()
    for symbol in ("BTC", NO_TEXT, "META"):
        hub.publish(a_source_state(symbol=symbol))

    with capture_logs() as logs:
        assert numbers(reader) == [1, 2]
    assert [(log["event"], log["events"]) for log in logs] == [("event_not_encoded", 1)]
    assert reader.cursor == hub.head == 2
    assert not reader.is_due
    with pytest.raises(UnicodeEncodeError):
        hub.publish(a_source_state())
    hub.publish(a_source_state())
    assert numbers(reader) == [3, 4]


def test_a_publisher_hears_of_a_fact_without_data_though_nobody_reads() -> None:
    hub = a_hub()
    hub.publish(a_tick(symbol=NO_TEXT))

    with capture_logs():
        for _ in range(MOST_FRESH - 1):
            hub.publish(a_tick())

    with pytest.raises(UnicodeEncodeError):
        hub.publish(a_tick())
    assert hub.head == MOST_FRESH == hub.published
