"""Open the DuckDB file, and confine its connections to the lake's folders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import duckdb

from services.importer.errors import DamagedDatabase, LakeLocked, StorageTrouble
from services.importer.lake.quarantine import is_damage, is_in_log, log_of, quarantine_database
from services.importer.lake.schema.migrate import migrate
from services.importer.lake.statements import quoted
from shared.errors import CannotStart
from shared.paths import LakePaths

STORAGE_VERSION: Final = "v1.4.0"
"""Older DuckDB releases, from this one on, can open the file."""

_HOLDER = re.compile(r"held in (?P<program>\S*).*?\(PID (?P<pid>\d+)\)")


_ATTEMPTS: Final = 3
"""The log is quarantined first, then the file; the third attempt opens a new one."""


def open_whole(paths: LakePaths, memory_mb: int, threads: int) -> duckdb.DuckDBPyConnection:
    """Open the DuckDB file with the schema of this version; move a damaged log or file to the quarantine.

    Without its log, the file has the content of the last checkpoint.

    Args:
        paths: where it is.
        memory_mb: DuckDB's memory limit, in MiB.
        threads: of DuckDB; 0 is one per processor.

    Raises:
        LakeLocked: another process has it open.
        CannotStart: it cannot be opened for another reason than damage.
    """
    if not paths.database.exists() and log_of(paths.database).exists():
        quarantine_database(paths, f"the log of {paths.database.name}, which is gone", log_only=True)
    for _ in range(_ATTEMPTS - 1):
        try:
            return _open_current(paths, memory_mb, threads)
        except DamagedDatabase as error:
            log_only = error.in_log and log_of(paths.database).exists()
            quarantine_database(paths, error.problem, log_only=log_only)
    return _open_current(paths, memory_mb, threads)


def _open_current(paths: LakePaths, memory_mb: int, threads: int) -> duckdb.DuckDBPyConnection:
    connection = open_file(paths, memory_mb, threads)
    try:
        migrate(connection)
    except (duckdb.Error, StorageTrouble) as error:
        connection.close()
        cause = error if isinstance(error, duckdb.Error) else error.__cause__ or error
        problem = str(cause).splitlines()[0]
        if is_damage(cause):
            raise DamagedDatabase(paths.database, problem, in_log=False) from error
        message = f"the schema of {paths.database} cannot be brought up to date: {problem}"
        raise CannotStart(f"{message} (GEXLAKE_DATA_DIR)") from error
    except CannotStart:
        connection.close()
        raise
    return connection


def open_file(paths: LakePaths, memory_mb: int, threads: int) -> duckdb.DuckDBPyConnection:
    """Open the DuckDB file of a lake, creating it if there is none.

    Args:
        paths: where it is.
        memory_mb: DuckDB's memory limit, in MiB.
        threads: of DuckDB; 0 is one per processor.

    Raises:
        LakeLocked: another process has it open.
        DamagedDatabase: it or its log is damaged.
        CannotStart: it cannot be opened for another reason.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "storage_compatibility_version": STORAGE_VERSION,
        "memory_limit": f"{memory_mb}MiB",
        "temp_directory": str(paths.scratch),
        **({"threads": threads} if threads else {}),
    }
    try:
        connection = duckdb.connect(str(paths.database), config=config)
    except duckdb.Error as error:
        raise _refused(paths.database, error) from error
    _confine(connection, paths)
    return connection


def _refused(database: Path, error: duckdb.Error) -> CannotStart:
    text = str(error)
    if "set lock on file" in text:
        match = _HOLDER.search(text)
        return LakeLocked(database, f" (process {match['pid']})" if match else "")
    if is_damage(error):
        return DamagedDatabase(database, text.splitlines()[0], in_log=is_in_log(error))
    return CannotStart(f"{database} cannot be opened: {error}")


def memory_limit(memory_mb: int) -> str:
    """Return the statement that sets DuckDB's memory limit."""
    return f"SET memory_limit = '{memory_mb}MiB'"


def _confine(connection: duckdb.DuckDBPyConnection, paths: LakePaths) -> None:
    """Keep statements from reading or writing files outside the lake, and from undoing this."""
    lasting = [*paths.staging_folders, paths.parquet_root, paths.webhooks_root, paths.records_root]
    lasting += [paths.chains_root, paths.archived_jobs_root, paths.bars_root]
    allowed = [*lasting, paths.catalog, paths.live, paths.scratch]
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    listed = ", ".join(quoted(f"{folder}/") for folder in allowed)
    connection.execute(f"SET allowed_directories = [{listed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET allowed_configs = ['memory_limit']")
    connection.execute("SET lock_configuration = true")
