import asyncio
from collections.abc import Iterator

from sources.pacing import pace


def every(interval_s: float, length: int) -> Iterator[tuple[float, int]]:
    return ((number * interval_s, number) for number in range(length))


async def test_what_is_due_comes_in_order_and_in_time() -> None:
    now = asyncio.get_running_loop().time
    begin, seen = now(), []

    await pace(every(0.01, 20), lambda number: seen.append((number, now() - begin)))

    assert [number for number, _ in seen] == list(range(20))
    assert all(time >= number * 0.01 - 0.002 for number, time in seen)


async def test_intervals_below_a_timer_s_grain_keep_their_average() -> None:
    now, seen = asyncio.get_running_loop().time, 0
    begin = now()

    def emit(_: int) -> None:
        nonlocal seen
        seen += 1

    await pace(every(0.00005, 6001), emit)

    assert seen == 6001
    assert now() - begin >= 0.299


async def test_others_have_their_turn_between_bursts() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count())
    await pace(every(0, 1000), lambda _: None, burst=10)
    other.cancel()

    assert turns >= 99


async def test_nothing_comes_while_it_is_held_and_nothing_is_lost_by_it() -> None:
    seen: list[int] = []
    free = asyncio.Event()
    pacing = asyncio.create_task(
        pace(every(0, 50), seen.append, held=lambda: not free.is_set(), burst=10)
    )
    await asyncio.sleep(0.02)
    assert seen == []

    free.set()
    await pacing

    assert seen == list(range(50))


async def test_time_spent_held_is_not_caught_up() -> None:
    now = asyncio.get_running_loop().time
    begin, released, times = now(), now() + 0.1, []

    await pace(every(0.02, 4), lambda _: times.append(now() - begin), held=lambda: now() < released)

    assert times[0] >= 0.1
    assert times[-1] >= 0.1 + 0.055
