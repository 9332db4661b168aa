"""The importer is killed between the steps of an export: every row is read once afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime
from typing import Any, Final

import pytest

from gexlake.api.services import VerifyRequest
from services.importer.feeds.export import export_live
from services.importer.imports.repair.comparison import Comparison, compare
from services.importer.queries.verify import Verification
from shared.gexbot.partition import Partition
from tests.support.importer.lake import LakeOnDisk, records
from tests.support.importer.live import LiveFeed, LiveSnapshot
from tests.support.importer.queries import ask
from tests.support.repository import ROOT

FAILPOINTS: Final = (
    "importer.parquet_written",
    "importer.live_renamed",
    "importer.live_placed",
    "importer.live_noted",
)
QUICK: Final = "importer.live_placed"
AT: Final = datetime(2025, 11, 14, 14, 30, tzinfo=UTC)
EXPORT: Final = """
import sys
from pathlib import Path
from services.importer.feeds.export import export_live
from tests.support.importer.lake import LakeOnDisk
export_live(LakeOnDisk(Path(sys.argv[1])).lake)
"""
READ: Final = """
    SELECT
        (SELECT list(timestamp // 1000 - 1763130600 ORDER BY timestamp) FROM gex_snapshots),
        (SELECT list(timestamp // 1000 - 1763130600 ORDER BY timestamp) FROM gex_strikes),
        (SELECT list(id ORDER BY id) FROM universal_webhooks)
"""


def verified(lake: LakeOnDisk) -> tuple[int, Any]:
    verification = Verification(lake.lake, VerifyRequest())
    export_live(lake.lake, check=verification)
    found = verification.compare_others()
    return found.checked, found.differences


@pytest.mark.parametrize(
    "failpoint", [pytest.param(name, marks=() if name == QUICK else pytest.mark.slow) for name in FAILPOINTS]
)
def test_an_export_that_was_killed_is_done_again(lake: LakeOnDisk, failpoint: str) -> None:
    lake.import_staged(lake.stage(records(2)))
    feed = LiveFeed(lake)
    feed.store([LiveSnapshot(7), LiveSnapshot(8, ticker="SPX")], [("a", AT)])
    export_live(lake.lake)
    feed.store([LiveSnapshot(7, 2.0), LiveSnapshot(9), LiveSnapshot(8, 2.0, ticker="SPX")], [("b", AT)])
    lake.lake.close()

    command = [sys.executable, "-c", EXPORT, str(lake.settings.paths.data_dir)]
    environment = {**os.environ, "GEXLAKE_FAILPOINT": failpoint}
    process = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True)
    assert process.returncode == -9, process.stderr.decode()

    lake.reopen()
    assert compare(lake.lake) == Comparison(held=[Partition("NQ_NDX", "gex_zero", date(2025, 11, 14))])
    assert verified(lake) == (3, ())
    (row,) = ask(lake, READ).rows
    assert row == ([0, 1, 7, 8, 9], [0, 0, 1, 1, 7, 7, 8, 8, 9, 9], ["a", "b"])
