"""The tables ``priority_rules`` and ``priority_rule_changes``, which follow the bucket RULES.

The first has the rules as the bucket has them. The second has their changes, also those that the bucket has
dropped: a change is known by the rule, its revision and its time, because a bucket that is created again
counts revisions from 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

import duckdb
import structlog

from gexlake.api.priorities.rules import PriorityRule, RuleChange
from services.importer.mirrors.columns import insert
from services.importer.mirrors.mirror import Write
from shared.bus import subjects
from shared.bus.follower import Followed
from shared.errors import MalformedMessage
from shared.rule_revisions import RuleRevision, RuleRevisions

_KEY: Final = "rule_id, revision, changed_at"
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class RuleRow:
    """A row of ``priority_rules``."""

    rule_id: str
    name: str
    description: str
    condition: str
    priority_score: float
    is_active: bool
    created_at: datetime
    updated_at: datetime
    changed_by: str | None
    revision: int


@dataclass(frozen=True)
class ChangeRow:
    """A row of ``priority_rule_changes``; ``old_rule`` and ``new_rule`` are JSON."""

    rule_id: str
    revision: int
    changed_at: datetime
    changed_by: str | None
    operation: str
    old_rule: str | None
    new_rule: str | None


class RuleTables:
    """The rules of the bucket, and what of them is not written yet."""

    stream: Final = subjects.bucket_stream(subjects.RULES)
    subject: Final = subjects.ALL_RULES
    collect_s: Final = 0.5

    def __init__(self) -> None:
        self._revisions = RuleRevisions()
        self._position = 0
        self._changed: set[UUID] = set()
        self._changes: dict[tuple[str, int, datetime], ChangeRow] = {}
        """Those to write by their key, beside the revisions: only the newest of these are known."""
        self._replaces_all = False
        """Whether rows of rules that the bucket does not have are deleted, too."""

    @property
    def has_changes(self) -> bool:
        """Whether anything is to be written."""
        return self._replaces_all or bool(self._changed)

    def take(self, message: Followed) -> None:
        """Take in one message of the bucket."""
        if message.sequence <= self._position:  # the bucket was created again
            self._revisions.clear()
            self._replaces_all = True
        self._position = message.sequence
        try:
            revision = RuleRevision.of(message)
        except MalformedMessage as error:
            log.warning("rule_unreadable", subject=message.subject, error=str(error))
            return
        self._revisions.add(revision)
        self._add(revision.rule_id, newest=1)

    def caught_up(self) -> None:
        """Take in that the bucket was read to its end: the table has no other rules."""
        self._replaces_all = True

    def write_again(self) -> None:
        """Count all rules as changed."""
        self._replaces_all = True
        for rule_id in self._revisions.rule_ids:
            self._add(rule_id)

    def take_changes(self) -> Write:
        """Return what writes the changes since the last call."""
        changed = set(self._revisions.rule_ids) if self._replaces_all else self._changed
        newest = [self._revisions.newest(rule_id) for rule_id in changed]
        write = partial(
            _write,
            rules=[_rule_row(each.rule, each.revision) for each in newest if each and each.rule],
            changes=list(self._changes.values()),
            replaced=None if self._replaces_all else [str(rule_id) for rule_id in changed],
        )
        self._changed, self._changes, self._replaces_all = set(), {}, False
        return write

    def _add(self, rule_id: UUID, newest: int = 0) -> None:
        """Add the newest changes of a rule to those to write, or all of them."""
        self._changed.add(rule_id)
        changes = self._revisions.changes(rule_id)[-newest:]
        for row in (_change_row(rule_id, change) for change in changes):
            self._changes.setdefault((row.rule_id, row.revision, row.changed_at), row)


def _write(
    connection: duckdb.DuckDBPyConnection,
    rules: list[RuleRow],
    changes: list[ChangeRow],
    replaced: list[str] | None,
) -> None:
    if replaced is None:
        connection.execute("DELETE FROM priority_rules")
    else:
        connection.execute("DELETE FROM priority_rules WHERE rule_id IN (SELECT unnest(?))", [replaced])
    insert(connection, "priority_rules", rules)
    insert_changes(connection, changes)


def insert_changes(connection: duckdb.DuckDBPyConnection, changes: list[ChangeRow]) -> None:
    """Insert the changes that the table lacks; call it within a transaction."""
    insert(connection, "priority_rule_changes", changes, unless=_KEY)


def _rule_row(rule: PriorityRule, revision: int) -> RuleRow:
    return RuleRow(**{**rule.model_dump(), "rule_id": str(rule.rule_id)}, revision=revision)


def _change_row(rule_id: UUID, change: RuleChange) -> ChangeRow:
    assert change.changed_at is not None  # noqa: S101 (for the type checker: messages of a stream have it)
    return ChangeRow(
        rule_id=str(rule_id),
        revision=change.revision,
        changed_at=change.changed_at,
        changed_by=change.changed_by,
        operation=change.operation,
        old_rule=change.old.model_dump_json() if change.old else None,
        new_rule=change.new.model_dump_json() if change.new else None,
    )
