"""The rules as intake knows them: followed in the bucket RULES, and ready to be evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog
from pydantic import ValidationError

from gexlake.api.rules import PriorityRule
from services.intake.errors import NotReady
from services.intake.priorities.scoring import ReadyRule, Scored, score
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.follower import Followed, follow

log = structlog.get_logger(__name__)


class KnownRules:
    """The newest revision of every rule; kept in memory only."""

    def __init__(self) -> None:
        self._rules: dict[UUID, ReadyRule] = {}
        self._revisions: dict[UUID, int] = {}
        self._sorted: tuple[ReadyRule, ...] | None = None
        self._position = 0
        self._is_read = False

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

    def require_read(self) -> None:
        """Refuse while rules may be missing.

        Raises:
            NotReady: the bucket has not been read to its end.
        """
        if not self._is_read:
            raise NotReady("rebuilding", "intake has not yet read from the broker which rules there are")

    def score(self, facts: Mapping[str, Any]) -> Scored:
        """Let the rules decide; the first failure of each revision is logged."""
        scored = score(self.all, facts)
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
            self._is_read = True
            return
        if message.sequence <= self._position:  # the bucket was created again
            self._rules.clear()
            self._revisions.clear()
            self._sorted = None
        self._position = message.sequence
        try:
            rule_id = UUID(message.subject.removeprefix(subjects.bucket_prefix(subjects.RULES)))
            rule = PriorityRule.model_validate_json(message.data) if message.data else None
        except ValueError as error:
            count = error.error_count() if isinstance(error, ValidationError) else 1
            log.warning("rule_unreadable", subject=message.subject, problems=count)
            return
        self.put(rule_id, rule, message.sequence)

    def put(self, rule_id: UUID, rule: PriorityRule | None, revision: int) -> None:
        """Take in a revision of a rule; one that is older than the known is ignored.

        Args:
            rule_id: which.
            rule: None if it is deleted.
            revision: of the bucket.
        """
        if revision <= self._revisions.get(rule_id, 0):
            return
        self._revisions[rule_id] = revision
        self._sorted = None
        if rule is None:
            self._rules.pop(rule_id, None)
            return
        self._rules[rule_id] = ready = ReadyRule(rule, revision)
        if ready.problem:
            log.warning("rule_not_usable", rule=rule.name, error=ready.problem)
