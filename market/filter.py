"""What one kind of reader wants to be told."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Filter:
    """What one kind of reader wants; ``None`` for ``subjects`` is all of them."""

    kinds: frozenset[str]
    subjects: frozenset[str] | None = None
    conflate_ms: int | None = None
    _known: dict[tuple[str, str], bool] = field(default_factory=dict, repr=False)

    def wants(self, topic: tuple[str, str]) -> bool:
        """Tell whether an event of this kind and subject is for this reader."""
        wanted = self._known.get(topic)
        if wanted is None:
            kind, subject = topic
            wanted = kind in self.kinds and (self.subjects is None or subject in self.subjects)
            self._known[topic] = wanted
        return wanted
