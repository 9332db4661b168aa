"""The importer's snapshot: what the database and the tree hold between two imports, while it goes on."""

from __future__ import annotations

import subprocess
import sys

import duckdb
import pytest

from gexlake.api.services import LakeCounts
from services.importer.backup.snapshot import take_snapshot
from services.importer.errors import StorageTrouble
from services.importer.feeds.export import export_live
from tests.support.importer.lake import LakeOnDisk, records
from tests.support.importer.live import LiveFeed, LiveSnapshot
from tests.support.values import NOON, a_job


def test_a_snapshot_holds_what_was_imported_before_it_and_nothing_later(lake: LakeOnDisk) -> None:
    lake.import_staged(lake.stage(records(20)))
    taken = take_snapshot(lake.lake)
    assert taken.counts == LakeCounts(partitions=1, snapshots=20, strike_rows=40, jobs=1, records=20)
    folder = lake.settings.paths.data_dir / taken.folder
    (parquet,) = folder.glob("parquet/gexbot/NQ_NDX/gex_zero/*.strikes.parquet")
    before = parquet.read_bytes()
    lake.import_staged(lake.stage(records(25), a_job(generation=2)))
    assert parquet.read_bytes() == before
    with duckdb.connect(str(folder / "gex_data.db"), read_only=True) as copy:
        assert copy.execute("SELECT count(*) FROM gex_snapshots").fetchall() == [(20,)]
    assert len(list(folder.glob("records/gexbot/NQ_NDX/gex_zero/*.parquet"))) == 1
    assert not list(folder.glob("*.wal"))


def test_a_snapshot_has_the_files_of_live_rows(lake: LakeOnDisk) -> None:
    feed = LiveFeed(lake)
    feed.store([LiveSnapshot(0)], [("a", NOON)])
    export_live(lake.lake)
    folder = lake.settings.paths.data_dir / take_snapshot(lake.lake).folder
    feed.store([LiveSnapshot(1)], [("b", NOON)])
    export_live(lake.lake)
    files = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*.parquet"))]
    assert files == [
        "parquet/gexbot/NQ_NDX/gex_zero/20251114.strikes.parquet",
        f"parquet/webhooks/{NOON:%Y%m%d}/{NOON:%H}.universal_webhooks.parquet",
        "records/gexbot/NQ_NDX/gex_zero/20251114.gex_snapshots.parquet",
    ]
    assert duckdb.read_parquet(str(folder / files[1])).count("*").fetchall() == [(1,)]


def test_the_database_stays_locked_after_a_snapshot(lake: LakeOnDisk) -> None:
    """Closing any descriptor of the file would drop the process's lock on it."""
    take_snapshot(lake.lake)
    script = f"import duckdb; duckdb.connect({str(lake.settings.paths.database)!r})"
    other = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert "Conflicting lock" in other.stderr


def test_a_snapshot_that_nobody_took_away_is_replaced(lake: LakeOnDisk) -> None:
    first = lake.settings.paths.backups / "20250101T000000Z"
    first.mkdir(parents=True)
    taken = take_snapshot(lake.lake)
    assert [path.name for path in lake.settings.paths.backups.iterdir()] == [taken.folder.rpartition("/")[2]]


def test_a_snapshot_that_cannot_be_written_leaves_nothing(lake: LakeOnDisk) -> None:
    lake.settings.paths.backups.write_bytes(b"a file")
    with pytest.raises(StorageTrouble, match="copying the database"):
        take_snapshot(lake.lake)
    assert lake.import_staged(lake.stage(records(5))).snapshots == 5
