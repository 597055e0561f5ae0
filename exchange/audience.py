"""Everyone who is told what happens: the streams' readers, and with them the history.

Beside their frames, the streams' tapes note the last record of the journal whose facts they have
told, with its link. By that a start knows where to tell on; and when the journal does not hold that
record any more, because it was cut, lost, or put back from an older copy, it knows that readers
were told what did not happen. Then both streams begin a new epoch: whoever resumes gets a gap and a
snapshot, and no number that was void is given out again under the same epoch.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog

from exchange.accounts import UNLIMITED
from exchange.chain import Head
from exchange.history import History
from exchange.recent import Recent
from exchange.recovery import Chain
from exchange.streams import Taped
from exchange.venue import Venue
from market.events import Fact, Trade
from market.orders import OrderFact, TradingStateChanged
from market.values import Symbol

log = structlog.get_logger("exchange")

UNKNOWN: Final = Head(-1, "")


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What a tape notes: how far it and the other one have told, and the sources were read."""

    journal: int = UNKNOWN.seq
    link: str = UNKNOWN.link
    orders: Head | None = None
    sources: dict[str, str] = {}

    @classmethod
    def of(cls, text: str) -> "Note":
        """Return the note in a text; of one that is none, the note that nothing is known."""
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError:
            return cls()

    @property
    def told(self) -> Head:
        """The last record whose facts the tape's own stream had told."""
        return Head(self.journal, self.link)


class Audience:
    """The streams of the market and of the accounts, and the history.

    Args:
        market: what everybody may hear; the history takes its trades.
        orders: what only the owners of accounts may hear.
        recent: the newest of the history, for those who ask.
        read_to: gives how far each source was read, to be noted.

    Attributes:
        void: what the streams had told last, when the journal does not hold it any more.
    """

    def __init__(
        self,
        market: Taped,
        orders: Taped,
        recent: Recent,
        history: History,
        read_to: Callable[[], dict[Symbol, str]],
    ) -> None:
        self._market, self._orders = market, orders
        self._recent, self._history, self._read_to = recent, history, read_to
        self._marks: dict[Taped, Head] = {}
        self._told = self._orders_kept = Head()
        self._heard: int | None = None
        self._last_trade_id = 0
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self.void: Head | None = None

    # -- after a start -------------------------------------------------------------------------

    def heard(self, chain: Chain) -> int | None:
        """Return the last record that both streams told of; None when they know of none."""
        noted = self._noted()
        places = [place for told in noted.values() for place in told]
        if self._history.was_ahead or not all(map(chain.holds, places)):
            self.void = max(places)
            since = self._last_held(chain)
            noted = {} if since is None else {taped: [since] for taped in noted}
        self._marks = {taped: max(places) for taped, places in noted.items()}
        self._heard = min((place.seq for place in self._marks.values()), default=None)
        return self._heard

    def resume(self, at: Head, venue: Venue) -> None:
        """Begin to tell what followed the record ``at``; what is void is forgotten first."""
        if self._heard is not None and self._heard < at.seq:  # what is between cannot be told
            self.void, self._marks = self.void or max(self._marks.values()), {}
        if self.void is not None:
            self._market.renew()
            self._orders.renew()
        if self.void is not None or self._market not in self._marks:
            self._last_trade_id = self._history.forget_trades(venue.last_trade_id)
        for fact in self._history.newest(self._recent.keep):
            self._recent.take(fact)
        for taped in (self._market, self._orders):
            self._marks.setdefault(taped, at)
        self._told, self._orders_kept = Head(), self._marks[self._orders]
        self._market.begin(self._market_note, self._market.hub.standing)
        self._orders.begin(self._orders_note)

    def complain(self, head: Head, venue: Venue) -> None:
        """Say once what was told and did not happen, when there is such a thing."""
        void = self._last_trade_id - venue.last_trade_id if self._last_trade_id else 0
        if self.void is None and void <= 0:
            return
        log.error(
            "journal_behind_streams",
            commands=head.seq,
            told=self.void.seq if self.void is not None else "unknown",
            trades_void=max(0, void),
            epoch=self._market.hub.epoch,
        )

    def _noted(self) -> dict[Taped, list[Head]]:
        """Return for each stream with a tape what the tapes say that it has told."""
        noted: dict[Taped, list[Head]] = {}
        if self._market.recovered is not None:
            note = Note.of(self._market.footnote)
            noted[self._market] = [note.told]
            if note.orders is not None:
                noted[self._orders] = [note.orders]
        if self._orders.recovered is not None:
            noted.setdefault(self._orders, []).append(Note.of(self._orders.footnote).told)
        return noted

    def _last_held(self, chain: Chain) -> Head | None:
        """Return the last place noted on the tapes that the journal holds, None without one."""
        texts = [*self._market.notes(), *self._orders.notes()]
        places = sorted({Note.of(text).told for text in texts}, reverse=True)
        return next(filter(chain.holds, places), None)

    # -- told ----------------------------------------------------------------------------------

    def tell(self, at: Head, facts: Sequence[Fact]) -> None:
        """Publish the facts of the record ``at``, each on the stream that it belongs to."""
        self._told = at
        if at > self._marks[self._orders]:
            self._orders.publish(*filter(_is_of_a_customer, facts))
        if at > self._marks[self._market]:
            self._tell_market([f for f in facts if isinstance(f, Trade | TradingStateChanged)])
        while self._waiting and self._waiting[0][0] <= at.seq:
            self._waiting.popleft()[1]()

    def _tell_market(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            self._market.hub.publish(fact)
            self._recent.take(fact)
            if isinstance(fact, Trade):
                self._history.take(fact)
        self._market.ease()

    def when_told(self, seq: int, act: Callable[[], None]) -> None:
        """Call ``act`` when the newest record, ``seq``, is told and the next one is not yet."""
        if seq <= max(self._told, self._marks[self._orders]).seq:
            act()
        else:
            self._waiting.append((seq, act))

    def commit(self) -> None:
        """Keep what was told so far."""
        self._market.commit()
        self._orders.commit()
        self._orders_kept = max(self._told, self._marks[self._orders])

    def _market_note(self) -> str:
        told = max(self._told, self._marks[self._market])
        sources = dict[str, str](self._read_to().items())
        note = Note(journal=told.seq, link=told.link, orders=self._orders_kept, sources=sources)
        return msgspec.json.encode(note).decode()

    def _orders_note(self) -> str:
        told = max(self._told, self._marks[self._orders])
        return msgspec.json.encode(Note(journal=told.seq, link=told.link)).decode()


def _is_of_a_customer(fact: Fact) -> bool:
    return isinstance(fact, OrderFact) and fact.account not in UNLIMITED
