"""An importer that is killed between the durable steps of a flat file's import does each of them once."""

from __future__ import annotations

import signal

import pytest
from nats.js.errors import NotFoundError

from gexlake.api.services import VerifyRequest, VerifyResponse
from services.importer.queries.verify import Verification
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.feeds import bar_messages
from shared.bus.messages import PartitionImported
from shared.process.settings import Settings
from tests.integration.importer.test_feed_process import WITHIN_S, Importers, importers
from tests.support.importer.bars import a_bar, bars
from tests.support.importer.flat_files import DAY, a_flat_job, a_line, packed
from tests.support.importer.lake import LakeOnDisk
from tests.support.poll import eventually

__all__ = ["importers"]

SETTINGS = {"GEXLAKE_FLAT_FILE_SYMBOLS": "all", "GEXLAKE_ACK_WAIT_S": "3"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "failpoint",
    [
        *("importer.started", "importer.parquet_written", "importer.loaded", "importer.committed"),
        *("importer.parquet_renamed", "importer.completed", "importer.event_published"),
    ],
)
async def test_an_importer_killed_in_an_import_stores_the_day_once(
    bus: Bus, settings: Settings, importers: Importers, failpoint: str
) -> None:
    lake = LakeOnDisk(settings.data_dir)
    command = lake.stage(
        packed(*(a_line(minute=minute) for minute in range(50)), a_line("MSFT")), a_flat_job()
    )
    lake.close()
    # Streamed bars of the same day: some of the file's minutes, with another close, and one that it lacks.
    streamed = [bars(a_bar(minute, close=270.1)) for minute in (0, 49, 60)]

    async def stream() -> None:
        for message in streamed:
            await bus.publish(message.subject, bar_messages.encode(message), subjects.CHRONOX, message.id)

    async def event() -> PartitionImported | None:
        return await bus.last_event(PartitionImported, command.job.job_id)

    async def acknowledged() -> bool:
        try:
            found = await bus.js.consumer_info(subjects.CHRONOX, subjects.FEED_CONSUMER)
        except NotFoundError:  # it is being created
            return False
        return found.ack_floor is not None and found.ack_floor.stream_seq == len(streamed)

    await bus.publish_command(command)
    killed = importers.start(failpoint, **SETTINGS)
    assert await eventually(lambda: killed.poll() is not None, within_s=WITHIN_S)
    assert killed.returncode == -signal.SIGKILL
    await stream()
    importers.start(**SETTINGS)
    imported = await eventually(event, within_s=WITHIN_S)
    assert imported is not None
    assert imported.counts == {"bars": 51, "symbols": 2, "rejected": 0}
    assert await eventually(acknowledged, within_s=WITHIN_S)
    path = lake.lake.paths.bars(DAY)

    importers.end(signal.SIGTERM)
    lake.reopen()
    assert lake.rows("SELECT source, count(*) FROM ohlcv_1m GROUP BY ALL ORDER BY ALL") == [
        ("flat_file", 51),
        ("stream", 1),
    ]
    assert Verification(lake.lake, VerifyRequest()).compare_others() == VerifyResponse(
        checked=1, differences=()
    )
    assert not [left for left in path.parent.rglob(".*") if left.is_file()]
    assert lake.rows("SELECT status FROM gex_history_queue") == [("completed",)]
    lake.close()
