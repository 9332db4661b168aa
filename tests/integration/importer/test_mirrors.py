"""Rules and sources of the broker in the lake, by queries, on a real nats-server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from nats.errors import Error as NatsError

from gexlake.api.priorities.rules import PriorityRule
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.sources.record import SourceRecord
from tests.support.importer.importing import importing
from tests.support.importer.lake import LakeOnDisk
from tests.support.poll import eventually
from tests.support.values import NOON

QUERY = """
    SELECT (SELECT list(name) FROM priority_rules),
        (SELECT list(new_rule->>'name' ORDER BY revision) FROM priority_rule_changes),
        (SELECT list(total_requests) FROM data_sources)
"""


async def put(bus: Bus, name: str) -> None:
    rule = PriorityRule(
        rule_id=UUID(int=1), name=name, condition="True", priority_score=0.5, created_at=NOON, updated_at=NOON
    )
    await (await bus.js.key_value(subjects.RULES)).put(str(rule.rule_id), rule.model_dump_json().encode())


async def put_source(bus: Bus, requests: int) -> None:
    record = SourceRecord(base_url="https://hist.gex.bot", requests=requests)
    await bus.js.publish(subjects.source(record.base_url), record.model_dump_json().encode())


@pytest.mark.slow
async def test_queries_read_rules_and_sources_of_before_and_after_the_start(bus: Bus, tmp_path: Path) -> None:
    async def reads(*row: Any) -> None:
        async def look() -> bool:
            try:
                request = json.dumps({"query": QUERY}).encode()
                reply = await bus.client.request("gex.svc.lake.sql", request, timeout=10)
            except NatsError:
                return False  # it is starting
            return bool(json.loads(reply.data).get("rows") == [list(row)])

        assert await eventually(look)

    await put(bus, "before")
    await put_source(bus, 1)
    async with importing(bus, LakeOnDisk(tmp_path / "data")):
        await reads(["before"], ["before"], [1])
        await put(bus, "after")
        await put_source(bus, 2)
        await reads(["after"], ["before", "after"], [2])
