"""Take jobs that ended long ago out of the ledger, into one Parquet file a month.

A month's file is written anew, with what it held: under a hidden name, flushed and renamed over the old one.
Then the rows are deleted from the ledger. After a crash between the two, the next call writes the same jobs
again; a job and generation is in a file once. The view ``all_jobs`` shows it once in the meantime.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Final

import duckdb
import structlog

from services.importer.errors import trouble
from services.importer.lake.database import Lake
from services.importer.lake.parquet import hidden_parquet
from services.importer.lake.schema.archive_view import LEDGER
from services.importer.lake.schema.views import columns_of, read_files
from services.importer.lake.statements import transaction
from shared.process.durable_files import rename_durably
from shared.process.failpoints import failpoint

_SELECTED: Final = "jobs_to_archive"
_KEY: Final = "id, generation, requested_at"
_OWNER: Final = "archive"
_MONTH: Final = "strftime(timezone('UTC', completed_at), '%Y-%m')"
# Which days have no data is decided by the rows of their jobs, and a commit is finished by that of its job.
_DUE: Final = f"""
    FROM {LEDGER}
    WHERE status IN ('completed', 'skipped', 'failed', 'cancelled')
        AND greatest(completed_at, updated_at) < $before
        AND NOT (status = 'skipped' AND checksum IS NULL)
        AND id NOT IN (SELECT job_id FROM partitions WHERE NOT published)
        AND id NOT IN (SELECT unnest($known))
"""  # noqa: S608 (names of ours)
_SELECT: Final = f"""
    CREATE OR REPLACE TEMP TABLE {_SELECTED} AS
    SELECT {_KEY}, {_MONTH} AS month {_DUE} AND month = (SELECT min({_MONTH}) {_DUE})
    ORDER BY completed_at, id LIMIT $max_jobs
"""
log = structlog.get_logger(__name__)


def archive_jobs(lake: Lake, before: datetime, max_jobs: int, known: Collection[str] = ()) -> int:
    """Archive the oldest jobs of one month that ended before a moment, and return how many.

    Args:
        lake: where.
        before: the moment.
        max_jobs: the maximum number.
        known: ids of jobs that EVENTS has, which stay in the ledger.

    Raises:
        StorageTrouble: the disk is full or fails, or the file of the month cannot be read. No job is lost.
    """
    with lake.writing() as connection:
        connection.execute(_SELECT, {"before": before, "max_jobs": max_jobs, "known": list(known)})
        selected = connection.execute(f"SELECT any_value(month), count(*) FROM {_SELECTED}").fetchone()  # noqa: S608
        month, count = selected or (None, 0)
        if month is None:
            return 0
        _write(connection, lake.paths.archived_jobs(month))
        lake.make_archive_view(connection)
        failpoint("importer.jobs_archived")
        with transaction(connection):
            connection.execute(f"DELETE FROM {LEDGER} WHERE id IN (SELECT id FROM {_SELECTED})")  # noqa: S608
    log.info("jobs_archived", month=month, jobs=count)
    return int(count)


def _write(connection: duckdb.DuckDBPyConnection, final: Path) -> None:
    columns = columns_of(connection, LEDGER)
    names = ", ".join(columns)
    query = f"SELECT {names} FROM {LEDGER} SEMI JOIN {_SELECTED} USING (id)"  # noqa: S608 (names of ours)
    if final.exists():
        held = f"{read_files(str(final), columns)} ANTI JOIN {_SELECTED} USING ({_KEY})"
        query = f"{query} UNION ALL SELECT {names} FROM {held}"  # noqa: S608 (names of ours)
    try:
        with hidden_parquet(connection, f"{query} ORDER BY completed_at, id", final, _OWNER, {}) as file:
            rename_durably(file.path, final)
    except duckdb.FatalException:
        raise
    except duckdb.Error as error:
        raise trouble(f"archiving jobs in {final}", error) from error
