"""What the exchange counts, read at the time of a scrape: nothing here is on the hot path."""

from collections.abc import Iterable, Iterator, Sequence
from time import time

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from exchange.accounts import UNLIMITED
from exchange.desk import Desk
from exchange.history import History
from exchange.merging import Merging
from exchange.pre_trade import PreTrade
from market.events import State
from market.streaming import StreamEndpoint

Samples = Iterable[tuple[Sequence[str], float]]


class StreamCollector(Collector):
    """The figures of a stream and of all readers, its own and those of other streams."""

    def __init__(self, stream: StreamEndpoint, *others: StreamEndpoint) -> None:
        self._stream, self._streams = stream, (stream, *others)

    def collect(self) -> Iterator[Metric]:
        """Yield every figure as it stands."""
        yield from self._of_the_stream()
        yield from self._of_the_readers()

    def _of_the_stream(self) -> Iterator[Metric]:
        hub = self._stream.hub
        yield _counter("events", "Events published on the stream.", hub.published)
        yield _gauge("stream_head", "Number of the newest event.", hub.head)
        yield _gauge(
            "ring_depth", "Events at hand for readers that resume.", hub.head - hub.oldest + 1
        )

    def _of_the_readers(self) -> Iterator[Metric]:
        streams, admission = self._streams, self._stream.admission
        lags = sorted(reader.lag for stream in streams for reader in stream.readers)
        delivered = sum(stream.delivered for stream in streams)
        sent = sum(stream.bytes_sent for stream in streams)
        yield _gauge("readers", "Streams that are open, of all kinds.", admission.open)
        yield _counter("refused_streams", "Streams refused for want of room.", admission.refused)
        yield _counter("deliveries", "Events delivered, summed over the readers.", delivered)
        yield _counter("bytes", "Bytes written to readers, heartbeats aside.", sent)
        replays = sum(stream.hub.replays for stream in streams)
        yield _counter("replays", "Readers that resumed after an id.", replays)
        gaps = sum(stream.hub.gaps for stream in streams)
        yield _counter("gaps", "Gaps that readers were told of.", gaps)
        yield _counter("evictions", "Readers cut off for taking nothing.", admission.evicted)
        yield _gauge(
            "lag_max", "Events that the slowest reader has yet to take.", lags[-1] if lags else 0
        )
        yield _gauge("lag_p99", "The same, of the 99th in a hundred.", _p99(lags))


class ExchangeCollector(StreamCollector):
    """The figures of the stream, of the sources and of the orders."""

    def __init__(
        self,
        streams: Sequence[StreamEndpoint],
        merging: Merging,
        desk: Desk,
        history: History,
        pre_trade: PreTrade | None,
    ) -> None:
        super().__init__(*streams)
        self._merging, self._desk = merging, desk
        self._history, self._pre_trade = history, pre_trade

    def collect(self) -> Iterator[Metric]:
        """Yield every figure as it stands."""
        yield from super().collect()
        yield from self._of_the_sources()
        yield from self._of_the_orders()
        yield from self._of_the_history()

    def _of_the_sources(self) -> Iterator[Metric]:
        sources, now = self._merging.sources.items(), time()
        yield _counter("ticks", "Ticks merged.", [((s,), of.ticks) for s, of in sources], "symbol")
        yield _counter(
            "source_faults",
            "What a source did wrong.",
            [((s,), of.faults) for s, of in sources],
            "symbol",
        )
        yield _counter(
            "lost_ticks",
            "Ticks that a source numbered and that never came.",
            [((s,), of.lost_ticks) for s, of in sources],
            "symbol",
        )
        yield _gauge(
            "source_up",
            "Whether the source is heard.",
            [((s,), of.state is State.UP) for s, of in sources],
            "symbol",
        )
        ages = [((s,), now - of.tick.time.timestamp()) for s, of in sources if of.tick is not None]
        yield _gauge("tick_age_seconds", "Age of the newest tick by its own time.", ages, "symbol")

    def _of_the_orders(self) -> Iterator[Metric]:
        desk = self._desk
        placed = [((status,), count) for status, count in sorted(desk.placed.items())]
        yield _counter("orders", "Orders by the status they were answered with.", placed, "status")
        denied = 0 if self._pre_trade is None else self._pre_trade.denied
        yield _counter("denied_orders", "Orders and amendments that risk denied.", denied)
        yield _counter("commands", "Commands carried out since the start.", desk.commands)
        yield _gauge(
            "accounts", "Accounts that are open.", len(desk.venue.ledger.accounts) - len(UNLIMITED)
        )
        yield _gauge("journal_backlog", "Commands that wait for the journal.", desk.backlog)
        yield _gauge("journal_head", "Number of the newest command in the journal.", desk.head)

    def _of_the_history(self) -> Iterator[Metric]:
        of = self._history
        yield _gauge("history_backlog", "Ticks and trades that wait to be written.", of.backlog)
        yield _counter(
            "history_overflows", "Times that writing failed or fell behind.", of.overflows
        )
        yield _counter("history_reread", "Events read from the tape for the history.", of.reread)
        yield _counter("history_lost", "Events that were not on the tape, either.", of.lost)


def exposition(collector: Collector) -> bytes:
    """Return what a collector has, in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry)


def _p99(ordered: Sequence[int]) -> int:
    return ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] if ordered else 0


def _counter(name: str, about: str, samples: Samples | float, *labels: str) -> Metric:
    return _filled(CounterMetricFamily(f"sandpit_{name}", about, labels=labels), samples)


def _gauge(name: str, about: str, samples: Samples | float, *labels: str) -> Metric:
    return _filled(GaugeMetricFamily(f"sandpit_{name}", about, labels=labels), samples)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, samples: Samples | float) -> Metric:
    for labels, value in [((), samples)] if isinstance(samples, int | float) else samples:
        family.add_metric(labels, value)
    return family
