"""The revisions of priority rules, as the key-value bucket RULES keeps them, and the changes between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from pydantic import ValidationError

from gexlake.api.priorities.rules import PriorityRule, RuleChange, RuleOperation
from shared.bus import subjects
from shared.bus.follower import Followed
from shared.bus.streams import REVISIONS_KEPT
from shared.errors import MalformedMessage

CHANGED_BY: Final = "Gex-Changed-By"
"""The header of a delete marker that says who deleted the rule: the marker has no value."""


@dataclass(frozen=True)
class RuleRevision:
    """One revision of a rule."""

    revision: int
    """Of the bucket: its sequence in the stream."""
    rule_id: UUID
    rule: PriorityRule | None
    """None if it is deleted."""
    at: datetime | None = None
    """When the bucket took it (UTC)."""
    by: str | None = None
    """Who made it, as far as that is known."""

    @classmethod
    def of(cls, message: Followed) -> RuleRevision:
        """Read a message of the bucket.

        Raises:
            MalformedMessage: it is no rule.
        """
        try:
            rule_id = UUID(message.subject.removeprefix(subjects.bucket_prefix(subjects.RULES)))
            rule = PriorityRule.model_validate_json(message.data) if message.data else None
        except ValidationError as error:
            raise MalformedMessage(message.subject, f"{error.error_count()} fields are wrong") from error
        except ValueError as error:
            raise MalformedMessage(message.subject, "its key is no UUID") from error
        by = rule.changed_by if rule else message.headers.get(CHANGED_BY)
        return cls(message.sequence, rule_id, rule, message.at, by)


class RuleRevisions:
    """The newest revisions of each rule, as many as the bucket keeps."""

    def __init__(self) -> None:
        self._by_rule: dict[UUID, dict[int, RuleRevision]] = {}

    def add(self, revision: RuleRevision) -> None:
        """Take in a revision, in any order; one that is known is replaced."""
        known = self._by_rule.setdefault(revision.rule_id, {})
        known[revision.revision] = revision
        if len(known) > REVISIONS_KEPT:
            del known[min(known)]

    def clear(self) -> None:
        """Forget all: the bucket was created again."""
        self._by_rule.clear()

    def newest(self, rule_id: UUID) -> RuleRevision | None:
        """Return the newest revision of a rule."""
        known = self._by_rule.get(rule_id)
        return known[max(known)] if known else None

    @property
    def rule_ids(self) -> Iterator[UUID]:
        """The ids of all rules, deleted ones among them."""
        yield from self._by_rule

    def changes(self, rule_id: UUID) -> list[RuleChange]:
        """Return the changes of a rule, the oldest first."""
        known = self._by_rule.get(rule_id, {})
        ordered = [known[number] for number in sorted(known)]
        return [_change(before, after) for before, after in zip([None, *ordered], ordered, strict=False)]


def _change(before: RuleRevision | None, after: RuleRevision) -> RuleChange:
    return RuleChange(
        revision=after.revision,
        changed_at=after.at,
        changed_by=after.by,
        operation=_operation(before, after.rule),
        old=before.rule if before else None,
        new=after.rule,
    )


def _operation(before: RuleRevision | None, rule: PriorityRule | None) -> RuleOperation:
    if rule is None:
        return RuleOperation.DELETED
    if before is None:  # the first, or the oldest one that the bucket still has
        is_first = rule.created_at == rule.updated_at
        return RuleOperation.CREATED if is_first else RuleOperation.CHANGED
    return RuleOperation.CREATED if before.rule is None else RuleOperation.CHANGED
