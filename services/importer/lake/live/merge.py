"""Load a partition's files beside live rows that the database has already: none of either is lost.

The rows of a file may be older than the live rows, which then have been read from FEED again: what the live
rows have wins, as if they had been stored after the file's; history stays as it is.
"""

from __future__ import annotations

from typing import Final

import duckdb

from services.importer.lake.live.tables import SNAPSHOTS, STRIKES
from services.importer.lake.statements import quoted
from shared.gexbot.partition import Partition
from shared.gexbot.trading_day import bounds_ms

_KEPT: Final = {table: f"kept_{table}" for table in (SNAPSHOTS, STRIKES)}


def keep_live_rows(connection: duckdb.DuckDBPyConnection, partition: Partition) -> None:
    """Set a partition's live rows aside; call it within a transaction."""
    of_live = f"SELECT timestamp FROM {SNAPSHOTS} WHERE {_of(partition)} AND source = 'live'"  # noqa: S608
    for table, kept in _KEPT.items():
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {kept} AS "
            f"FROM {table} WHERE {_of(partition)} AND timestamp IN ({of_live})"
        )


def merge_kept_rows(connection: duckdb.DuckDBPyConnection, partition: Partition) -> bool:
    """Merge the rows that were set aside into the partition's; return whether there are any.

    Call it within the same transaction.
    """
    snapshots, strikes = _KEPT[SNAPSHOTS], _KEPT[STRIKES]
    of_history = f"SELECT timestamp FROM {SNAPSHOTS} WHERE {_of(partition)} AND source <> 'live'"  # noqa: S608
    for kept in _KEPT.values():
        connection.execute(f"DELETE FROM {kept} WHERE timestamp IN ({of_history})")  # noqa: S608
    columns = [row[0] for row in connection.execute(f"DESCRIBE {snapshots}").fetchall()]
    merged = ", ".join(f'coalesce(kept."{name}", held."{name}") AS "{name}"' for name in columns)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE merged_{SNAPSHOTS} AS SELECT {merged} "  # noqa: S608 (quoted)
        f"FROM {snapshots} AS kept "
        f"LEFT JOIN (FROM {SNAPSHOTS} WHERE {_of(partition)}) AS held USING (timestamp)"
    )
    for table, rows in {SNAPSHOTS: f"merged_{SNAPSHOTS}", STRIKES: strikes}.items():
        connection.execute(
            f"DELETE FROM {table} WHERE {_of(partition)} AND timestamp IN (SELECT timestamp FROM {rows})"  # noqa: S608
        )
        connection.execute(f"INSERT INTO {table} FROM {rows}")
    found = connection.execute(f"SELECT count(*) FROM {snapshots}").fetchone()  # noqa: S608
    for table in (*_KEPT.values(), f"merged_{SNAPSHOTS}"):
        connection.execute(f"DROP TABLE {table}")
    return bool(found and found[0])


def _of(partition: Partition) -> str:
    start, end = bounds_ms(partition.trading_day)
    return (
        f"timestamp >= {start} AND timestamp < {end} "
        f"AND ticker = {quoted(partition.ticker)} AND endpoint = {quoted(partition.endpoint)}"
    )
