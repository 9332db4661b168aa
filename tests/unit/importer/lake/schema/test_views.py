"""The lake as people query it: views, comments, and how little of it a query reads."""

from __future__ import annotations

import re
import shutil
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

import duckdb
import pytest

from services.importer.lake.database import Lake
from shared.bus.messages import Job
from shared.errors import CannotStart
from shared.gexbot.trading_day import bounds_ms
from tests.support.importer.lake import LakeOnDisk, Rows, a_record, records
from tests.support.repository import ROOT
from tests.support.values import a_job

FIRST_DAY: Final = date(2025, 11, 14)
DAY_S: Final = 86_400


def job_of(days: int, endpoint: str = "gex_zero") -> Job:
    day = FIRST_DAY + timedelta(days)
    return a_job(trading_day=day, endpoint=endpoint, base_url=f"https://hist.gex.bot/{day}_{endpoint}.json")


def import_days(lake: LakeOnDisk, count: int, endpoint: str = "gex_zero") -> list[Path]:
    """Import consecutive days of three snapshots and return their Parquet files."""
    for days in range(count):
        document = [a_record(days * DAY_S + second) for second in range(3)]
        lake.import_staged(lake.stage(document, job_of(days, endpoint)))
    return sorted((lake.settings.paths.parquet_root / "NQ_NDX" / endpoint).glob("*.parquet"))


def columns_of(lake: LakeOnDisk, name: str) -> Rows:
    return lake.rows(f"SELECT column_name, column_type FROM (DESCRIBE {name})")


def plan(lake: LakeOnDisk, query: str) -> str:
    """Return DuckDB's profile of a query."""
    return str(lake.rows(f"EXPLAIN ANALYZE {query}")[0][1])


def test_the_history_has_ticker_endpoint_and_day_from_the_path(lake: LakeOnDisk) -> None:
    import_days(lake, 2)
    import_days(lake, 1, "gex_full")
    assert columns_of(lake, "gex_history") == [
        ("trading_day", "DATE"),
        ("timestamp", "BIGINT"),
        ("ticker", "VARCHAR"),
        ("endpoint", "VARCHAR"),
        ("strike", "DOUBLE"),
        ("gamma", "DOUBLE"),
        ("oi_gamma", "DOUBLE"),
        ("priors", "VARCHAR"),
    ]
    assert lake.rows(
        "SELECT ticker, endpoint, trading_day, count(*) FROM gex_history GROUP BY ALL ORDER BY ALL"
    ) == [
        ("NQ_NDX", "gex_full", FIRST_DAY, 6),
        ("NQ_NDX", "gex_zero", FIRST_DAY, 6),
        ("NQ_NDX", "gex_zero", FIRST_DAY + timedelta(1), 6),
    ]
    assert lake.rows(
        "SELECT count(*) FROM (SELECT * EXCLUDE trading_day FROM gex_history EXCEPT ALL FROM gex_strikes)"
    ) == [(0,)]
    assert lake.differences() == 0


@pytest.mark.parametrize(
    ("where", "files"),
    [
        ("trading_day = DATE '2025-11-15' AND endpoint = 'gex_zero'", 1),
        ("trading_day = '2025-11-15'", 2),
        ("trading_day BETWEEN '2025-11-14' AND '2025-11-15' AND endpoint = 'gex_full'", 2),
        ("trading_day >= '2025-11-16'", 2),
        ("ticker = 'NQ_NDX' AND endpoint = 'gex_full'", 3),
    ],
)
def test_a_filter_on_the_path_opens_only_the_files_that_it_names(
    lake: LakeOnDisk, where: str, files: int
) -> None:
    import_days(lake, 3)
    import_days(lake, 3, "gex_full")
    profile = plan(lake, f"SELECT sum(gamma) FROM gex_history WHERE {where}")
    assert f"Scanning Files: {files}/6" in profile


def test_a_damaged_file_spoils_no_query_of_other_days(lake: LakeOnDisk) -> None:
    first, _, last = import_days(lake, 3)
    first.write_bytes(b"damaged")
    last.write_bytes(b"damaged")
    query = "SELECT count(*) FROM gex_history WHERE trading_day = '2025-11-15'"
    assert lake.rows(query) == [(6,)]
    lake.reopen()
    assert lake.rows(query) == [(6,)]
    with pytest.raises(duckdb.Error):
        lake.rows("SELECT sum(gamma) FROM gex_history")


@pytest.fixture
def large_day(lake: LakeOnDisk) -> LakeOnDisk:
    """A lake of one day with more rows than two row groups hold."""
    strikes = [[20_000 + 5 * index, index, -index, [index]] for index in range(300)]
    lake.import_staged(lake.stage(records(900, strikes=strikes)))
    return lake


def test_a_file_is_in_the_order_of_time_and_its_row_groups_share_no_moment_but_the_border(
    large_day: LakeOnDisk,
) -> None:
    (path,) = large_day.settings.paths.parquet_root.rglob("*.parquet")
    groups = large_day.rows(
        "SELECT CAST(stats_min_value AS BIGINT), CAST(stats_max_value AS BIGINT) "
        f"FROM parquet_metadata('{path}') WHERE path_in_schema = 'timestamp' ORDER BY row_group_id"
    )
    assert len(groups) >= 3
    for (start, end), (next_start, _) in pairwise(groups):
        assert start < end <= next_start
    backwards = large_day.rows(
        "SELECT count(*) FROM (SELECT timestamp - lag(timestamp) OVER (ORDER BY file_row_number) AS step, "
        "strike - lag(strike) OVER (ORDER BY file_row_number) AS up "
        f"FROM read_parquet('{path}', file_row_number = true)) WHERE step < 0 OR (step = 0 AND up < 0)"
    )
    assert backwards == [(0,)]


def test_a_filter_on_time_reads_only_the_row_group_that_has_it(large_day: LakeOnDisk) -> None:
    query = (
        "SELECT sum(gamma) FROM gex_history WHERE trading_day = '2025-11-14' "
        "AND timestamp = new_york_ms('2025-11-14 09:31:00')"
    )
    found = re.search(r"Row Groups Scanned: (\d+) / (\d+)", plan(large_day, query))
    assert found is not None
    scanned, all_of_them = map(int, found.groups())
    assert scanned == 1 < all_of_them


def test_without_files_the_views_are_empty_and_have_the_same_columns(lake: LakeOnDisk) -> None:
    views = ("parquet_gex_strikes", "gex_history")
    described = [columns_of(lake, view) for view in views]
    assert [lake.rows(f"SELECT count(*) FROM {view}") for view in views] == [[(0,)], [(0,)]]
    import_days(lake, 1)
    assert [lake.rows(f"SELECT count(*) FROM {view}") for view in views] == [[(6,)], [(6,)]]
    assert [columns_of(lake, view) for view in views] == described


def test_a_folder_that_looks_like_a_partition_key_becomes_no_column(tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path / "ticker=x")
    import_days(lake, 1)
    assert lake.rows("SELECT DISTINCT ticker FROM gex_history") == [("NQ_NDX",)]
    assert lake.differences() == 0
    lake.close()


def test_a_profile_has_the_spot_of_its_snapshot_and_reads_no_more_than_it_must(lake: LakeOnDisk) -> None:
    import_days(lake, 2)
    moment = 1000 * a_record(1)["timestamp"]
    query = f"SELECT spot_price, zero_gamma, strike, gamma FROM gex_profiles WHERE timestamp = {moment}"
    assert lake.rows(f"{query} ORDER BY strike") == [
        (25001.25, 24950.5, 25000.0, -228.01),
        (25001.25, 24950.5, 25010.0, 5.0),
    ]
    filters = re.findall(rf"timestamp = {moment}", plan(lake, query))
    assert len(filters) >= 2  # of both tables


@pytest.mark.parametrize("day", [date(2025, 3, 9), date(2025, 11, 2), date(2025, 11, 14)])
def test_new_york_time_and_back(lake: LakeOnDisk, day: date) -> None:
    start, end = bounds_ms(day)
    assert lake.rows(
        f"SELECT new_york_ms('{day} 00:00:00'), new_york_ms(DATE '{day}' + 1), new_york_time({end - 1})"
    ) == [(start, end, datetime.combine(day, datetime.max.time()).replace(microsecond=999_000))]


def uncommented(rows: Rows) -> list[str]:
    return [name for name, comment in rows if not comment]


COLUMNS: Final = (
    "SELECT table_name || '.' || column_name, comment FROM duckdb_columns() "
    "WHERE NOT internal AND database_name = current_database()"
)
TABLES: Final = (
    "SELECT table_name, comment FROM duckdb_tables() UNION ALL "
    "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal"
)


def test_every_table_view_and_column_has_a_comment_and_keeps_it(lake: LakeOnDisk) -> None:
    for _ in range(2):
        assert len(lake.rows(COLUMNS)) > 100
        assert uncommented(lake.rows(COLUMNS)) == []
        assert uncommented(lake.rows(TABLES)) == []
        import_days(lake, 1)  # which makes the views again
        lake.reopen()


def test_comments_and_views_are_there_when_the_process_was_killed_after_the_migration(
    lake: LakeOnDisk, tmp_path: Path
) -> None:
    lake.import_staged(lake.stage(records(3)))
    database = lake.settings.paths.database
    assert database.with_name(f"{database.name}.wal").stat().st_size > 0
    for file in database.parent.glob(f"{database.name}*"):
        shutil.copy(file, tmp_path / file.name)
    with duckdb.connect(str(tmp_path / database.name)) as left:
        assert uncommented(left.execute(COLUMNS).fetchall()) == []
        assert uncommented(left.execute(TABLES).fetchall()) == []
        assert left.execute("SELECT count(*) FROM gex_strikes").fetchall() == [(6,)]


def make_lake_of_version_2(settings_database: Path) -> None:
    """Write a database as migrations 0001 and 0002 left it, with rows in it."""
    settings_database.parent.mkdir(parents=True)
    with duckdb.connect(str(settings_database), config={"storage_compatibility_version": "v1.4.0"}) as old:
        old.execute("CREATE TABLE schema_migrations (name VARCHAR NOT NULL, applied_at TIMESTAMPTZ)")
        for name in ("0001_history.sql", "0002_live.sql"):
            old.execute((ROOT / "services/importer/lake/schema/migrations" / name).read_text())
            old.execute("INSERT INTO schema_migrations VALUES (?, now())", [name])
        old.execute("CREATE VIEW parquet_gex_strikes AS SELECT * FROM gex_strikes WHERE false")
        old.execute(
            "INSERT INTO gex_strikes SELECT 1763130600000 + n // 100 * 1000, 'NQ_NDX', 'gex_zero', n % 100, "
            "n / 100, NULL, '[' || n || ']' FROM range(200000) AS numbers(n)"
        )


def test_a_lake_of_the_first_two_migrations_keeps_its_rows_in_their_order(tmp_path: Path) -> None:
    fresh = LakeOnDisk(tmp_path / "fresh")
    tables = ("gex_strikes", "gex_history", "partitions")
    expected = [fresh.rows(f"DESCRIBE {table}") for table in tables]
    fresh.close()
    make_lake_of_version_2(tmp_path / "data" / "gex_data.db")
    with duckdb.connect(str(tmp_path / "data" / "gex_data.db")) as old:
        before = old.execute("FROM gex_strikes").fetchall()
    lake = LakeOnDisk(tmp_path / "data")
    assert lake.rows("FROM gex_strikes") == before
    assert [lake.rows(f"DESCRIBE {table}") for table in tables] == expected
    lake.import_staged(lake.stage(records(900), a_job(endpoint="gex_full")))
    assert lake.rows("SELECT count(*) FROM gex_strikes") == [(201_800,)]
    lake.reopen()
    assert lake.rows("SELECT count(*) FROM gex_strikes") == [(201_800,)]
    lake.close()


def test_a_migration_that_fails_leaves_the_old_lake_to_be_migrated_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data" / "gex_data.db"
    make_lake_of_version_2(path)
    settings = LakeOnDisk(tmp_path / "other")
    settings.close()
    broken = tmp_path / "9000_broken.sql"
    broken.write_text("ALTER TABLE gex_strikes RENAME TO gone; SELECT no_such_column")
    with monkeypatch.context() as patch:
        patch.setattr("services.importer.lake.schema.migrate._migrations", lambda: [*old_ones(), broken])
        with pytest.raises(CannotStart, match="no_such_column"):
            Lake.open(settings.settings.model_copy(update={"data_dir": tmp_path / "data"}))
    lake = LakeOnDisk(tmp_path / "data")
    assert lake.rows("SELECT count(*) FROM gex_strikes") == [(200_000,)]
    lake.close()


def old_ones() -> list[Path]:
    return sorted((ROOT / "services/importer/lake/schema/migrations").glob("000[12]_*.sql"))


def test_lake_sql_shows_others_the_same_history(
    lake: LakeOnDisk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import_days(lake, 2)
    monkeypatch.chdir(tmp_path)
    with duckdb.connect() as outside:
        outside.execute((ROOT / "docs/lake.sql").read_text())
        query = "SELECT *, new_york_time(timestamp) FROM gex_history ORDER BY ALL"
        assert outside.execute(query).fetchall() == lake.rows(query)
        described = outside.execute("DESCRIBE gex_history").fetchall()
    assert described == lake.rows("DESCRIBE gex_history")
