"""What a block of a test left to the collector to close."""

import gc
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unclosed() -> Iterator[list[str]]:
    """Give a list that says, after the block, which sockets and files nobody closed in it."""
    gc.collect()  # what others left is not counted here
    found: list[str] = []
    hook = sys.unraisablehook
    sys.unraisablehook = lambda each: found.append(f"{each.object!r}: {each.exc_value}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            yield found
            gc.collect()
    finally:
        sys.unraisablehook = hook
