"""``gexlake rules``, over real HTTP to a stand-in of intake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.gexlake.commands import Say
from tests.support.gexlake.fake_intake import FakeIntake, fake_intake

IDS = ("11111111-1111-5000-8000-000000000000", "11112222-1111-5000-8000-000000000000")


def a_rule(rule_id: str, name: str, **fields: Any) -> dict[str, Any]:
    rule = {"rule_id": rule_id, "name": name, "condition": "volume > 1", "priority_score": 0.9, "revision": 7}
    times = {"created_at": "2025-11-14T12:00:00Z", "updated_at": "2025-11-14T12:00:00Z"}
    return {**rule, **times, "description": "", "is_active": True, **fields}


RULES = [a_rule(IDS[0], "Desk"), a_rule(IDS[1], "Night", is_active=False, priority_score=0.25)]
EVALUATION = {
    "priority_score": 0.9,
    "priority_level": "critical",
    "decided_by": ["Desk"],
    "rules": [
        {
            "rule_id": IDS[0],
            "name": "Desk",
            "condition": "volume > 1",
            "priority_score": 0.9,
            "outcome": "matched",
            "explanation": "volume = 6",
            "decided": True,
        }
    ],
    "facts": {"volume": 6},
    "evaluated_at": "2025-11-14T12:00:00Z",
}


@pytest.fixture
def intake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIntake]:
    with fake_intake() as fake:
        fake.bodies["/api/v1/rules"] = [{"rules": RULES, "total_count": 2}]
        monkeypatch.setenv("GEXLAKE_URL", fake.url)
        yield fake


@pytest.mark.usefixtures("intake")
def test_list_shows_the_rules(say: Say) -> None:
    status, out, _ = say("rules", "list")
    rows = [line.split() for line in out.splitlines()]
    assert status == 0
    assert ["11111111", "Desk", "0.9", "yes", "volume", ">", "1"] in rows
    assert ["11112222", "Night", "0.25", "no", "volume", ">", "1"] in rows


def test_add_posts_the_rule_with_an_id_of_its_own(intake: FakeIntake, say: Say) -> None:
    intake.bodies["/api/v1/rules"] = [RULES[0]]
    status, out, _ = say("rules", "add", "Desk", "volume > 1", "0.9", "--description", "why", "--inactive")
    assert (status, out) == (0, f"added: rule 'Desk' ({IDS[0]})\n")
    method, path, body = intake.asked[0]
    assert (method, path, len(body.pop("rule_id"))) == ("POST", "/api/v1/rules", 36)
    assert body == {
        "name": "Desk",
        "condition": "volume > 1",
        "priority_score": 0.9,
        "description": "why",
        "is_active": False,
    }


def test_test_shows_what_decides(intake: FakeIntake, say: Say) -> None:
    intake.bodies["/api/v1/rules/evaluate"] = [EVALUATION]
    options = ("--type", "real_time", "--metadata", '{"volume": 6}', "--condition", "True")
    status, out, _ = say("rules", "test", "https://a.test/x.json", "SPX", *options)
    assert (status, out.splitlines()[-1]) == (0, "CRITICAL, score 0.9")
    assert ["Desk", "0.9", "decides", "volume", "=", "6"] in [line.split() for line in out.splitlines()]
    body = {"source_url": "https://a.test/x.json", "market_symbol": "SPX", "data_type": "real_time"}
    asked = {**body, "metadata": {"volume": 6}, "condition": "True"}
    assert intake.asked == [("POST", "/api/v1/rules/evaluate", asked)]


@pytest.mark.parametrize("name", ["Desk", "desk", IDS[0], "11111111"])
@pytest.mark.parametrize(("command", "is_active"), [("disable", False), ("enable", True)])
def test_a_rule_is_switched_by_its_name_or_id(
    intake: FakeIntake, say: Say, command: str, is_active: bool, name: str
) -> None:
    intake.body = RULES[0]
    status, out, _ = say("rules", command, name)
    assert (status, out) == (0, f"{command}d: rule 'Desk' ({IDS[0]})\n")
    assert intake.asked[-1] == ("PATCH", f"/api/v1/rules/{IDS[0]}", {"is_active": is_active})


@pytest.mark.parametrize(
    ("name", "line"), [("1111", "2 rules are called '1111'"), ("11", "no rule is called '11'")]
)
def test_a_name_of_no_rule_or_several_changes_nothing(
    intake: FakeIntake, say: Say, name: str, line: str
) -> None:
    status, _, err = say("rules", "disable", name)
    assert (status, line in err, len(intake.asked)) == (1, True, 1)


def test_metadata_must_be_an_object(intake: FakeIntake, say: Say) -> None:
    assert say("rules", "test", "https://a.test/x.json", "SPX", "--metadata", "[1]")[0] == 2
    assert intake.asked == []


@pytest.mark.usefixtures("intake")
def test_json_is_what_intake_answers(say: Say) -> None:
    assert json.loads(say("rules", "list", "--json")[1]) == RULES
