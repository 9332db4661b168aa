"""Metrics of sources for Prometheus, computed from their records at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gexlake.api.sources import Circuit
from services.intake.state.sources.view import KnownSources

_LABELS = ("source",)


class SourceMetrics(Collector):
    """The metrics of every source, over all fetchers and restarts.

    Args:
        sources: the records.
        clock: the present moment.
    """

    def __init__(self, sources: KnownSources, clock: Callable[[], datetime]) -> None:
        self._sources = sources
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Return the metrics as they are now."""
        requests = CounterMetricFamily("gexlake_source_requests", "Requests to a source", labels=_LABELS)
        successes = CounterMetricFamily(
            "gexlake_source_successes", "Those that it answered as it should", labels=_LABELS
        )
        response = GaugeMetricFamily(
            "gexlake_source_response_seconds", "Exponential mean of the seconds to an answer", labels=_LABELS
        )
        left_alone = GaugeMetricFamily(
            "gexlake_source_left_alone", "1 while the circuit of a source is open", labels=_LABELS
        )
        deactivated = GaugeMetricFamily(
            "gexlake_source_deactivated", "1 while a client has deactivated a source", labels=_LABELS
        )
        now = self._clock()
        for record in self._sources.records:
            source = (record.base_url,)
            requests.add_metric(source, record.requests)
            successes.add_metric(source, record.successes)
            if record.mean_response_s is not None:
                response.add_metric(source, record.mean_response_s)
            left_alone.add_metric(source, record.circuit(now) is Circuit.OPEN)
            deactivated.add_metric(source, record.deactivated_at is not None)
        yield from (requests, successes, response, left_alone, deactivated)
