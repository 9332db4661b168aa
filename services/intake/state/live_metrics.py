"""Metrics of live payloads: what was accepted and refused, and how long the broker took."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from shared.bus.feeds.batch_publisher import MAX_BATCH

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5)
_MESSAGES: Final = (1, 2, 4, 8, 16, 32, 64, 128, MAX_BATCH)


class LiveMetrics:
    """Counts the payloads of the live routes, and observes their publishing."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._payloads = Counter(
            "gexlake_live_payloads",
            "Payloads posted to the live routes, by what they hold and what became of them",
            ("route", "kind", "outcome"),
            registry=registry,
        )
        self._publish_seconds = Histogram(
            "gexlake_live_publish_seconds",
            "Seconds from publishing a batch to its ack",
            buckets=_SECONDS,
            registry=registry,
        )
        self._batch_messages = Histogram(
            "gexlake_live_batch_messages",
            "Messages that were published together",
            buckets=_MESSAGES,
            registry=registry,
        )

    def counted_payload(self, route: str, kind: str, outcome: str) -> None:
        """Count a payload.

        Args:
            route: the route's path.
            kind: what it holds, of a small set; ``unknown`` if it could not be read.
            outcome: ``accepted``; ``streamed``, to readers of replays only; ``ignored``; ``interrupted``,
                when the client left; ``unavailable``, when the broker gave no ack; or the rule by which it
                was refused.
        """
        self._payloads.labels(route, kind, outcome).inc()

    def published(self, messages: int, seconds: float) -> None:
        """Observe messages that were published together."""
        self._batch_messages.observe(messages)
        self._publish_seconds.observe(seconds)
