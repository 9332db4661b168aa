"""The changes of rules, from the revisions that their bucket keeps."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from gexlake.api.priorities.rules import PriorityRule, RuleOperation
from shared.bus.follower import Followed
from shared.bus.streams import REVISIONS_KEPT
from shared.errors import MalformedMessage
from shared.rule_revisions import CHANGED_BY, RuleRevision, RuleRevisions
from tests.support.values import NOON

ID = UUID(int=1)
SUBJECT = f"$KV.RULES.{ID}"


def a_rule(revision: int = 0) -> PriorityRule:
    return PriorityRule(
        rule_id=ID,
        name=f"revision {revision}",
        condition="True",
        priority_score=0.5,
        created_at=NOON,
        updated_at=NOON + timedelta(seconds=revision),
        changed_by="key:ba7816bf",
    )


def known(*revisions: RuleRevision) -> RuleRevisions:
    rules = RuleRevisions()
    for revision in revisions:
        rules.add(revision)
    return rules


def test_a_value_and_a_delete_marker_say_who_made_them() -> None:
    value = Followed(3, SUBJECT, a_rule().model_dump_json().encode(), NOON)
    marker = Followed(4, SUBJECT, b"", NOON, {CHANGED_BY: "address:10.0.0.7"})
    by_hand = Followed(5, SUBJECT, b"", NOON)
    assert RuleRevision.of(value) == RuleRevision(3, ID, a_rule(), NOON, "key:ba7816bf")
    assert RuleRevision.of(marker) == RuleRevision(4, ID, None, NOON, "address:10.0.0.7")
    assert RuleRevision.of(by_hand).by is None


@pytest.mark.parametrize(("subject", "data"), [("$KV.RULES.note", b""), (SUBJECT, b"{}"), (SUBJECT, b"x")])
def test_what_is_no_rule_is_refused(subject: str, data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        RuleRevision.of(Followed(1, subject, data))


def test_each_change_has_the_rule_before_and_after_it_in_whatever_order_they_come() -> None:
    revisions = [RuleRevision(n, ID, a_rule(n) if n != 2 else None) for n in range(4)]
    random.Random(1).shuffle(revisions)
    changes = known(*revisions).changes(ID)
    assert [change.operation for change in changes] == [
        RuleOperation.CREATED,
        RuleOperation.CHANGED,
        RuleOperation.DELETED,
        RuleOperation.CREATED,
    ]
    assert [change.old for change in changes] == [None, a_rule(0), a_rule(1), None]
    assert [change.new for change in changes] == [a_rule(0), a_rule(1), None, a_rule(3)]


def test_the_oldest_revision_that_the_bucket_has_left_is_a_change_of_an_unknown_rule() -> None:
    changes: Any = known(*(RuleRevision(n, ID, a_rule(n)) for n in range(REVISIONS_KEPT + 5))).changes(ID)
    assert (len(changes), changes[0].revision) == (REVISIONS_KEPT, 5)
    assert (changes[0].operation, changes[0].old) == (RuleOperation.CHANGED, None)
