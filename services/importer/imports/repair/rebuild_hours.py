"""Load the rows of webhooks from their Parquet files."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from services.importer.imports.repair.rebuild_files import load_each
from services.importer.lake.database import Lake
from services.importer.lake.live import units as live_units
from services.importer.lake.live.stored_batch import LiveHour
from services.importer.lake.live.units import LiveRows, hour_query
from services.importer.lake.statements import quoted


def load_hours(lake: Lake, hours: Sequence[LiveHour]) -> None:
    """Add the rows of hours that only their files have; rows that are in the table already stay.

    Raises:
        StorageTrouble: the disk is full or fails.
    """
    load_each(lake, hours, lambda hour: lake.paths.webhooks(hour.table, hour.hour), _load, "webhooks")


def _load(connection: duckdb.DuckDBPyConnection, lake: Lake, hour: LiveHour) -> None:
    file = quoted(str(lake.paths.webhooks(hour.table, hour.hour)))
    held = f"(SELECT * FROM ({hour_query(hour)}))"  # noqa: S608 (quoted)
    had = _count(connection, held)
    connection.execute(
        f"INSERT INTO {hour.table} BY NAME (FROM read_parquet({file}, hive_partitioning = false) "
        f"EXCEPT ALL {held})"
    )
    rows = _count(connection, held)
    live_units.replace_hour(connection, LiveRows(hour, rows, 0, last=0, exported=-1 if had else 0))
    live_units.note_file(connection, lake.paths, hour)


def _count(connection: duckdb.DuckDBPyConnection, source: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {source}").fetchone()  # noqa: S608 (quoted)
    return int(row[0]) if row else 0
