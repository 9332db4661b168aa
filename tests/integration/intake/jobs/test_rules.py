"""Priority rules over HTTP, kept in a bucket of a real nats-server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from gexlake.api.priorities.rules import RuleToCreate
from services.intake.priorities.default_rules import default_rules
from services.intake.settings import IntakeSettings
from shared.bus import subjects
from shared.bus.connection import Bus
from simulator.nats_server import NatsServer
from tests.support.intake.running import RunningIntake, intake_process, running_intake
from tests.support.poll import eventually
from tests.support.values import NOON

RULES = "/api/v1/rules"
NEW = {"name": "Desk", "condition": "metadata['desk'] == 'vol'", "priority_score": 0.9}
DEFAULTS = len(default_rules(NOON))


@pytest.fixture
def settings(nats_url: str) -> IntakeSettings:
    return IntakeSettings(nats_url=nats_url)


async def listed(intake: RunningIntake) -> dict[str, dict[str, Any]]:
    """Return the rules by name, once intake has read them."""

    async def look() -> Any:
        answer = await intake.http.get(RULES)
        return answer.json() if answer.status_code == 200 else None

    return {rule["name"]: rule for rule in (await eventually(look))["rules"]}


async def created(intake: RunningIntake, **fields: Any) -> dict[str, Any]:
    answer = await intake.http.post(RULES, json={**NEW, **fields})
    assert answer.status_code == 201, answer.text
    rule: dict[str, Any] = answer.json()
    return rule


async def test_a_new_deployment_has_the_guidelines_once_and_a_deleted_one_stays_deleted(
    settings: IntakeSettings,
) -> None:
    async with running_intake(settings) as one, running_intake(settings) as other:
        rules = await listed(one)
        assert len(rules) == len(await listed(other)) == DEFAULTS
        assert next(iter(rules)) == "Guideline: critical"
        gone = await one.http.delete(f"{RULES}/{rules['Guideline: low']['rule_id']}")
        assert gone.status_code == 204
        assert "Guideline: low" not in await listed(one)
    async with running_intake(settings) as later:
        assert set(await listed(later)) == set(rules) - {"Guideline: low"}


async def test_every_intake_applies_a_change_within_a_second(settings: IntakeSettings) -> None:
    async with running_intake(settings) as one, running_intake(settings) as other:
        await listed(other)
        rule = await created(one)
        path = f"{RULES}/{rule['rule_id']}"

        async def score() -> float:
            body = {
                "source_url": "https://a.test/x.json",
                "market_symbol": "SPX",
                "metadata": {"desk": "vol"},
            }
            return float((await other.http.post(f"{RULES}/evaluate", json=body)).json()["priority_score"])

        async with asyncio.timeout(1):
            await eventually(lambda: _equals(score, 0.9))
        await one.http.patch(path, json={"priority_score": 0.6})
        async with asyncio.timeout(1):
            await eventually(lambda: _equals(score, 0.6))
        await one.http.delete(path)
        async with asyncio.timeout(1):
            await eventually(lambda: _equals(score, 0.5))


async def _equals(score: Any, expected: float) -> bool:
    return bool(await score() == expected)


async def test_the_rules_are_a_bucket_for_the_clients_of_nats(settings: IntakeSettings, bus: Bus) -> None:
    async with running_intake(settings) as intake:
        rule = await created(intake)
        bucket = await bus.js.key_value(subjects.RULES)
        entry = await bucket.get(rule["rule_id"])
        stored = json.loads(entry.value or b"")
        assert entry.revision == rule["revision"]
        assert {name: stored[name] for name in NEW} == NEW
        assert set(stored) == {*RuleToCreate.model_fields, "created_at", "updated_at", "changed_by"}
        await bucket.put(rule["rule_id"], json.dumps({**stored, "name": "By hand"}).encode())
        await eventually(lambda: _has(intake, "By hand"))


async def _has(intake: RunningIntake, name: str) -> bool:
    return name in await listed(intake)


async def test_a_change_is_read_back_at_once_and_keeps_the_other_fields(settings: IntakeSettings) -> None:
    async with running_intake(settings) as intake:
        await listed(intake)
        rule = await created(intake, description="of the desk")
        path = f"{RULES}/{rule['rule_id']}"
        changed = (await intake.http.patch(path, json={"is_active": False})).json()
        assert changed == await intake.get(path)
        assert changed["revision"] > rule["revision"]
        assert changed["updated_at"] > changed["created_at"] == rule["created_at"]
        assert (changed["is_active"], changed["description"]) == (False, "of the desk")
        assert rule["rule_id"] not in {
            r["rule_id"] for r in (await intake.get(f"{RULES}?active_only=true"))["rules"]
        }
        await intake.http.delete(path)
        await intake.get(path, status=404)


async def test_who_changed_a_rule_is_kept_also_of_a_deleted_one(nats_url: str) -> None:
    settings = IntakeSettings(nats_url=nats_url, api_keys=("abc", "xyz"))
    abc, xyz = {"X-API-Key": "abc"}, {"X-API-Key": "xyz"}
    async with running_intake(settings) as one, running_intake(settings) as other:
        answer = await one.http.post(RULES, json=NEW, headers=abc)
        rule, path = answer.json(), answer.headers["location"]
        changed = await one.http.patch(path, json={"priority_score": 0.2}, headers=xyz)
        await one.http.patch(path, json={"priority_score": 0.2}, headers=abc)  # changes nothing
        await one.http.delete(path, headers=abc)

        async def history() -> Any:
            answer = await other.http.get(f"{path}/history", headers=abc)
            found = answer.json() if answer.status_code == 200 else {"total_count": 0}
            return found if found["total_count"] == 3 else None

        found = await eventually(history)
    assert (rule["changed_by"], changed.json()["changed_by"]) == ("key:ba7816bf", "key:3608bca1")
    shown = [(c["operation"], c["changed_by"], c["old"], c["new"]) for c in found["changes"]]
    first, second = (
        {name: value for name, value in each.items() if name in shown[1][2]}
        for each in (rule, changed.json())
    )
    assert shown == [
        ("deleted", "key:ba7816bf", second, None),
        ("changed", "key:3608bca1", first, second),
        ("created", "key:ba7816bf", None, first),
    ]


async def test_an_update_of_an_older_revision_is_refused(settings: IntakeSettings) -> None:
    async with running_intake(settings) as intake:
        await listed(intake)
        rule = await created(intake)
        path = f"{RULES}/{rule['rule_id']}"
        read = await intake.http.get(path)
        put = {**NEW, "priority_score": 0.1}
        first = await intake.http.put(path, json=put, headers={"If-Match": read.headers["etag"]})
        assert (first.status_code, first.json()["priority_score"]) == (200, 0.1)
        for request in (
            intake.http.put(path, json=NEW, headers={"If-Match": read.headers["etag"]}),
            intake.http.patch(path, json={"name": "x"}, headers={"If-Match": read.headers["etag"]}),
            intake.http.delete(path, headers={"If-Match": read.headers["etag"]}),
        ):
            late = await request
            assert (late.status_code, late.json()["error"]["rule"]) == (412, "revision")
        assert (await intake.http.put(path, json=NEW)).status_code == 428
        assert (await intake.get(path))["priority_score"] == 0.1
        gone = await intake.http.delete(path, headers={"If-Match": first.headers["etag"]})
        assert gone.status_code == 204


async def test_changes_of_many_at_once_are_all_kept(settings: IntakeSettings) -> None:
    async with running_intake(settings) as one, running_intake(settings) as other:
        rule = await created(one)
        path = f"{RULES}/{rule['rule_id']}"
        fields = {"name": "Vol desk", "description": "d", "priority_score": 0.3, "is_active": False}
        answers = await asyncio.gather(
            *(
                intake.http.patch(path, json={name: value})
                for intake, (name, value) in zip((one, other, one, other), fields.items(), strict=True)
            )
        )
        assert [answer.status_code for answer in answers] == [200] * 4
        last = max((answer.json() for answer in answers), key=lambda changed: changed["revision"])
        assert {name: last[name] for name in fields} == fields


async def test_a_retry_with_the_same_id_creates_no_second_rule(settings: IntakeSettings) -> None:
    async with running_intake(settings) as intake:
        rule_id = str(uuid4())
        first, again = await created(intake, rule_id=rule_id), await created(intake, rule_id=rule_id)
        assert first == again
        other = await intake.http.post(RULES, json={**NEW, "name": "Other", "rule_id": rule_id})
        assert (other.status_code, other.json()["error"]["field"]) == (409, "rule_id")


@pytest.mark.parametrize(
    ("change", "field", "rule"),
    [
        ({"condition": "market_symbol.lower() == 'spx'"}, "condition", "grammar"),
        ({"condition": "volum > 1"}, "condition", "name"),
        ({"condition": "1 +"}, "condition", "syntax"),
        ({"priority_score": 1.1}, "priority_score", "less_than_equal"),
        ({"priority_score": -0.1}, "priority_score", "greater_than_equal"),
        ({"name": " "}, "name", "string_too_short"),
        ({"colour": "red"}, "colour", "extra_forbidden"),
    ],
)
async def test_what_is_no_rule_is_refused_by_its_field(
    settings: IntakeSettings, change: dict[str, Any], field: str, rule: str
) -> None:
    async with running_intake(settings) as intake:
        known = next(iter((await listed(intake)).values()))
        path = f"{RULES}/{known['rule_id']}"
        answers = [
            await intake.http.post(RULES, json={**NEW, **change}),
            await intake.http.patch(path, json=change),
            await intake.http.put(path, json={**NEW, **change}, headers={"If-Match": "*"}),
        ]
        assert [answer.status_code for answer in answers] == [422] * 3
        for answer in answers:
            assert (answer.json()["error"]["field"], answer.json()["error"]["rule"]) == (field, rule)
        if field == "condition":
            assert answers[0].json()["error"]["message"].startswith("condition: line 1, column ")
        assert len(await listed(intake)) == DEFAULTS


async def test_an_evaluation_explains_and_queues_nothing(settings: IntakeSettings) -> None:
    body = {
        "source_url": "https://hist.gex.bot/2025-11-14_NQ_NDX_classic_gex_zero.json",
        "data_type": "real_time",
        "market_symbol": "ndx",
        "metadata": {"volume": 60_000, "data_age_s": 2},
        "condition": "market_symbol == 'NDX' and volume > 5",
    }
    async with running_intake(settings) as intake:
        await listed(intake)
        broken = await created(intake, name="Broken", condition="volume / (volume - 60000) > 1")
        answer = (await intake.http.post(f"{RULES}/evaluate", json=body)).json()
        queued = (await intake.get("/jobs"))["jobs"]
    rules = {rule["name"]: rule for rule in answer["rules"]}
    assert (answer["priority_score"], answer["priority_level"], queued) == (0.8, "high", [])
    assert answer["decided_by"] == ["Guideline: high, real-time"]
    assert rules["Guideline: high, real-time"]["decided"]
    assert rules["Guideline: critical"]["outcome"] == "not_matched"
    assert rules["(not saved)"]["outcome"] == "matched"
    assert rules["Broken"] == {
        "rule_id": broken["rule_id"],
        "name": "Broken",
        "condition": "volume / (volume - 60000) > 1",
        "priority_score": 0.9,
        "outcome": "failed",
        "explanation": "line 1, column 1: division by zero",
        "decided": False,
    }
    assert answer["facts"]["impact"] == "high"


async def test_a_rule_of_another_version_is_shown_with_its_problem(
    settings: IntakeSettings, bus: Bus
) -> None:
    async with running_intake(settings) as intake:
        rule = await created(intake)
        bucket = await bus.js.key_value(subjects.RULES)
        stored = json.loads((await bucket.get(rule["rule_id"])).value or b"")
        await bucket.put(rule["rule_id"], json.dumps({**stored, "condition": "sentiment > 0.5"}).encode())

        async def problem() -> Any:
            return (await listed(intake))["Desk"]["problem"]

        assert "there is no 'sentiment' to read" in await eventually(problem)


@pytest.mark.slow
async def test_a_change_is_whole_when_intake_is_killed_before_it_answers(
    nats_url: str, bus: Bus, tmp_path: Path
) -> None:
    async with running_intake(IntakeSettings(nats_url=nats_url)) as intake:
        rule = (await listed(intake))["Guideline: low"]
    path, change = f"{RULES}/{rule['rule_id']}", {"priority_score": 0.25}
    environment = {"GEXLAKE_NATS_URL": nats_url, "GEXLAKE_FAILPOINT": "intake.rule_written"}
    with intake_process(tmp_path, **environment) as killed:
        async with httpx.AsyncClient(base_url=killed.url, timeout=20) as http:

            async def patch() -> bool:
                with contextlib.suppress(httpx.TransportError):
                    await http.patch(path, json=change)
                return killed.process.poll() is not None

            await eventually(patch)
    bucket = await bus.js.key_value(subjects.RULES)
    revision = (await bucket.get(rule["rule_id"])).revision
    async with running_intake(IntakeSettings(nats_url=nats_url)) as later:
        retried = await later.http.patch(path, json=change)
        changes = (await later.get(f"{path}/history"))["changes"]
    assert retried.json() == {**rule, **retried.json(), **change, "revision": revision}
    assert [each["operation"] for each in changes] == ["changed", "created"]


async def test_a_change_that_was_answered_outlives_the_broker_and_intake(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    with intake_process(tmp_path, GEXLAKE_NATS_URL=nats_server.url) as intake:
        async with httpx.AsyncClient(base_url=intake.url, timeout=20) as http:

            async def post() -> Any:
                try:
                    answer = await http.post(RULES, json=NEW)
                except httpx.TransportError:
                    return None
                return answer.json() if answer.status_code == 201 else None

            rule = await eventually(post)
            patched = await http.patch(f"{RULES}/{rule['rule_id']}", json={"priority_score": 0.25})
            nats_server.kill()
            intake.end(signal.SIGKILL)
    nats_server.start()
    async with running_intake(IntakeSettings(nats_url=nats_server.url)) as later:
        kept = (await listed(later))["Desk"]
    assert kept == patched.json()
