"""``python -m exchange verify`` and ``repair``: the journal looked after by hand."""

import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Final

from exchange.journal import JournalError, JournalFile
from exchange.recovery import Repair, Verification, proposed, repair, verify

USAGE: Final = (
    "usage: python -m exchange verify [JOURNAL]\n       python -m exchange repair [JOURNAL] [--yes]"
    "\n       python -m exchange halt SYMBOL [--state halted|cancel_only|auction]"
    "\n       python -m exchange resume SYMBOL"
    "\n       python -m exchange export --help"
)


def main(argv: Sequence[str], journal: Path) -> int:
    """Carry out ``argv`` on ``journal``, or the one that it names.

    Return 0 when the journal is whole (now), 1 when it is not, 2 when ``argv`` is not understood.
    """
    words = [word for word in argv if not word.startswith("-")]
    flags = set(argv) - set(words)
    if not words or len(words) > 2 or words[0] not in ("verify", "repair") or flags - {"--yes"}:
        _say(USAGE)
        return 2
    path = Path(words[1]) if len(words) == 2 else journal
    try:
        return _verify(path) if words[0] == "verify" else _repair(path, agreed="--yes" in flags)
    except JournalError as error:
        _say(str(error))
        return 1


def _verify(path: Path) -> int:
    begun = perf_counter()
    with JournalFile(path, read_only=True) as file:
        found = verify(file)
    _say(described(found))
    _say(f"took         {perf_counter() - begun:.1f} s")
    return 0 if found.good else 1


def described(found: Verification) -> str:
    """Return a verification in words."""
    start = f" after the snapshot at record {found.since}" if found.since else ""
    wrong = [seq for seq, same in found.snapshots.items() if not same]
    lines = [
        f"commands     {found.commands} replayed{start}",
        f"events       {found.events}",
        f"events hash  {found.events_hash}",
        f"state hash   {found.state_hash}",
        f"snapshots    {len(found.snapshots)} compared, {len(wrong)} differ {wrong or ''}".rstrip(),
        f"journal      {found.problem or 'whole'}",
    ]
    return "\n".join(lines)


def _repair(path: Path, *, agreed: bool) -> int:
    with JournalFile(path, read_only=True) as file:
        plan = proposed(file)
    if plan is None:
        _say(f"{path} is whole: there is nothing to repair")
        return 0
    _say(_planned(plan))
    if not agreed:
        _say("nothing was changed; say --yes to do it")
        return 1
    _say(f"done; the damaged journal is kept as {repair(path, plan)}")
    return 0


def _planned(plan: Repair) -> str:
    lines = [f"the repair keeps {plan.keeps}", str(plan.lost), *plan.lost.bodies]
    if plan.lost.commands > len(plan.lost.bodies):
        lines.append(f"... and {plan.lost.commands - len(plan.lost.bodies)} more")
    return "\n".join(lines)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
