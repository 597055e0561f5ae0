"""The numbers of the service for Prometheus."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from risk.errors import UnavailableError
from risk.report import RiskReport
from risk.service import RiskService

_GAUGES: Final = ("value", "volatility", "weighted_risk", "drawdown", "max_drawdown")


class _Numbers:
    """Reads the service when it is scraped."""

    def __init__(self, service: RiskService) -> None:
        self._service = service

    def collect(self) -> Iterable[Metric]:
        """Yield every metric as it is now."""
        monitor = self._service.monitor
        yield GaugeMetricFamily("risk_up", "1 while healthy.", float(not self._service.ailments()))
        yield GaugeMetricFamily("risk_streams", "Open streams.", float(self._service.streams()))
        counts = {
            "ticks": int(monitor.market.ticks.sum()),
            "replayed": monitor.marks.replayed,
            "missed": monitor.marks.missed,
            "garbled": monitor.garbled,
            "rejected": monitor.rejected,
        }
        for name, count in counts.items():
            yield CounterMetricFamily(f"risk_{name}", f"Ticks {name}.", float(count))
        yield from self._of_portfolios()

    def _of_portfolios(self) -> Iterable[Metric]:
        gauges = {
            name: GaugeMetricFamily(
                f"risk_{name}", f"See {name} of a report.", labels=["portfolio"]
            )
            for name in _GAUGES
        }
        tail = GaugeMetricFamily(
            "risk_value_at_risk", "Money at the horizon.", labels=["portfolio", "level"]
        )
        for report in self._reports():
            for name, gauge in gauges.items():
                if (number := getattr(report, name)) is not None:
                    gauge.add_metric([report.portfolio], number)
            for level, loss in report.value_at_risk.items():
                if loss is not None:
                    tail.add_metric([report.portfolio, level], loss)
        return [*gauges.values(), tail]

    def _reports(self) -> Iterable[RiskReport]:
        for name in sorted(self._service.monitor.contexts):
            try:
                yield self._service.monitor.report(name)
            except UnavailableError:
                return  # nothing is known of the market, whatever the portfolio


def exposition(service: RiskService) -> tuple[bytes, str]:
    """Return the metrics of ``service`` and their media type."""
    registry = CollectorRegistry()
    registry.register(_Numbers(service))
    return generate_latest(registry), CONTENT_TYPE_LATEST
