"""One seed for the market, a generator of its own for each purpose."""

from hashlib import sha256
from random import Random


def generator(seed: int, *purpose: str) -> Random:
    """Return the generator that ``seed`` has for a purpose; others share no draw with it.

    The two are joined by SHA-256, not by ``hash``, which differs from process to process.
    """
    text = "/".join((str(seed), *purpose))
    return Random(int.from_bytes(sha256(text.encode()).digest(), "big"))
