"""Compare the bars of trading days in the table with those in their Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

import duckdb

from services.importer.bars import days
from services.importer.bars.days import BarDay
from services.importer.bars.export import COLUMNS
from services.importer.lake.database import Lake
from services.importer.lake.statements import quoted
from shared.gexbot.trading_day import bounds_ms

_ATTEMPTS: Final = 5
_KEY: Final = "symbol, timestamp, adjusted"


def compare_days(lake: Lake, wanted: date | None) -> Iterator[tuple[date, str | None]]:
    """Yield the days that were compared, each with what differs; None if nothing does.

    Rows that the files lack because they arrived since the last export are left out on both sides.

    Args:
        lake: what is compared.
        wanted: the day to compare; None for all.

    Raises:
        StorageTrouble: the database cannot be read.
    """
    with lake.reading() as connection:
        known = sorted(days.every(connection))
    for day in known:
        if wanted in {None, day}:
            yield day, _problem(lake, day)


def _problem(lake: Lake, day: date) -> str | None:
    """Return what differs: a file that is replaced during the comparison is compared again."""
    problem: str | None = None
    for _ in range(_ATTEMPTS):
        before = _state(lake, day)
        problem = _difference(lake, day)
        if problem is None or _state(lake, day) == before:
            break
    return problem


def _state(lake: Lake, day: date) -> tuple[BarDay | None, int | None]:
    path = lake.paths.bars(day)
    with lake.reading() as connection:
        return days.every(connection).get(day), path.stat().st_mtime_ns if path.is_file() else None


def _difference(lake: Lake, day: date) -> str | None:
    path, (start, end) = lake.paths.bars(day), bounds_ms(day)
    if not path.is_file():
        known = _state(lake, day)[0]
        is_exported = known is not None and known.exported >= 0
        return f"{path} is missing" if is_exported else None
    file = f"read_parquet({quoted(str(path))}, hive_partitioning = false)"
    with lake.reading() as connection:
        connection.execute(
            f"CREATE TEMP TABLE newer AS SELECT {_KEY} FROM recent_bars JOIN bar_days USING (trading_day) "  # noqa: S608
            "WHERE trading_day = ? AND sequence > exported_sequence",
            [day],
        )
        try:
            connection.execute(
                f"CREATE TEMP TABLE stored AS SELECT {COLUMNS} FROM {file} ANTI JOIN newer USING ({_KEY})"  # noqa: S608
            )
        except duckdb.Error as error:
            return f"{path} cannot be compared: {str(error).splitlines()[0]}"
        held = (
            f"(SELECT {COLUMNS} FROM ohlcv_1m ANTI JOIN newer USING ({_KEY}) "  # noqa: S608 (numbers)
            f"WHERE timestamp >= {start} AND timestamp < {end})"
        )
        rows, stored, lacking = (
            _count(connection, source) for source in (held, "stored", f"(FROM {held} EXCEPT ALL FROM stored)")
        )
    if rows == stored and not lacking:
        return None
    return f"{path} has {stored} rows, the table has {rows}, of which {lacking} are not in the file"


def _count(connection: duckdb.DuckDBPyConnection, source: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {source}").fetchone()  # noqa: S608 (queries of ours)
    return int(row[0]) if row else 0
