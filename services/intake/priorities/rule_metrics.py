"""Metrics of priority rules for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from gexlake.api.priorities.rules import OutcomeType
from services.intake.priorities.scoring import Scored


class RuleMetrics:
    """Counts what comes of the rules for requests that are queued, since intake was started."""

    def __init__(self, registry: CollectorRegistry) -> None:
        evaluations = Counter(
            "gexlake_rule_evaluations",
            "Evaluations of priority rules for requests, by what came of them",
            ("outcome",),
            registry=registry,
        )
        self._evaluations = {outcome: evaluations.labels(outcome) for outcome in OutcomeType}
        self._failures = Counter(
            "gexlake_rule_failures",
            "Evaluations of a priority rule that failed, which counts as no match",
            ("rule",),
            registry=registry,
        )

    def count(self, scored: Scored) -> None:
        """Count the outcomes of one request."""
        for outcome in scored.outcomes:
            self._evaluations[outcome.type].inc()
        for failure in scored.failures:
            self._failures.labels(failure.rule.name).inc()
