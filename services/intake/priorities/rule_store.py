"""Rules in the key-value bucket RULES: created, changed and deleted by compare-and-set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import structlog
from nats.js.api import Header
from nats.js.errors import APIError, KeyDeletedError, KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KV_DEL, KV_OP, KeyValue
from pydantic import ValidationError

from gexlake.api.priorities.rules import NewRule, PriorityRule, RuleToCreate
from services.intake.errors import Conflict, NotFound, PreconditionFailed
from services.intake.priorities.default_rules import default_rules
from services.intake.priorities.rule_checks import check_condition
from services.intake.priorities.rules import KnownRules
from services.intake.priorities.scoring import ReadyRule
from services.intake.state.broker_link import BrokerLink
from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.errors import BrokerUnavailable
from shared.process.failpoints import failpoint
from shared.rule_revisions import CHANGED_BY, RuleRevision

_TRIES: Final = 20
"""At each conflict another writer succeeded, so this many concurrent writers all succeed."""

_RETRY_S: Final = 1.0
_WRONG_REVISION: Final = frozenset({10071, 10164})
"""JetStream's error codes for a message that is not the subject's last any more."""

log = structlog.get_logger(__name__)


class RuleStore:
    """Writes rules; each change is on the broker's disk when it returns.

    Args:
        link: the connection.
        known: gets each change at once, before it comes back from the bucket.
        clock: the present moment.
    """

    def __init__(self, link: BrokerLink, known: KnownRules, clock: Callable[[], datetime]) -> None:
        self._link = link
        self._known = known
        self._clock = clock

    async def create(self, new: RuleToCreate, by: str) -> ReadyRule:
        """Create a rule; the same one with the same id again changes nothing.

        Args:
            new: the rule.
            by: who creates it.

        Raises:
            Unprocessable: its condition is not allowed.
            Conflict: there is or was another rule with its id.
            BrokerUnavailable: no ack in time.
        """
        check_condition(new.condition)
        fields, now = new.model_dump(exclude={"rule_id"}), self._clock()
        rule_id = new.rule_id or uuid4()
        rule = PriorityRule(**fields, rule_id=rule_id, created_at=now, updated_at=now, changed_by=by)
        revision = await self._write(_bucket(self._link.require()), rule, 0)
        if revision is not None:
            failpoint("intake.rule_written")
            return self._keep(rule, revision)
        found, revision = await self._read(rule_id)
        if found is None or found.model_dump(include=set(fields)) != fields:
            raise Conflict("rule_id", "exists", f"rule_id: another rule has or had the id {rule_id}")
        return self._keep(found, revision)

    async def change(
        self, rule_id: UUID, changes: dict[str, Any], expected: int | None, by: str
    ) -> ReadyRule:
        """Change fields of a rule.

        Args:
            rule_id: which.
            changes: the new values by field.
            expected: the revision that is changed; None for whichever is the newest.
            by: who changes it.

        Raises:
            NotFound: there is no such rule.
            Unprocessable: the condition is not allowed.
            PreconditionFailed: the rule has another revision.
            BrokerUnavailable: no ack in time.
        """
        if "condition" in changes:
            check_condition(changes["condition"])
        for _ in range(_TRIES):
            rule, revision = await self._read_expected(rule_id, expected)
            if all(getattr(rule, name) == value for name, value in changes.items()):
                return self._keep(rule, revision)
            at = max(self._clock(), rule.created_at)
            changed = rule.model_copy(update={**changes, "updated_at": at, "changed_by": by})
            written = await self._write(_bucket(self._link.require()), changed, revision)
            if written is not None:
                failpoint("intake.rule_written")
                return self._keep(changed, written)
        raise PreconditionFailed("the rule is changed by others all the time; try again")

    async def delete(self, rule_id: UUID, expected: int | None, by: str) -> None:
        """Delete a rule.

        Args:
            rule_id: which.
            expected: the revision that is deleted; None for whichever is the newest.
            by: who deletes it.

        Raises:
            NotFound: there is no such rule.
            PreconditionFailed: the rule has another revision.
            BrokerUnavailable: no ack in time.
        """
        for _ in range(_TRIES):
            _, revision = await self._read_expected(rule_id, expected)
            marker = await self._delete(rule_id, revision, by)
            if marker is not None:
                failpoint("intake.rule_written")
                self._known.put(RuleRevision(marker, rule_id, None, self._clock(), by))
                return
        raise PreconditionFailed("the rule is changed by others all the time; try again")

    async def keep(self, bus: Bus) -> None:
        """Create the rules of a new deployment, then follow the bucket, forever."""
        while True:
            try:
                await self.seed(bus)
                break
            except BrokerUnavailable as error:
                log.warning("rules_not_created", error=str(error), retry_in_s=_RETRY_S)
                await asyncio.sleep(_RETRY_S)
        await self._known.follow(bus)

    async def seed(self, bus: Bus) -> None:
        """Create the rules of a new deployment; those that are or were in the bucket stay as they are.

        Raises:
            BrokerUnavailable: no ack in time.
        """
        created = 0
        for rule in default_rules(self._clock()):
            created += await self._write(_bucket(bus), rule, 0) is not None
        if created:
            log.info("rules_created", count=created)

    async def _read_expected(self, rule_id: UUID, expected: int | None) -> tuple[PriorityRule, int]:
        rule, revision = await self._read(rule_id)
        if rule is None:
            raise no_rule(rule_id)
        if expected is not None and expected != revision:
            raise PreconditionFailed(f"the rule has revision {revision}, not {expected}: read it again")
        return rule, revision

    async def _read(self, rule_id: UUID) -> tuple[PriorityRule | None, int]:
        with translate_errors(f"read {subjects.RULES}"):
            try:
                entry = await _bucket(self._link.require()).get(str(rule_id))
            except (KeyNotFoundError, KeyDeletedError):
                return None, 0
        try:
            return PriorityRule.model_validate_json(entry.value or b""), entry.revision or 0
        except ValidationError:  # put there by hand
            return None, entry.revision or 0

    async def _write(self, bucket: KeyValue, rule: PriorityRule, revision: int) -> int | None:
        """Write a rule and return its revision; None if it was written after ``revision``."""
        stored = NewRule.model_fields.keys() | {"rule_id", "created_at", "updated_at", "changed_by"}
        value = rule.model_dump_json(include=set(stored)).encode()
        with translate_errors(f"write {subjects.RULES}", subjects.RULES):
            try:
                return int(await bucket.update(str(rule.rule_id), value, last=revision))
            except KeyWrongLastSequenceError:
                return None

    async def _delete(self, rule_id: UUID, revision: int, by: str) -> int | None:
        """Delete a rule and return its marker's revision; None if it was written after ``revision``.

        nats-py's own ``delete`` takes no headers.
        """
        subject = subjects.bucket_prefix(subjects.RULES) + str(rule_id)
        headers = {
            KV_OP: KV_DEL,
            str(Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value): str(revision),
            CHANGED_BY: by,
        }
        with translate_errors(f"write {subjects.RULES}", subjects.RULES):
            try:
                return int((await self._link.require().js.publish(subject, headers=headers)).seq)
            except APIError as error:
                if error.err_code not in _WRONG_REVISION:
                    raise
                return None

    def _keep(self, rule: PriorityRule, revision: int) -> ReadyRule:
        self._known.put(RuleRevision(revision, rule.rule_id, rule, rule.updated_at, rule.changed_by))
        return ReadyRule(rule, revision)


def no_rule(rule_id: UUID) -> NotFound:
    """Return the refusal of an id that no rule has."""
    return NotFound("rule_id", "exists", f"there is no rule {rule_id}")


def _bucket(bus: Bus) -> KeyValue:
    stream = subjects.bucket_stream(subjects.RULES)
    return KeyValue(subjects.RULES, stream, subjects.bucket_prefix(subjects.RULES), bus.js, direct=False)
