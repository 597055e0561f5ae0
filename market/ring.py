"""The newest encoded events by number, in a ring: what is one too many goes over the oldest."""

from typing import TypeVar

from market.filter import Filter

Topic = tuple[str, str]
Kept = TypeVar("Kept")


class Ring:
    """The frames of the newest ``size`` events, and what each is about.

    Attributes:
        head: the number of the newest event.
        oldest: the number of the oldest event at hand; ``head + 1`` when there is none.
    """

    __slots__ = ("_interned", "frames", "head", "oldest", "size", "topics")

    def __init__(self, size: int) -> None:
        self.size, self.head, self.oldest = size, 0, 1
        self.frames: list[bytes] = [b""] * size
        self.topics: list[Topic] = [("", "")] * size
        self._interned: dict[Topic, Topic] = {}

    def begin(self, after: int) -> None:
        """Number on from ``after``, with no event at hand."""
        self.head, self.oldest = after, after + 1

    def extend(self, topics: list[Topic], frames: list[bytes]) -> None:
        """Give the next numbers to frames, and keep the newest of them."""
        intern, newest = self._interned, slice(-self.size, None)
        self.head += len(frames)
        self._put(self.frames, frames[newest])
        self._put(self.topics, [intern.setdefault(topic, topic) for topic in topics[newest]])
        self.oldest = max(self.oldest, self.head - self.size + 1)

    def _put(self, slots: list[Kept], newest: list[Kept]) -> None:
        """Put into its slot each of those that end at the head."""
        first = (self.head - len(newest) + 1) % self.size
        till_end = self.size - first
        slots[first : first + len(newest)] = newest[:till_end]
        slots[: max(0, len(newest) - till_end)] = newest[till_end:]

    def wanted(self, wishes: Filter, after: int, upto: int) -> list[bytes]:
        """Return the frames of the events after ``after``, up to ``upto``, that a filter wants."""
        if after == upto:
            return []
        first, end = (after + 1) % self.size, (upto + 1) % self.size
        if first < end:
            return self._wanted(wishes, first, end)
        return self._wanted(wishes, first, self.size) + self._wanted(wishes, 0, end)

    def about(self, after: int, upto: int) -> set[Topic]:
        """Return what the events after ``after`` are about, up to ``upto``."""
        if after == upto:
            return set()
        first, end = (after + 1) % self.size, (upto + 1) % self.size
        if first < end:
            return set(self.topics[first:end])
        return {*self.topics[first:], *self.topics[:end]}

    def _wanted(self, wishes: Filter, first: int, end: int) -> list[bytes]:
        """Return the frames in these slots that a filter lets through."""
        frames = self.frames[first:end]
        if all(map(wishes.wants, self._interned)):
            return frames
        topics = self.topics[first:end]
        distinct = set(topics)
        wanted = {topic for topic in distinct if wishes.wants(topic)}
        if len(wanted) == len(distinct):
            return frames
        return [kept for kept, topic in zip(frames, topics, strict=True) if topic in wanted]
