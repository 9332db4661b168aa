"""The score of a request: which rules match, and which decides."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from gexlake.api.jobs import Priority
from gexlake.api.priorities.rules import EvaluationRequest, OutcomeType, PriorityRule
from services.intake.priorities.default_rules import default_rules
from services.intake.priorities.facts import FACTS, Surroundings, facts_of
from services.intake.priorities.scoring import ReadyRule, Scored, Thresholds, score
from shared.sources.record import SourceRecord
from tests.support.repository import ROOT
from tests.support.values import BASE_URL, NOON

TODAY = Surroundings(NOON)
DEFAULTS = tuple(ReadyRule(rule) for rule in default_rules(NOON))


def a_rule(condition: str, priority_score: float = 0.8, *, is_active: bool = True) -> ReadyRule:
    rule = PriorityRule(
        name=condition,
        condition=condition,
        priority_score=priority_score,
        is_active=is_active,
        rule_id=uuid4(),
        created_at=NOON,
        updated_at=NOON,
    )
    return ReadyRule(rule)


def a_request(url: str = BASE_URL, **fields: Any) -> EvaluationRequest:
    return EvaluationRequest(source_url=url, **{"market_symbol": "NDX", **fields})


def facts(around: Surroundings = TODAY, **metadata: Any) -> dict[str, Any]:
    return facts_of(a_request(metadata=metadata), around)


def outcomes(scored: Scored) -> list[OutcomeType]:
    return [outcome.type for outcome in scored.outcomes]


def test_the_highest_score_of_the_rules_that_match_decides() -> None:
    rules = [a_rule("True", 0.3), a_rule("volume > 5", 0.6), a_rule("True", 0.6), a_rule("False", 0.9)]
    scored = score(rules, facts(volume=6))
    assert (scored.score, [rule.name for rule in scored.deciding]) == (0.6, ["volume > 5", "True"])


@pytest.mark.parametrize("rules", [[], [a_rule("False")], [a_rule("True", is_active=False)]])
def test_without_a_match_the_score_is_a_half(rules: list[ReadyRule]) -> None:
    scored = score(rules, facts())
    assert (scored.score, scored.deciding) == (0.5, ())


def test_the_outcome_of_each_rule_is_explained() -> None:
    rules = [
        a_rule("volume > 5 and data_type == 'historical'"),
        a_rule("volume > 7"),
        a_rule("open_interest > 5"),
        a_rule("metadata['desk'] == 'vol'"),
        a_rule("volume / 0 > 1"),
        a_rule("True", is_active=False),
    ]
    scored = score(rules, facts(volume=6))
    assert outcomes(scored) == [
        OutcomeType.MATCHED,
        OutcomeType.NOT_MATCHED,
        OutcomeType.MISSING,
        OutcomeType.MISSING,
        OutcomeType.FAILED,
        OutcomeType.INACTIVE,
    ]
    assert [outcome.explanation for outcome in scored.outcomes] == [
        "data_type = 'historical', volume = 6",
        "volume = 6",
        "not known: open_interest",
        "line 1, column 1: there is no 'desk'",
        "line 1, column 1: division by zero",
        "the rule is not active",
    ]
    assert [failure.rule.name for failure in scored.failures] == ["volume / 0 > 1"]


def test_a_rule_that_this_version_cannot_read_fails_and_hurts_no_other() -> None:
    scored = score([a_rule("sentiment > 1", 0.9), a_rule("True", 0.4)], facts())
    assert (scored.score, outcomes(scored)) == (0.4, [OutcomeType.FAILED, OutcomeType.MATCHED])
    assert "there is no 'sentiment' to read" in scored.outcomes[0].explanation


@pytest.mark.parametrize(
    ("points", "level"),
    [
        *((1.0, "critical"), (0.9, "critical"), (0.89, "high"), (0.7, "high")),
        *((0.69, "medium"), (0.4, "medium"), (0.39, "low"), (0.0, "low")),
    ],
)
def test_the_level_follows_from_the_score(points: float, level: str) -> None:
    assert Thresholds().level(points) is Priority(level)


@pytest.mark.parametrize(
    ("condition", "request_", "points"),
    [
        (
            "data_type == 'real_time' and market_symbol in ['NDX', 'SPX']",
            a_request(data_type="real_time", market_symbol="spx"),
            0.9,
        ),
        (
            "open_interest > 10000 and volume > 5000",
            a_request(metadata={"open_interest": 10_001, "volume": 5_001}),
            0.7,
        ),
    ],
)
def test_the_examples_of_the_data_model_work(
    condition: str, request_: EvaluationRequest, points: float
) -> None:
    scored = score([a_rule(condition, points)], facts_of(request_, TODAY))
    assert outcomes(scored) == [OutcomeType.MATCHED]


@pytest.mark.parametrize(
    ("metadata", "points"),
    [
        ({"volume": 50_001, "gamma_change": -0.11, "data_age_s": 4}, 0.95),
        ({"open_interest": 100_001, "gamma_change": 0.11, "data_age_s": 4}, 0.95),
        ({"volume": 50_000, "gamma_change": 0.11, "data_age_s": 4}, 0.75),
        ({"volume": 50_001, "gamma_change": 0.10, "data_age_s": 4}, 0.8),
        ({"volume": 50_001, "gamma_change": 0.11, "data_age_s": 5}, 0.75),
        ({"volume": 10_000, "gamma_change": 0.11, "data_age_s": 299}, 0.75),
        ({"volume": 10_000, "gamma_change": 0.06, "data_age_s": 299}, 0.6),
        ({"open_interest": 25_000, "data_age_s": 0}, 0.6),
        ({"volume": 9_999, "gamma_change": 0.11, "data_age_s": 4}, 0.5),
        ({"volume": 9_999, "gamma_change": 0.11, "data_age_s": 5}, 0.2),
        ({"volume": 9_999, "gamma_change": 0.10, "data_age_s": 4}, 0.2),
        ({"volume": 50_001, "gamma_change": 0.5, "data_age_s": 300}, 0.2),
        ({"data_age_s": 300}, 0.2),
    ],
)
def test_the_guidelines_are_the_rules_of_a_new_deployment(metadata: dict[str, Any], points: float) -> None:
    assert score(DEFAULTS, facts(**metadata)).score == points


@pytest.mark.parametrize(
    ("request_", "around", "points"),
    [
        (a_request(data_type="real_time"), TODAY, 0.7),
        (a_request(), TODAY, 0.7),
        (a_request(), Surroundings(NOON + timedelta(days=1)), 0.5),
        (a_request("https://example.com/any.json"), TODAY, 0.5),
        (
            a_request(),
            Surroundings(
                NOON + timedelta(days=1),
                SourceRecord(base_url="https://hist.gex.bot", requests=3, successes=1),
            ),
            0.3,
        ),
    ],
)
def test_requests_that_say_nothing_of_the_market_have_rules_too(
    request_: EvaluationRequest, around: Surroundings, points: float
) -> None:
    assert score(DEFAULTS, facts_of(request_, around)).score == points


def test_no_rule_of_a_new_deployment_fails() -> None:
    for metadata in ({}, {"volume": 1}, {"data_age_s": 1}, {"volume": "many", "data_age_s": True}):
        assert not score(DEFAULTS, facts(**metadata)).failures


def test_every_fact_has_a_value_and_a_meaning() -> None:
    assert set(facts()) == set(FACTS)


@pytest.mark.parametrize(
    ("hours", "around", "session"),
    [
        (0, {}, "open"),
        (-3, {}, "before"),
        (4, {}, "after"),
        (1.5, {"closes_early": True}, "after"),
        (0, {"is_trading_day": False}, "closed"),
    ],
)
def test_the_session_is_that_of_new_york(hours: float, around: dict[str, Any], session: str) -> None:
    """NOON is 12:00 in New York."""
    found = facts(Surroundings(NOON + timedelta(hours=hours), **around))
    assert found["session"] == session


def test_the_clock_the_day_and_the_name_are_facts() -> None:
    found = facts(Surroundings(NOON + timedelta(days=3), queue_depth=7))
    assert (found["ny_hour"], found["ny_minute"], found["ny_weekday"]) == (12, 0, 0)
    assert (found["day_age"], found["ticker"], found["endpoint"]) == (3, "NQ_NDX", "gex_zero")
    assert found["queue_depth"] == 7


def test_the_documents_list_every_fact_and_every_rule() -> None:
    text = (ROOT / "docs/priorities.md").read_text()
    assert [name for name, meaning in FACTS.items() if f"| `{name}` | {meaning} |" not in text] == []
    rows = [f"| {r.name} | `{r.condition}` | {r.priority_score} |" for r in default_rules(NOON)]
    assert [row for row in rows if row not in text] == []
