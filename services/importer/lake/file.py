"""Open the DuckDB file, and confine its connections to the lake's folders."""

from __future__ import annotations

import re
from typing import Final

import duckdb

from services.importer.errors import LakeLocked
from services.importer.lake.statements import quoted
from shared.errors import CannotStart
from shared.paths import LakePaths

STORAGE_VERSION: Final = "v1.4.0"
"""Older DuckDB releases, from this one on, can open the file."""

_HOLDER = re.compile(r"held in (?P<program>\S*).*?\(PID (?P<pid>\d+)\)")


def open_file(paths: LakePaths, memory_mb: int, threads: int) -> duckdb.DuckDBPyConnection:
    """Open the DuckDB file of a lake, creating it if there is none.

    Args:
        paths: where it is.
        memory_mb: DuckDB's memory limit, in MiB.
        threads: of DuckDB; 0 is one per processor.

    Raises:
        LakeLocked: another process has it open.
        CannotStart: it cannot be opened for another reason.
    """
    try:
        connection = duckdb.connect(
            str(paths.database),
            config={
                "storage_compatibility_version": STORAGE_VERSION,
                "memory_limit": f"{memory_mb}MiB",
                "temp_directory": str(paths.scratch),
                **({"threads": threads} if threads else {}),
            },
        )
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            match = _HOLDER.search(str(error))
            raise LakeLocked(paths.database, f" (process {match['pid']})" if match else "") from error
        raise CannotStart(f"{paths.database} cannot be opened: {error}") from error
    except duckdb.Error as error:
        raise CannotStart(f"{paths.database} cannot be opened: {error}") from error
    _confine(connection, paths)
    return connection


def memory_limit(memory_mb: int) -> str:
    """Return the statement that sets DuckDB's memory limit."""
    return f"SET memory_limit = '{memory_mb}MiB'"


def _confine(connection: duckdb.DuckDBPyConnection, paths: LakePaths) -> None:
    """Keep statements from reading or writing files outside the lake, and from undoing this."""
    allowed = [paths.staging_root, paths.parquet_root, paths.records_root, paths.catalog, paths.scratch]
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    listed = ", ".join(quoted(f"{folder}/") for folder in allowed)
    connection.execute(f"SET allowed_directories = [{listed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET allowed_configs = ['memory_limit']")
    connection.execute("SET lock_configuration = true")
