"""Live messages of FEED read by SQL, exported, and replaced by an import, on a real nats-server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nats.errors import Error as NatsError

from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.feeds import live_messages
from shared.bus.messages import PartitionImported
from tests.support.importer.feeding import a_snapshot, a_webhook, message_of
from tests.support.importer.importing import importing
from tests.support.importer.lake import LakeOnDisk, records
from tests.support.poll import eventually
from tests.support.values import a_job

ROWS = """
    SELECT (SELECT count(*) FROM gex_snapshots WHERE source = 'live'), (SELECT count(*) FROM gex_strikes),
        (SELECT count(*) FROM universal_webhooks)
"""


@pytest.fixture
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> LakeOnDisk:
    return LakeOnDisk(tmp_path / "data", live_export_s=getattr(request, "param", 3600.0))


async def post(bus: Bus, *payloads: Any) -> None:
    for message in map(message_of, payloads):
        await bus.publish(message.subject, live_messages.encode(message), subjects.FEED, message.id)


async def ask(bus: Bus, endpoint: str, **request: Any) -> Any:
    try:
        reply = await bus.client.request(f"gex.svc.lake.{endpoint}", json.dumps(request).encode(), timeout=10)
    except NatsError:
        return {}  # it is starting
    return json.loads(reply.data)


async def read(bus: Bus, *rows: int) -> None:
    """Wait until a query reads so many live snapshots, strikes and webhooks."""

    async def look() -> bool:
        return bool((await ask(bus, "sql", query=ROWS)).get("rows") == [list(rows)])

    assert await eventually(look)


@pytest.mark.slow
async def test_live_rows_are_read_before_and_after_an_importer_starts_again(
    bus: Bus, lake: LakeOnDisk
) -> None:
    async with importing(bus, lake):
        await post(bus, a_snapshot(), a_webhook())
        await read(bus, 1, 2, 1)
        await post(bus, a_snapshot(1), a_webhook(1))
        await read(bus, 2, 4, 2)
        assert not list(lake.settings.paths.parquet_root.parent.rglob("*.parquet"))
    lake.reopen()
    async with importing(bus, lake):
        await read(bus, 2, 4, 2)
        assert len(list(lake.settings.paths.parquet_root.parent.rglob("*.parquet"))) == 2


@pytest.mark.slow
@pytest.mark.parametrize("lake", [0.05], indirect=True)
async def test_live_rows_are_exported_on_a_cadence(bus: Bus, lake: LakeOnDisk) -> None:
    async with importing(bus, lake):
        for second in range(3):
            await post(bus, a_snapshot(second), a_webhook(second))
            await read(bus, second + 1, 2 * second + 2, second + 1)

        async def exported() -> bool:
            return not list(lake.settings.paths.live.iterdir())

        assert await eventually(exported)
        assert await ask(bus, "verify") == {"checked": 2, "differences": [], "truncated": False}


@pytest.mark.slow
async def test_an_import_takes_the_place_of_live_rows_before_it_is_announced(
    bus: Bus, lake: LakeOnDisk
) -> None:
    async with importing(bus, lake):
        await post(bus, a_snapshot(), a_snapshot(5000))
        await read(bus, 2, 4, 0)
        await bus.publish_command(lake.stage(records(10)))

        async def imported() -> bool:
            return await bus.last_event(PartitionImported, a_job().job_id) is not None

        assert await eventually(imported)
        assert (await ask(bus, "sql", query=ROWS))["rows"] == [[0, 20, 0]]
        await post(bus, a_snapshot(5001))
        await read(bus, 1, 22, 0)
        assert await ask(bus, "verify") == {"checked": 1, "differences": [], "truncated": False}
