"""Load the bars of trading days from their Parquet files, for a database that was created again."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final

import duckdb
import msgspec
import structlog

from services.importer.bars import complete_days, days
from services.importer.bars.export import COLUMNS
from services.importer.errors import StorageTrouble, trouble
from services.importer.lake.database import Lake
from services.importer.lake.quarantine import is_damage, quarantine
from services.importer.lake.statements import quoted, transaction
from shared.process.disk_space import is_full

_OF_MACHINE: Final = (
    *(duckdb.FatalException, duckdb.OutOfMemoryException),
    *(duckdb.InterruptException, duckdb.TransactionException),
)
_TEXTS_OF_MACHINE: Final = ("input/output error", "permission denied")
_NEXT: Final = (
    "The bars of this trading day are lost as far as the database does not have them. Request the flat file "
    "of the day again, or let the daily gap detection fill them from the vendor."
)

log = structlog.get_logger(__name__)


def load_missing_days(lake: Lake) -> int:
    """Load the files of days that the database does not have, and return how many.

    A file that cannot be read is quarantined. Days whose files are missing are written by the next export.

    Raises:
        StorageTrouble: the disk or the database cannot be read or written.
    """
    found = {lake.paths.bars_day_of(path) for path in lake.paths.bars_root.glob("*/*.bars.parquet")}
    with lake.reading() as connection:
        known = days.every(connection)
    loaded = sum(load_day(lake, day) for day in sorted(filter(None, found - known.keys())))
    if loaded:
        log.info("bars_loaded", days=loaded)
    if lost := [day for day, row in known.items() if day not in found and row.exported >= 0]:
        with lake.live_writing(map(days.lock_of, lost)) as connection, transaction(connection):
            days.mark_outdated(connection, lost)
    return loaded


def load_day(lake: Lake, day: date) -> bool:
    """Load the file of a day unless the database knows the day; return whether it was loaded.

    Raises:
        StorageTrouble: the disk or the database cannot be read or written.
    """
    path = lake.paths.bars(day)
    if not path.is_file():
        return False
    try:
        with lake.live_writing([days.lock_of(day)]) as connection, transaction(connection):
            if not days.add_loaded(connection, day):
                return False
            connection.execute(
                f"INSERT INTO ohlcv_1m BY NAME SELECT {COLUMNS} "  # noqa: S608 (quoted)
                f"FROM read_parquet({quoted(str(path))}, hive_partitioning = false)"
            )
            complete_days.load(connection, day, path)
    except (StorageTrouble, duckdb.Error, msgspec.MsgspecError) as error:
        cause = error.__cause__ if isinstance(error, StorageTrouble) and error.__cause__ else error
        if not _is_of_file(cause):
            raise
        _quarantine(lake, path, str(cause).partition("\n")[0])
        return False
    return True


def _is_of_file(cause: BaseException) -> bool:
    """Return whether the content of a Parquet file is the cause of an error."""
    if isinstance(cause, msgspec.MsgspecError):
        return True
    if not isinstance(cause, duckdb.Error) or isinstance(cause, _OF_MACHINE):
        return False
    if is_damage(cause) or is_full(cause):
        return False
    return not any(text in str(cause).lower() for text in _TEXTS_OF_MACHINE)


def _quarantine(lake: Lake, path: Path, problem: str) -> None:
    try:
        quarantine(lake.paths, [path], problem, _NEXT)
    except OSError as error:
        raise trouble("quarantining a Parquet file", error) from error
