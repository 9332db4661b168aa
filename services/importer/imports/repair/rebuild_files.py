"""Load Parquet files one after another, each in a transaction of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import duckdb
import structlog

from services.importer.lake.database import Lake
from services.importer.lake.quarantine import is_damage
from services.importer.lake.statements import transaction
from shared.process.disk_space import is_full

log = structlog.get_logger(__name__)
F = TypeVar("F")


def load_each(
    lake: Lake,
    files: Iterable[F],
    path_of: Callable[[F], Path],
    load: Callable[[duckdb.DuckDBPyConnection, Lake, F], None],
    what: str,
) -> None:
    """Load files; one that cannot be loaded is logged and left out.

    Args:
        lake: where.
        files: which.
        path_of: where a file is.
        load: loads one within a transaction.
        what: what the files hold, as the log names it.

    Raises:
        StorageTrouble: the disk is full or fails.
        duckdb.Error: the database is damaged, or memory or the disk is full.
    """
    loaded, not_loaded = f"{what}_loaded", f"{what}_not_loaded"
    for file in files:
        try:
            with lake.writing() as connection, lake.without_live_writes(), transaction(connection):
                load(connection, lake, file)
        except (duckdb.FatalException, duckdb.OutOfMemoryException):
            raise
        except duckdb.Error as error:
            if is_damage(error) or is_full(error):
                raise
            problem = str(error).partition("\n")[0]
            log.error(not_loaded, file=str(path_of(file)), error=problem)  # noqa: TRY400 (not ours)
        else:
            log.info(loaded, file=str(path_of(file)))
