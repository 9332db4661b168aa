"""A damaged log or database is quarantined, and what is missing is rebuilt: tables equal Parquet again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, cast

import duckdb
import pytest

from services.importer.errors import LakeDamaged, WorseData
from services.importer.imports.repair.service import Repair
from services.importer.lake.database import Lake
from services.importer.lake.quarantine import log_of
from services.importer.lake.writer_thread import WriterThread
from services.importer.ledger.keeper import LedgerKeeper
from shared.bus.connection import Bus
from shared.bus.messages import FileStaged, ImportFile, Job
from shared.job_states import JobState, JobStates
from tests.support.importer.lake import LakeOnDisk, records
from tests.support.repository import ROOT
from tests.support.values import a_job

DAYS: Final = 4
WITHIN_S: Final = 60.0
FIRST: Final = date(2025, 11, 11)
EVERYTHING: Final = """
    SELECT (SELECT list(t ORDER BY t) FROM gex_snapshots t), (SELECT list(t ORDER BY t) FROM gex_strikes t),
        (SELECT list((ticker, endpoint, trading_day, checksum, snapshots, strike_rows, parquet_checksum,
            published, first_timestamp, last_timestamp) ORDER BY trading_day) FROM partitions)
"""


class SilentBus:
    """A bus without subscribers."""

    def clock(self) -> datetime:
        return datetime.now(UTC)

    async def publish_event(self, event: object) -> None:
        del event


def job_of(day: int, generation: int = 1) -> Job:
    trading_day = FIRST + timedelta(day)
    url = f"https://hist.gex.bot/{trading_day}_NQ_NDX_classic_gex_zero.json"
    return a_job(trading_day=trading_day, base_url=url, generation=generation)


def stage(lake: LakeOnDisk, day: int, count: int = 20, generation: int = 1) -> ImportFile:
    """Stage a file of a day, with strikes that are those of no other day."""
    content = records(count)
    for record in content:
        record["timestamp"] += (day - 3) * 86_400
        record["strikes"] = [[25_000 + day, day, count, [day]], [25_010, record["timestamp"] % 7, 0.5]]
    return lake.stage(content, job_of(day, generation))


def repair_of(lake: LakeOnDisk, states: Iterable[JobState] = ()) -> Repair:
    bus, writer = cast("Bus", SilentBus()), WriterThread()
    keeper = LedgerKeeper(bus, lake.lake, writer)
    keeper._states = JobStates({state.job.job_id: state for state in states})
    keeper.has_caught_up.set()
    return Repair(bus, lake.lake, writer, keeper, limits=lake.settings.limits, timeout_s=60)


async def mend(lake: LakeOnDisk, states: Iterable[JobState] = ()) -> None:
    repair = repair_of(lake, states)
    is_read = False
    while not is_read:
        while await repair.step():
            pass
        with suppress(LakeDamaged):
            is_read = not await repair.read_rows(WITHIN_S)
    assert repair.remaining == 0


def events(lake: LakeOnDisk, *commands: ImportFile) -> list[JobState]:
    """Import files, and return the states of their jobs as EVENTS has them."""
    states = JobStates()
    now = datetime.now(UTC)
    for command in commands:
        event = lake.import_staged(command)
        staged = FileStaged(
            job=command.job,
            staged_path=command.staged_path,
            size_bytes=command.size_bytes,
            sha256=command.sha256,
            command_seq=1,
        )
        states.apply(staged, now)
        states.apply(event, now)
    return list(states)


@pytest.fixture
def filled(lake: LakeOnDisk) -> LakeOnDisk:
    for day in range(DAYS):
        lake.import_staged(stage(lake, day))
    return lake


@pytest.fixture(scope="module")
def folder_of_the_killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an importer that was killed after two days in the file and two in its log."""
    folder = tmp_path_factory.mktemp("killed") / "data"
    script = (
        "import os, signal; from pathlib import Path\n"
        "from tests.support.importer.lake import LakeOnDisk\n"
        "from tests.unit.importer.imports.repair.test_service import DAYS, stage\n"
        f"lake = LakeOnDisk(Path({str(folder)!r}))\n"
        "for day in range(DAYS):\n"
        "    lake.import_staged(stage(lake, day))\n"
        "    if day == 1:\n"
        "        lake.reopen()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    return folder


@pytest.fixture
def killed(lake: LakeOnDisk, folder_of_the_killed: Path) -> LakeOnDisk:
    lake.lake.close()
    shutil.rmtree(lake.settings.paths.data_dir)
    shutil.copytree(folder_of_the_killed, lake.settings.paths.data_dir)
    return lake


def quarantined(lake: LakeOnDisk) -> list[str]:
    return sorted(path.name for path in lake.settings.paths.quarantine.glob("*/gex_data*"))


def cut(share: float) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        os.truncate(path, int(path.stat().st_size * share))

    return damage


def garbage(share: float, size: int = 64) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(int(path.stat().st_size * share))
            file.write(bytes(range(1, size + 1)))

    return damage


LOGS: Final[dict[str, tuple[Callable[[Path], None], bool]]] = {
    "cut to nothing": (cut(0), False),
    "cut in its head": (cut(0.001), False),
    "cut after a day": (cut(0.5), False),
    "cut at its end": (cut(0.999), False),
    "garbage in its head": (garbage(0.004), True),
    "garbage in its middle": (garbage(0.5), True),
    "garbage at its end": (garbage(0.97), True),
    "another file": (garbage(0, 250), False),
}


@pytest.mark.parametrize("case", LOGS)
async def test_days_that_a_damaged_log_has_lost_are_loaded_from_parquet(
    killed: LakeOnDisk, case: str
) -> None:
    damage, is_reported = LOGS[case]
    log = log_of(killed.settings.paths.database)
    assert log.stat().st_size > 1_000
    damage(log)
    killed.lake = Lake.open(killed.settings)
    await mend(killed)
    assert_whole(killed)
    assert quarantined(killed) == ["gex_data.db.wal"] * is_reported


DATABASES: Final[dict[str, Callable[[Path], None]]] = {
    "its head is garbage": garbage(0),
    "its first block is garbage": lambda path: write_at(path, 4_100),
    "its last block is garbage": lambda path: write_at(path, path.stat().st_size - 4_096),
    "all of its blocks are garbage": lambda path: write_at(path, 12_288, path.stat().st_size - 12_288),
    "a block of its rows is garbage": lambda path: write_at(path, block_of_rows(path) + 5_000),
    "it is cut": cut(0.4),
    "it is empty": cut(0),
}


def block_of_rows(path: Path) -> int:
    """Return where a block with values of strikes begins."""
    with duckdb.connect(str(path), read_only=True) as connection:
        query = "SELECT max(block_id) FROM pragma_storage_info('gex_strikes') WHERE block_id >= 0"
        ((block,),) = connection.execute(query).fetchall()
    return 12_288 + int(block) * 262_144


def write_at(path: Path, offset: int, size: int = 100) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\x07" * size)


@pytest.mark.parametrize("case", DATABASES)
async def test_a_damaged_database_is_quarantined_and_built_again_from_parquet(
    filled: LakeOnDisk, case: str
) -> None:
    before = filled.rows(EVERYTHING)
    filled.lake.close()
    DATABASES[case](filled.settings.paths.database)
    filled.lake = Lake.open(filled.settings)
    await mend(filled)
    assert_whole(filled)
    assert filled.rows(EVERYTHING) == before
    assert "gex_data.db" in quarantined(filled)
    (note,) = filled.settings.paths.quarantine.glob("*/README.txt")
    assert "rebuilds the database" in note.read_text()


@pytest.mark.parametrize("has_log", [False, True])
async def test_a_deleted_database_is_built_again_from_parquet(killed: LakeOnDisk, *, has_log: bool) -> None:
    killed.settings.paths.database.unlink()
    if not has_log:
        log_of(killed.settings.paths.database).unlink()
    killed.lake = Lake.open(killed.settings)
    await mend(killed)
    assert_whole(killed)
    assert quarantined(killed) == ["gex_data.db.wal"] * has_log


async def test_damage_that_is_met_while_importing_rebuilds_the_database_without_a_restart(
    filled: LakeOnDisk,
) -> None:
    filled.reopen()
    await mend(filled)
    # The blocks of the rows are read when they are needed; the tables of the schema are in memory by now.
    database = filled.settings.paths.database
    write_at(database, 12_288, database.stat().st_size - 12_288)
    forced = stage(filled, 0, count=25, generation=2)
    with pytest.raises(LakeDamaged):
        filled.import_staged(forced)
    await mend(filled)
    assert_whole(filled)
    assert quarantined(filled) == ["gex_data.db"]
    filled.import_staged(forced)
    assert_whole(filled, {0: 25})


async def test_a_parquet_file_that_is_gone_or_damaged_is_written_again_from_the_table(
    filled: LakeOnDisk,
) -> None:
    first, second, *_ = sorted(filled.settings.paths.parquet_root.rglob("*.parquet"))
    first.unlink()
    os.truncate(second, second.stat().st_size // 2)
    filled.reopen()
    await mend(filled)
    assert_whole(filled)


async def test_a_partition_that_neither_has_is_imported_from_its_staged_file(lake: LakeOnDisk) -> None:
    states = events(lake, *(stage(lake, day) for day in range(DAYS)))
    before = lake.rows(EVERYTHING)
    lake.lake.close()
    lake.settings.paths.database.unlink()
    shutil.rmtree(lake.settings.paths.parquet_root)
    shutil.rmtree(lake.settings.paths.records_root)
    lake.lake = Lake.open(lake.settings)
    await mend(lake, states)
    assert_whole(lake)
    assert lake.rows(EVERYTHING) == before


async def test_a_damaged_copy_of_the_records_leads_to_the_staged_file(lake: LakeOnDisk) -> None:
    states = events(lake, *(stage(lake, day) for day in range(DAYS)))
    lake.lake.close()
    lake.settings.paths.database.unlink()
    for path in sorted(lake.settings.paths.records_root.rglob("*.parquet"))[:2]:
        path.write_bytes(path.read_bytes()[:-100] + b"\x07" * 100)
    lake.lake = Lake.open(lake.settings)
    await mend(lake, states)
    assert_whole(lake)


async def test_what_cannot_be_rebuilt_counts_as_missing_until_it_is_imported(filled: LakeOnDisk) -> None:
    filled.lake.close()
    filled.settings.paths.database.unlink()
    (parquet,) = filled.settings.paths.parquet_root.rglob("20251112.*")
    parquet.write_bytes(b"PAR1 and nothing else")
    filled.lake = Lake.open(filled.settings)
    repair = repair_of(filled)
    while await repair.step():
        pass
    assert repair.remaining == 1
    assert filled.rows("SELECT count(*) FROM partitions") == [(DAYS - 1,)]
    filled.import_staged(stage(filled, 1))
    await repair.step()
    assert repair.remaining == 0
    assert_whole(filled)


async def test_changes_of_rules_are_read_from_a_damaged_database_and_the_mirrors_written_again(
    filled: LakeOnDisk,
) -> None:
    with filled.lake.writing() as connection:
        connection.execute(
            "INSERT INTO priority_rule_changes VALUES ('1', 7, now(), 'key:ba7816bf', 'deleted', '{}', NULL)"
        )
    changes = filled.rows("FROM priority_rule_changes")
    filled.reopen()
    filled.lake._damage = "a block"
    repair, written_again = repair_of(filled), []
    repair.on_reopened = [lambda: written_again.append("rules")]
    for _ in range(2):
        filled.lake.is_suspect = True
        await repair.compare()
        await repair.compare()
    assert (quarantined(filled), written_again) == (["gex_data.db"], ["rules"] * 2)
    assert filled.rows("FROM priority_rule_changes") == changes


async def test_jobs_that_events_has_forgotten_are_read_from_a_damaged_database(filled: LakeOnDisk) -> None:
    ledger = filled.rows("SELECT id, status, checksum, requested_at FROM gex_history_queue ORDER BY id")
    assert len(ledger) == DAYS
    filled.reopen()
    filled.lake._damage = "a block"
    await mend(filled)
    assert_whole(filled)
    assert quarantined(filled) == ["gex_data.db"]
    found = filled.rows("SELECT id, status, checksum, requested_at FROM gex_history_queue ORDER BY id")
    assert found == ledger
    filled.reopen()
    await mend(filled)
    assert filled.rows("SELECT count(*) FROM gex_history_queue") == [(DAYS,)]


async def test_of_an_older_partition_and_a_newer_file_the_newer_one_stays(filled: LakeOnDisk) -> None:
    old = filled.settings.data_dir.parent / "old.db"
    filled.lake.close()
    shutil.copy2(filled.settings.paths.database, old)
    filled.lake = Lake.open(filled.settings)
    filled.import_staged(stage(filled, 1, count=30, generation=2))
    filled.lake.close()
    shutil.copy2(old, filled.settings.paths.database)
    filled.lake = Lake.open(filled.settings)
    await mend(filled)
    assert_whole(filled, {1: 30})


async def test_of_a_newer_partition_and_an_older_file_the_newer_one_stays(filled: LakeOnDisk) -> None:
    old = filled.settings.data_dir.parent / "old"
    shutil.copytree(filled.settings.paths.parquet_root, old)
    filled.import_staged(stage(filled, 1, count=30, generation=2))
    with filled.lake.writing() as connection:
        connection.execute("UPDATE partitions SET updated_at = now()")
    shutil.copytree(old, filled.settings.paths.parquet_root, dirs_exist_ok=True)
    filled.reopen()
    await mend(filled)
    assert_whole(filled, {1: 30})


async def test_a_worse_file_is_refused_although_the_database_was_lost(filled: LakeOnDisk) -> None:
    filled.lake.close()
    filled.settings.paths.database.unlink()
    filled.lake = Lake.open(filled.settings)
    worse = stage(filled, 2, count=3, generation=2)
    repair = repair_of(filled)
    await repair.before_import(worse.job)
    assert repair.remaining == DAYS - 1
    with pytest.raises(WorseData):
        filled.import_staged(worse)


async def test_a_lake_without_differences_is_not_changed(filled: LakeOnDisk) -> None:
    before = filled.rows("FROM partitions")
    filled.reopen()
    repair = repair_of(filled)
    assert not await repair.step()
    assert filled.rows("FROM partitions") == before


def assert_whole(lake: LakeOnDisk, counts: dict[int, int] | None = None) -> None:
    expected = [(FIRST + timedelta(day), (counts or {}).get(day, 20)) for day in range(DAYS)]
    assert lake.rows("SELECT trading_day, snapshots FROM partitions ORDER BY 1") == expected
    found = lake.rows(
        "SELECT CAST(new_york_time(timestamp) AS DATE), count(*) FROM gex_snapshots GROUP BY 1 ORDER BY 1"
    )
    assert found == expected
    assert lake.differences() == 0
    assert lake.rows("SELECT count(*) FROM gex_strikes") == [(2 * sum(count for _, count in expected),)]
