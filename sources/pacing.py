"""Lets things happen when they are due, at an average rate that does not drift."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

PATIENCE_S: Final = 5.0  # a debt beyond it is forgiven: after a suspend there is no flood
BURST: Final = 100  # the most that happens before others have their turn
HOLD_S: Final = 0.002

Item = TypeVar("Item")


async def pace(
    plan: Iterator[tuple[float, Item]],
    emit: Callable[[Item], object],
    *,
    held: Callable[[], bool] = lambda: False,
    burst: int = BURST,
) -> None:
    """Call ``emit`` with each item of ``plan`` when it is due, until the plan ends.

    A timer wakes to the millisecond at best, so that at short intervals every wake-up emits all
    that has become due, at most ``burst`` at a time. Nothing is left out: what is late comes late.

    Args:
        plan: pairs of a time, in seconds from now, and an item; the times do not fall.
        held: while it is true, nothing is emitted; asked before every burst.
    """
    now = asyncio.get_running_loop().time
    begin, emitted = now(), burst
    for due, item in plan:
        wait = begin + due - now()
        if wait > 0 or emitted >= burst:
            await asyncio.sleep(0)  # a turn without news: a reader that has left can be cancelled
            await asyncio.sleep(max(wait, 0.0))
            begin += await _released(held)
            emitted = 0
        if wait < -PATIENCE_S:
            begin -= wait
        emit(item)
        emitted += 1


async def _released(held: Callable[[], bool]) -> float:
    """Return, once nothing is held any more, how many seconds that took."""
    if not held():
        return 0.0
    now = asyncio.get_running_loop().time
    stopped = now()
    while held():  # noqa: ASYNC110  readers do not say when they have read
        await asyncio.sleep(HOLD_S)
    return now() - stopped
