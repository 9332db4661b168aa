"""Fill a lake with copies of one partition on other days, much faster than by imports.

``python -m bench.workloads.lake_fixture DATA_DIR 2025-11-13 2025-11-12 ...`` copies the rows of the lake's
only partition to each of those days, with the timestamps moved, and the row that describes it. Its Parquet
file gets a hard link for each day: imports of other days do not read it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Final

import duckdb

from shared.gexbot.partition import Partition
from shared.gexbot.trading_day import bounds_ms
from shared.paths import LakePaths

_TABLES: Final = ("gex_snapshots", "gex_strikes")


def fill(paths: LakePaths, days: Sequence[date]) -> None:
    """Copy the lake's only partition to other days.

    Raises:
        ValueError: the lake does not hold exactly one partition.
    """
    with duckdb.connect(str(paths.database)) as connection:
        found = connection.execute("SELECT ticker, endpoint, trading_day FROM partitions").fetchall()
        if len(found) != 1:
            raise ValueError(f"expected a lake with one partition, found {len(found)}")
        partition = Partition(*found[0])
        for day in days:
            _copy_rows(connection, partition, day)
            _copy_description(connection, paths, partition, day)
        connection.execute("CHECKPOINT")


def _copy_rows(connection: duckdb.DuckDBPyConnection, partition: Partition, day: date) -> None:
    start, end = bounds_ms(partition.trading_day)
    values = {"by": bounds_ms(day)[0] - start, "start": start, "end": end}
    for table in _TABLES:
        connection.execute(
            f"INSERT INTO {table} SELECT * REPLACE (timestamp + $by AS timestamp) FROM {table} "  # noqa: S608
            "WHERE timestamp >= $start AND timestamp < $end",
            values,
        )


def _copy_description(
    connection: duckdb.DuckDBPyConnection, paths: LakePaths, partition: Partition, day: date
) -> None:
    copy = paths.parquet(Partition(partition.ticker, partition.endpoint, day))
    os.link(paths.parquet(partition), copy)
    by = bounds_ms(day)[0] - bounds_ms(partition.trading_day)[0]
    connection.execute(
        """
        INSERT INTO partitions SELECT * REPLACE (
            $day AS trading_day, first_timestamp + $by AS first_timestamp,
            last_timestamp + $by AS last_timestamp, $path AS parquet_path)
        FROM partitions WHERE trading_day = $base""",
        {"day": day, "by": by, "path": paths.relative_to_parquet(copy), "base": partition.trading_day},
    )


def main() -> None:
    """Fill the lake in the given data folder."""
    data_dir, *days = sys.argv[1:]
    fill(LakePaths.under(Path(data_dir)), [date.fromisoformat(day) for day in days])


if __name__ == "__main__":
    main()
