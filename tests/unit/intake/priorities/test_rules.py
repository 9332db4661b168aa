"""The rules as intake knows them, from the messages of their bucket."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from gexlake.api.priorities.rules import PriorityRule
from services.intake.errors import NotReady
from services.intake.priorities.rule_metrics import RuleMetrics
from services.intake.priorities.rules import KnownRules
from shared.bus.follower import Followed
from shared.rule_revisions import RuleRevision
from tests.support.values import NOON

ID = UUID(int=1)


def a_rule(name: str = "One", **fields: Any) -> PriorityRule:
    values = {"condition": "True", "priority_score": 0.5, "rule_id": ID, **fields}
    return PriorityRule(name=name, created_at=NOON, updated_at=NOON, **values)


def message(sequence: int, rule: PriorityRule | None, rule_id: UUID = ID) -> Followed:
    data = b"" if rule is None else rule.model_dump_json().encode()
    return Followed(sequence, f"$KV.RULES.{rule_id}", data)


def names(known: KnownRules) -> list[str]:
    return [ready.rule.name for ready in known.all]


def test_the_newest_revision_counts_until_the_rule_is_deleted() -> None:
    known = KnownRules()
    known.take(message(1, a_rule()))
    known.take(message(2, a_rule("Two")))
    assert (names(known), known.all[0].revision) == (["Two"], 2)
    known.take(message(3, None))
    assert names(known) == []


def test_a_change_of_this_intake_is_not_undone_by_messages_before_it() -> None:
    known = KnownRules()
    known.put(RuleRevision(3, ID, a_rule("Three")))
    known.take(message(2, a_rule("Two")))
    assert names(known) == ["Three"]
    known.put(RuleRevision(4, ID, None))
    known.take(message(3, a_rule("Three")))
    known.take(message(4, None))
    assert names(known) == []


def test_a_bucket_that_starts_over_replaces_all_rules() -> None:
    known = KnownRules()
    known.take(message(1, a_rule()))
    known.take(message(2, a_rule("Other", rule_id=uuid4()), uuid4()))
    known.take(message(1, a_rule("After")))
    assert names(known) == ["After"]


def test_a_message_that_is_no_rule_hides_no_other() -> None:
    known = KnownRules()
    known.take(message(1, a_rule()))
    known.take(Followed(2, "$KV.RULES.note", b"{}"))
    known.take(Followed(3, f"$KV.RULES.{uuid4()}", b'{"name": "x"}'))
    assert names(known) == ["One"]


def test_a_failing_rule_is_counted_and_harms_no_request() -> None:
    registry = CollectorRegistry()
    known = KnownRules(RuleMetrics(registry))
    known.take(message(1, a_rule("Broken", condition="queue_depth / 0 > 1")))
    known.take(message(2, a_rule("Any", rule_id=uuid4()), uuid4()))
    assert [known.score({"queue_depth": 1}).score for _ in range(2)] == [0.5, 0.5]
    assert {ready.rule.name: ready.failures for ready in known.all} == {"Any": 0, "Broken": 2}
    text = generate_latest(registry).decode().splitlines()
    assert 'gexlake_rule_evaluations_total{outcome="failed"} 2.0' in text
    assert 'gexlake_rule_evaluations_total{outcome="matched"} 2.0' in text
    assert 'gexlake_rule_failures_total{rule="Broken"} 2.0' in text


def test_nothing_is_listed_before_the_end_of_the_bucket() -> None:
    known = KnownRules()
    with pytest.raises(NotReady):
        known.require_read()
    known.take(Followed(0, "", None))
    known.require_read()
