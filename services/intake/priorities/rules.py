"""The rules as intake knows them: followed in the bucket RULES, and ready to be evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog

from gexlake.api.priorities.rules import RuleChange
from services.intake.errors import NotReady
from services.intake.priorities.rule_metrics import RuleMetrics
from services.intake.priorities.scoring import ReadyRule, Scored, score
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.follower import Followed, follow
from shared.errors import MalformedMessage
from shared.rule_revisions import RuleRevision, RuleRevisions

log = structlog.get_logger(__name__)


class KnownRules:
    """The newest revision of every rule, and those before it; kept in memory only.

    Args:
        metrics: counts what comes of the rules.
    """

    def __init__(self, metrics: RuleMetrics | None = None) -> None:
        self._metrics = metrics
        self._rules: dict[UUID, ReadyRule] = {}
        self._revisions = RuleRevisions()
        self._sorted: tuple[ReadyRule, ...] | None = None
        self._position = 0
        self.is_read = False
        """Whether the bucket has been read to its end."""

    @property
    def all(self) -> tuple[ReadyRule, ...]:
        """All rules, the highest score first, then by name."""
        if self._sorted is None:
            rules = self._rules.values()
            self._sorted = tuple(
                sorted(rules, key=lambda ready: (-ready.rule.priority_score, ready.rule.name))
            )
        return self._sorted

    def get(self, rule_id: UUID) -> ReadyRule | None:
        """Return one rule."""
        return self._rules.get(rule_id)

    def changes(self, rule_id: UUID) -> list[RuleChange]:
        """Return the changes of one rule that the bucket has, the oldest first."""
        return self._revisions.changes(rule_id)

    def require_read(self) -> None:
        """Refuse while rules may be missing.

        Raises:
            NotReady: the bucket has not been read to its end.
        """
        if not self.is_read:
            raise NotReady("rebuilding", "intake has not yet read from the broker which rules there are")

    def score(self, facts: Mapping[str, Any]) -> Scored:
        """Let the rules decide; the first failure of each revision is logged."""
        scored = score(self.all, facts)
        if self._metrics:
            self._metrics.count(scored)
        for failure in scored.failures:
            ready = self._rules[failure.rule.rule_id]
            ready.failures += 1
            if ready.failures == 1:
                log.warning("rule_failed", rule=ready.rule.name, error=failure.explanation)
        return scored

    async def follow(self, bus: Bus) -> None:
        """Take in the bucket, from its first revision to those that come, forever."""
        async for message in follow(bus, subjects.bucket_stream(subjects.RULES), subjects.ALL_RULES):
            self.take(message)

    def take(self, message: Followed) -> None:
        """Take in one message of the bucket."""
        if message.data is None:
            self.is_read = True
            return
        if message.sequence <= self._position:  # the bucket was created again
            self._rules.clear()
            self._revisions.clear()
            self._sorted = None
        self._position = message.sequence
        try:
            self.put(RuleRevision.of(message))
        except MalformedMessage as error:
            log.warning("rule_unreadable", subject=message.subject, error=str(error))

    def put(self, revision: RuleRevision) -> None:
        """Take in a revision of a rule; one that is older than the known changes only the history."""
        newest = self._revisions.newest(revision.rule_id)
        self._revisions.add(revision)
        if newest is not None and revision.revision <= newest.revision:
            return
        self._sorted = None
        if revision.rule is None:
            self._rules.pop(revision.rule_id, None)
            return
        self._rules[revision.rule_id] = ready = ReadyRule(revision.rule, revision.revision)
        if ready.problem:
            log.warning("rule_not_usable", rule=revision.rule.name, error=ready.problem)
