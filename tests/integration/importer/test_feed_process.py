"""An importer process that is killed between the durable steps of a live batch stores each message once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from nats.js.errors import NotFoundError

from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.feeds import bar_messages, live_messages
from shared.process.settings import Settings
from tests.support.importer.bars import a_bar, bars
from tests.support.importer.feeding import a_snapshot, a_webhook, message_of
from tests.support.importer.lake import LakeOnDisk
from tests.support.poll import eventually
from tests.support.repository import ROOT

MESSAGES = 40
WITHIN_S = 30


class Importers:
    """Importer processes, one after another, on one lake."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, failpoint: str = "", **settings: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.importer"],
                env={**self._environment, **settings, "GEXLAKE_FAILPOINT": failpoint},
                stdout=log,
                stderr=log,
            )
        return self._process

    def end(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(timeout=WITHIN_S)


@pytest.fixture
def importers(settings: Settings, tmp_path: Path) -> Iterator[Importers]:
    environment = {
        **os.environ,
        "GEXLAKE_NATS_URL": settings.nats_url or "",
        "GEXLAKE_DATA_DIR": str(settings.data_dir),
        "PYTHONPATH": str(ROOT),
        "GEXLAKE_LIVE_EXPORT_S": "0.5",
    }
    importers = Importers(environment, tmp_path / "importer.log")
    yield importers
    importers.end(signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(
    "failpoint", ["importer.live_written", "importer.live_committed", "importer.live_acknowledged"]
)
async def test_an_importer_killed_in_a_batch_stores_every_message_once(
    bus: Bus, settings: Settings, importers: Importers, failpoint: str
) -> None:
    async def post(first: int) -> None:
        for number in range(first, first + MESSAGES // 2):
            for message in (message_of(a_snapshot(number)), message_of(a_webhook(number))):
                await bus.publish(message.subject, live_messages.encode(message), subjects.FEED, message.id)

    async def acknowledged() -> bool:
        try:
            found = await bus.js.consumer_info(subjects.FEED, "importer")
        except NotFoundError:  # it is being created again
            return False
        return found.ack_floor is not None and found.ack_floor.stream_seq == 2 * MESSAGES

    await post(0)
    killed = importers.start(failpoint)
    assert await eventually(lambda: killed.poll() is not None, within_s=WITHIN_S)
    assert killed.returncode == -signal.SIGKILL
    await post(MESSAGES // 2)
    importers.start()
    assert await eventually(acknowledged, within_s=WITHIN_S)
    importers.end(signal.SIGTERM)
    lake = LakeOnDisk(settings.data_dir)
    for table, key in (("gex_snapshots", "timestamp"), ("universal_webhooks", "payload_json")):
        assert lake.rows(f"SELECT count(*), count(DISTINCT {key}) FROM {table}") == [(MESSAGES, MESSAGES)]
    assert lake.rows("SELECT count(*) FROM gex_strikes") == [(2 * MESSAGES,)]
    lake.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "failpoint",
    [
        "importer.bars_written",
        "importer.bars_committed",
        "importer.bars_acknowledged",
        "importer.bars_placed",
    ],
)
async def test_an_importer_killed_with_bars_in_hand_has_every_minute_once(
    bus: Bus, settings: Settings, importers: Importers, failpoint: str
) -> None:
    async def post(first: int) -> None:
        for minute in range(first, first + MESSAGES // 2):
            message = bars(a_bar(minute))
            await bus.publish(message.subject, bar_messages.encode(message), subjects.CHRONOX, message.id)

    lake = LakeOnDisk(settings.data_dir)
    file = lake.lake.paths.bars_root / "2025" / "20251114.bars.parquet"
    lake.close()
    await post(0)
    killed = importers.start(failpoint)
    assert await eventually(lambda: killed.poll() is not None, within_s=WITHIN_S)
    assert killed.returncode == -signal.SIGKILL
    await post(MESSAGES // 2)
    importers.start()
    assert await eventually(lambda: _rows_of(file) == (MESSAGES, MESSAGES), within_s=WITHIN_S)
    importers.end(signal.SIGTERM)
    lake = LakeOnDisk(settings.data_dir)
    assert lake.rows("SELECT count(*), count(DISTINCT timestamp) FROM ohlcv_1m") == [(MESSAGES, MESSAGES)]
    lake.close()


def _rows_of(file: Path) -> tuple[int, int] | None:
    if not file.is_file():
        return None
    with duckdb.connect() as connection:
        query = f"SELECT count(*), count(DISTINCT timestamp) FROM read_parquet('{file}')"
        found = connection.execute(query).fetchone()
    return found and (found[0], found[1])
