from datetime import timedelta

import pytest

from market.clock import ManualClock
from simulation.errors import StuckError
from simulation.event_loop import ACTION, COMMAND, TICK, EventLoop


def a_loop() -> EventLoop:
    return EventLoop(ManualClock())


def test_what_is_due_first_happens_first_and_the_clock_jumps_there() -> None:
    loop, seen = a_loop(), list[tuple[str, int]]()
    start = loop.clock.now()
    loop.at(2_000_000, TICK, lambda: seen.append(("late", loop.now)))
    loop.at(1_500_000, TICK, lambda: seen.append(("early", loop.now)))
    loop.run(3_000_000)

    assert seen == [("early", 1_500_000), ("late", 2_000_000)]
    assert loop.clock.now() - start == timedelta(seconds=3)


def test_at_one_instant_a_scenario_acts_before_orders_arrive_before_the_next_price() -> None:
    loop, seen = a_loop(), list[str]()
    loop.at(5, TICK, lambda: seen.append("tick"))
    loop.at(5, COMMAND, lambda: seen.append("command"))
    loop.at(5, ACTION, lambda: seen.append("action"))
    loop.run(5)

    assert seen == ["action", "command", "tick"]


def test_what_is_asked_for_in_the_past_happens_now() -> None:
    loop, seen = a_loop(), list[int]()
    loop.at(10, TICK, lambda: loop.at(3, COMMAND, lambda: seen.append(loop.now)))
    loop.run(20)

    assert seen == [10]


def test_an_instant_that_never_ends_is_an_error() -> None:
    loop, made = EventLoop(ManualClock(), most_at_once=1000), list[int]()

    def again() -> None:
        made.append(loop.now)
        loop.after(0, COMMAND, again)

    loop.at(1, COMMAND, again)
    with pytest.raises(StuckError):
        loop.run(2)
    assert len(made) == 1001
