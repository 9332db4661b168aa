"""Jobs that ended long ago move from the ledger to one Parquet file a month, and stay visible."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from typing import Any, Final
from unittest.mock import Mock

import duckdb
import pytest

from gexlake.api.services import DaysRequest, LedgerRequest
from services.importer.backup.snapshot import take_snapshot
from services.importer.errors import StorageTrouble
from services.importer.imports.recovery import sweep
from services.importer.imports.repair.rebuild import load_partition
from services.importer.interruption import Interruption
from services.importer.lake.schema.archive_view import ArchiveView
from services.importer.ledger.archive import archive_jobs
from services.importer.ledger.keeper import record
from services.importer.queries.service import LakeQueries
from shared.bus.messages import Event, FileStaged, JobFailed, JobRequested, NoData
from shared.gexbot.partition import Partition
from shared.job_states import JobStates
from tests.support.importer.lake import LakeOnDisk, records
from tests.support.importer.queries import ask
from tests.support.repository import ROOT
from tests.support.values import NOON, REQUEST_ID, a_job

SHA: Final = "0" * 64
LATER: Final = NOON + timedelta(days=31)
JOBS: Final = 5


def url_of(number: int) -> str:
    return f"https://hist.gex.bot/{number}.json"


def fail(lake: LakeOnDisk, number: int, at: datetime = NOON, **job: Any) -> None:
    """Let a job fail at a moment."""
    failed = a_job(**{"base_url": url_of(number), "requested_at": at, **job})
    learn(
        lake,
        (JobRequested(job=failed, command_seq=1, url_sha256=SHA), at),
        (JobFailed(job=failed, stage="fetch", failures=3, final=True, error=str(number)), at),
    )


def learn(lake: LakeOnDisk, *events: tuple[Event, datetime]) -> None:
    states = JobStates()
    for event, at in events:
        states.apply(event, at)
    record(lake.lake, states)


def archived_and_kept(lake: LakeOnDisk) -> tuple[int, int, int]:
    """Return how many jobs the archive, the ledger and the view of both have."""
    (row,) = lake.rows(
        "SELECT (SELECT count(*) FROM archived_jobs), (SELECT count(*) FROM gex_history_queue), "
        "(SELECT count(*) FROM all_jobs)"
    )
    return row


def files(lake: LakeOnDisk) -> list[str]:
    return sorted(path.name for path in lake.settings.paths.archived_jobs_root.iterdir())


def test_without_an_archive_the_views_have_the_ledger(lake: LakeOnDisk) -> None:
    fail(lake, 1)
    assert archived_and_kept(lake) == (0, 1, 1)
    assert archive_jobs(lake.lake, NOON, 10) == 0
    assert ask(lake, "SELECT count(*) FROM archived_jobs").rows == ((0,),)


def test_jobs_of_a_month_move_to_its_file_and_every_view_still_has_them(lake: LakeOnDisk) -> None:
    lake.import_staged(lake.stage(records(3), a_job(request_id=REQUEST_ID)))
    for number in range(3):
        fail(lake, number, NOON + timedelta(days=10 * number))
    views = ("all_jobs", "import_jobs", "processing_jobs")
    before = {view: lake.rows(f"FROM {view} ORDER BY ALL") for view in views}
    assert archive_jobs(lake.lake, LATER, 10) == 3
    assert archive_jobs(lake.lake, LATER, 10) == 1
    assert archive_jobs(lake.lake, LATER, 10) == 0
    assert files(lake) == ["2025-11.parquet", "2025-12.parquet"]
    assert archived_and_kept(lake) == (4, 0, 4)
    assert {view: lake.rows(f"FROM {view} ORDER BY ALL") for view in views} == before
    counts = ", ".join(f"(SELECT count(*) FROM {view})" for view in views)
    assert ask(lake, f"SELECT {counts}").rows == ((4, 4, 4),)


def test_a_file_keeps_what_it_has_and_a_batch_takes_the_oldest_jobs(lake: LakeOnDisk) -> None:
    for number in range(JOBS):
        fail(lake, number, NOON + timedelta(hours=number))
    assert archive_jobs(lake.lake, LATER, 2) == 2
    assert lake.rows("SELECT last_error FROM archived_jobs ORDER BY 1") == [("0",), ("1",)]
    lake.reopen()
    assert archive_jobs(lake.lake, LATER, 2) == 2
    assert archived_and_kept(lake) == (4, 1, JOBS)
    assert files(lake) == ["2025-11.parquet"]


@pytest.mark.parametrize(("hours", "goes"), [(-1, True), (1, False)])
def test_a_job_stays_until_it_has_ended_long_enough_ago(lake: LakeOnDisk, hours: int, goes: bool) -> None:
    fail(lake, 1, NOON + timedelta(hours=hours))
    assert archive_jobs(lake.lake, NOON, 10) == goes


def test_jobs_that_decisions_need_stay_in_the_ledger(lake: LakeOnDisk) -> None:
    no_data = a_job(base_url=url_of(1))
    waiting = a_job(base_url=url_of(2))
    learn(lake, (NoData(job=no_data, reason="the vendor has none"), NOON))
    staged = FileStaged(job=waiting, staged_path="p", size_bytes=7, sha256=SHA, command_seq=2)
    learn(lake, (staged, NOON))
    fail(lake, 3)
    lake.import_staged(lake.stage(records(3)))
    with lake.lake.writing() as connection:
        connection.execute("UPDATE partitions SET published = false")
    known = str(a_job(base_url=url_of(3)).job_id)
    assert archive_jobs(lake.lake, LATER, 10, [known]) == 0
    request = DaysRequest(tickers=("NQ_NDX",), endpoints=("gex_zero",), days=(NOON.date(),))
    (day,) = LakeQueries(lake.lake, lake.settings).days(request).days
    assert day.standing == "no_data"
    assert archive_jobs(lake.lake, LATER, 10) == 1


def test_a_job_that_is_requested_again_is_in_both_and_is_archived_again(lake: LakeOnDisk) -> None:
    fail(lake, 1)
    archive_jobs(lake.lake, LATER, 10)
    fail(lake, 1, LATER)  # EVENTS has forgotten it: its generation is 1 again
    assert archived_and_kept(lake) == (1, 1, 2)
    again = LATER + timedelta(days=31)
    assert archive_jobs(lake.lake, again, 10) == 1
    assert lake.rows("SELECT requested_at FROM all_jobs ORDER BY 1") == [(NOON,), (LATER,)]


def test_the_endpoint_of_the_ledger_has_archived_jobs(lake: LakeOnDisk) -> None:
    fail(lake, 1)
    archive_jobs(lake.lake, LATER, 10)
    job_id = str(a_job(base_url=url_of(1)).job_id)
    (row,) = LakeQueries(lake.lake, lake.settings).ledger(LedgerRequest(job_id=job_id)).rows
    assert row["last_error"] == "1"


def test_a_rebuilt_partition_has_what_the_archive_knows_of_its_job(lake: LakeOnDisk) -> None:
    lake.import_staged(lake.stage(records(3)))
    archive_jobs(lake.lake, LATER, 10)
    before = lake.rows("SELECT source_bytes, generation FROM partitions")
    with lake.lake.writing() as connection:
        connection.execute("DELETE FROM partitions")
    load_partition(lake.lake, Partition("NQ_NDX", "gex_zero", NOON.date()), Interruption())
    assert lake.rows("SELECT source_bytes, generation FROM partitions") == before


def test_a_damaged_file_is_not_replaced_and_its_month_stays_in_the_ledger(lake: LakeOnDisk) -> None:
    fail(lake, 1)
    archive_jobs(lake.lake, LATER, 10)
    fail(lake, 2)
    file = lake.settings.paths.archived_jobs("2025-11")
    file.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(StorageTrouble, match=r"2025-11\.parquet"):
        archive_jobs(lake.lake, LATER, 10)
    assert file.read_bytes() == b"PAR1 and nothing else"
    assert lake.rows("SELECT last_error FROM gex_history_queue") == [("2",)]
    assert files(lake) == ["2025-11.parquet"]
    file.unlink()
    lake.lake.refresh_parquet_view()
    assert archived_and_kept(lake) == (0, 1, 1)


def test_jobs_stay_in_the_ledger_until_the_view_has_their_file(
    lake: LakeOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(lake, 1)
    with monkeypatch.context() as failing:
        failing.setattr(ArchiveView, "make", Mock(side_effect=duckdb.IOException("no space left")))
        with pytest.raises(StorageTrouble):
            archive_jobs(lake.lake, LATER, 10)
    assert archived_and_kept(lake) == (0, 1, 1)
    assert archive_jobs(lake.lake, LATER, 10) == 1
    assert archived_and_kept(lake) == (1, 0, 1)


def test_a_backup_has_the_archive_of_its_moment(lake: LakeOnDisk) -> None:
    fail(lake, 1)
    archive_jobs(lake.lake, LATER, 10)
    folder = lake.settings.paths.data_dir / take_snapshot(lake.lake).folder
    fail(lake, 2)
    archive_jobs(lake.lake, LATER, 10)
    copy = folder / "archive/jobs/2025-11.parquet"
    assert duckdb.read_parquet(str(copy)).count("*").fetchall() == [(1,)]


@pytest.mark.parametrize("failpoint", ["importer.parquet_written", "importer.jobs_archived"])
def test_an_archive_that_is_killed_loses_no_job_and_has_none_twice(lake: LakeOnDisk, failpoint: str) -> None:
    for number in range(JOBS):
        fail(lake, number)
    assert archive_jobs(lake.lake, LATER, 2) == 2
    expected = lake.rows("FROM all_jobs ORDER BY ALL")
    lake.lake.close()
    script = (
        "from datetime import timedelta; from pathlib import Path\n"
        "from services.importer.ledger.archive import archive_jobs\n"
        "from tests.support.importer.lake import LakeOnDisk\n"
        "from tests.unit.importer.ledger.test_archive import LATER\n"
        f"archive_jobs(LakeOnDisk(Path({str(lake.settings.data_dir)!r})).lake, LATER, 2)\n"
    )
    environment = {**os.environ, "GEXLAKE_FAILPOINT": failpoint}
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True, env=environment
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    lake.reopen()
    sweep(lake.lake)
    assert files(lake) == ["2025-11.parquet"]
    assert lake.rows("FROM all_jobs ORDER BY ALL") == expected
    while archive_jobs(lake.lake, LATER, 2):
        pass
    assert archived_and_kept(lake) == (JOBS, 0, JOBS)
    assert lake.rows("FROM all_jobs ORDER BY ALL") == expected
